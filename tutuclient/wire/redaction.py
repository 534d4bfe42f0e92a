"""The key, taken out of errors before a caller sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from tutuclient._meta import Headers
from tutuclient.errors import APIError, TutuError
from tutuclient.settings.secret import is_secret, masked
from tutuclient.types.json import is_list, is_object

if TYPE_CHECKING:
    from tutuclient._meta import Meta

E = TypeVar("E", bound=TutuError)


def without_key(error: E, key: str) -> E:
    """Mask the key in an error, wherever the relay has echoed it.

    The frames below hold it then too, so the traceback begins anew.
    """
    if not is_secret(key) or not isinstance(error, APIError):
        return error
    # Relays echo the key in their messages (.github/WIRE.md, section 6, "Token").
    before = {name: getattr(error, name) for name in ("args", "message", "body", "code", "param", "type", "request_id")}
    after = {name: _masked(value, str(key)) for name, value in before.items()}
    response: Meta | None = getattr(error, "response", None)
    if response is not None and any(key in value for value in response.headers.values()):
        response.headers = Headers({name: masked(value, key) for name, value in response.headers.items()})
        after["request_id"] = _masked(error.request_id, str(key))
        error.__traceback__ = None
    if after != before:
        for name, value in after.items():
            setattr(error, name, value)
        # The chained errors quote the same text, and their frames hold it as locals.
        error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return masked(value, key)
    if is_object(value):
        return {_masked(name, key): _masked(item, key) for name, item in value.items()}
    if is_list(value):
        return [_masked(item, key) for item in value]
    if isinstance(value, tuple):
        return tuple(_masked(item, key) for item in cast("tuple[object, ...]", value))
    return value
