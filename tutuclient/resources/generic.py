"""Whatever a relay has beyond the pages of the API: any path, any method, read as the type that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from tutuclient import wire
from tutuclient.errors import ConfigError
from tutuclient.media.upload import Document
from tutuclient.resources.resource import Resource, no_pictures
from tutuclient.settings import UNSET, Unset, origin_of
from tutuclient.streams.events import EventReader, EventStream
from tutuclient.types.base import Answer
from tutuclient.types.provenance import Origin, set_origin

if TYPE_CHECKING:
    from tutuclient._meta import Meta
    from tutuclient.media.upload import PictureSource
    from tutuclient.settings import Timeout
    from tutuclient.transport import Call
    from tutuclient.transport.reply import Reply
    from tutuclient.wire.sse import Data

T = TypeVar("T")


class Others(Resource):
    """The pages that have no class of their own here."""

    async def send(
        self,
        method: str,
        path: str,
        cast_to: type[T],
        *,
        body: Mapping[str, Any] | None = None,
        files: Mapping[str, PictureSource] | None = None,
        makes_image: bool = False,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
    ) -> T:
        """Make a call and read its whole answer; ``TutuClient.post`` tells the arguments."""
        _check_type(cast_to)
        call = self._any_call(method, path, body, files, makes_image, extra_headers, extra_query, timeout)

        def read(data: bytes | bytearray, reply: Reply) -> T:
            return _traced(wire.read_as(data, cast_to, reply.meta), reply.meta)

        return await self._send(call, read)

    async def open(
        self,
        method: str,
        path: str,
        cast_to: type[T],
        *,
        body: Mapping[str, Any] | None = None,
        files: Mapping[str, PictureSource] | None = None,
        makes_image: bool = False,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
    ) -> EventStream[T]:
        """Make a call and give the stream of its events. Arguments as for ``send``."""
        _check_type(cast_to)
        call = self._any_call(method, path, body, files, makes_image, extra_headers, extra_query, timeout, stream=True)

        def read(_: str, data: Data, meta: Meta) -> T:
            return _traced(wire.read_as(data, cast_to, meta), meta)

        def whole(data: Data, meta: Meta) -> list[T]:
            return [read("", data, meta)]

        async def begin(reply: Reply) -> EventStream[T]:
            reader = EventReader(
                reply.meta, read=read, is_last=_never, read_whole=whole, max_bytes=call.max_bytes, eof_completes=True
            )
            return await EventStream[T].begin(reply, reader)

        return await self._open(call, begin)

    def _any_call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        files: Mapping[str, PictureSource] | None,
        makes_image: bool,
        headers: Mapping[str, str] | None,
        query: Mapping[str, object] | None,
        timeout: float | Timeout | Unset | None,
        *,
        stream: bool = False,
    ) -> Call:
        if not isinstance(path, str):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
            raise ConfigError(f'the path is {wire.quoted(path)}: write text, such as "/models"')
        if wire.is_any(body, str, bytes, bytearray, memoryview):
            raise ConfigError(f"body is {wire.quoted(body)}: write what it says as a dict, which is sent as JSON")
        if not path.isprintable() or "#" in path:
            raise ConfigError(f"{path!r} has a line break, a control character or a # inside; write it as %0A, %23…")
        if not path.startswith("/") and not _is_within(path, self._settings.origin):
            raise ConfigError(
                f"{path!r}: the path must begin with /, or be an address of the relay ({self._settings.origin}): "
                "the key goes nowhere else"
            )
        fields: Any = body  # A page of the relay's own may want a list.
        if isinstance(fields, Mapping):
            fields = wire.given(dict(cast("Mapping[str, Any]", fields)))
        form = None
        if files is not None:
            documents = {field: Document(source) for field, source in files.items()}
            for field, document in documents.items():
                document.name = document.name or field
            form = wire.form(fields or {}, [wire.FormFile(field, document) for field, document in documents.items()])
        return self._call(
            method,
            path,
            fields=None if files is not None else fields,
            form=form,
            headers=headers,
            query=query,
            timeout=timeout,
            makes_image=makes_image,
            stream=stream,
        )


def _check_type(cast_to: Any) -> None:
    """Refuse what no answer can be read as, before anything is sent.

    Raises:
        ConfigError: It is a value, or the name of a type.
    """
    if wire.is_any(cast_to, str, bytes, int, float, Mapping, list, tuple, set):
        raise ConfigError(f"cast_to is {wire.quoted(cast_to)}: write a type, such as dict, Any, or a class of yours")


def _is_within(address: str, origin: str) -> bool:
    """Say whether an address is the relay's, with nothing before the host's name that could be taken for one."""
    try:
        return (
            address.startswith(("http://", "https://"))
            and "@" not in urlsplit(address).netloc
            and origin_of(address) == origin
        )
    except ValueError:  # It is no address.
        return False


def _traced(answer: T, meta: Meta) -> T:
    """Note on an answer of ours how the call went."""
    if isinstance(answer, Answer):
        set_origin(answer, Origin(meta, no_pictures))
    return answer


def _never(_: object) -> bool:
    return False
