"""How a call went: the status, headers, request id and timings that answers and errors share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tutuclient._logger import logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_REQUEST_ID_HEADERS = ("x-request-id", "x-oneapi-request-id", "x-generation-id", "x-litellm-call-id")
_REQUEST_ID_IN_TEXT = re.compile(r"request id: ([\w.-]{1,128})", re.IGNORECASE)

_MOST_WARNINGS = 20


def request_id_of(headers: Mapping[str, str], message: str = "") -> str | None:
    """Find the relay's id of a request: in the headers first, then in an error's text, then Cloudflare's.

    Chained relays each append theirs to the message. The last one is that of the
    relay that was called, whose operator can look it up.
    """
    for name in _REQUEST_ID_HEADERS:
        if value := headers.get(name):
            return value
    if found := _REQUEST_ID_IN_TEXT.findall(message):
        return str(found[-1])
    return headers.get("cf-ray")


class Headers(dict[str, str]):
    """Headers that can be pickled, looked up without regard to case as aiohttp's are."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__((name.lower(), value) for name, value in headers.items())

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header's value, or ``default``."""
        return super().get(name.lower(), default)

    def __reduce__(self) -> tuple[type[Headers], tuple[dict[str, str]]]:
        return Headers, (dict(self),)


_NOTHING_ASKED = ("", "")
# What encoders see of a ``Meta``.
_SHOWN = ("status_code", "request_id", "attempts", "waited_s", "headers_s", "elapsed_s", "warnings")
_SHOWN_OF_SEVERAL = (*_SHOWN, "relay")


class Meta:
    """How a call went: status, headers, request id, attempts, timings.

    Attributes:
        status_code: The HTTP status of the answer.
        headers: The answer's headers; names are case-insensitive.
        attempts: How often the call was sent, the good one included.
        waited_s: Seconds spent waiting, over all attempts, for a free slot of the client or for the end of a pause
            that the relay asked for.
        headers_s: Seconds from the call to the answer's headers.
        elapsed_s: Seconds from the call to the end of the answer; for a stream still open, to its headers.
        warnings: What is odd about an answer that can be used all the same: something behind its end, NaN in place of
            a number, one of several images that was not made. Mostly ().
        relay: The name of the relay that answered, where the client has several; else None.
    """

    __slots__ = (
        "asked",
        "attempts",
        "elapsed_s",
        "headers",
        "headers_s",
        "relay",
        "status_code",
        "waited_s",
        "warnings",
    )

    def __init__(
        self,
        status_code: int = 0,
        headers: Mapping[str, str] | None = None,
        attempts: int = 0,
        waited_s: float = 0.0,
        headers_s: float = 0.0,
        elapsed_s: float = 0.0,
        warnings: tuple[str, ...] = (),
        relay: str | None = None,
    ) -> None:
        self.status_code: int = status_code
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.attempts: int = attempts
        self.waited_s: float = waited_s
        self.headers_s: float = headers_s
        self.elapsed_s: float = elapsed_s
        self.warnings: tuple[str, ...] = warnings
        self.relay: str | None = relay
        # Method and URL, for the advice in errors. Neither repr nor pickle has them: a URL may hold what is secret.
        self.asked: tuple[str, str] = _NOTHING_ASKED

    @property
    def status(self) -> int:
        """The same as ``status_code``."""
        return self.status_code

    @property
    def request_id(self) -> str | None:
        """The relay's id of this request, for its operator to look up; None when the relay sent none."""
        return request_id_of(self.headers)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        # Pairs, for ``dict(meta)`` and for encoders that try it (FastAPI's does). The headers are not among them: they
        # may hold cookies, and name the account at the upstream.
        return ((name, getattr(self, name)) for name in (_SHOWN if self.relay is None else _SHOWN_OF_SEVERAL))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415  (whoever asks has it)

        whole, text, seconds = core_schema.int_schema(), core_schema.str_schema(), core_schema.float_schema()
        times, words = (seconds, seconds, seconds), core_schema.tuple_variable_schema(text)
        kinds = (whole, core_schema.nullable_schema(text), whole, *times, words, text)
        fields = dict(zip(_SHOWN_OF_SEVERAL, kinds, strict=True))
        described = core_schema.typed_dict_schema(
            {name: core_schema.typed_dict_field(kind, required=False) for name, kind in fields.items()},
            config={"title": cls.__name__},
        )

        def read(value: dict[str, Any]) -> Meta:
            return cls(**{name: field for name, field in value.items() if name != "request_id"})

        return core_schema.union_schema(
            [core_schema.is_instance_schema(cls), core_schema.no_info_after_validator_function(read, described)],
            mode="left_to_right",
            serialization=core_schema.plain_serializer_function_ser_schema(dict, return_schema=described),
        )

    @property
    def __pydantic_serializer__(self) -> Any:
        # pydantic asks for it where nothing says what a value is: in a dict, behind Any.
        from pydantic import TypeAdapter  # noqa: PLC0415  (whoever asks has it)

        return TypeAdapter(Meta).serializer

    def __repr__(self) -> str:
        return (
            f"Meta(status_code={self.status_code}, request_id={self.request_id!r}, attempts={self.attempts}, "
            f"waited_s={self.waited_s:.3f}, headers_s={self.headers_s:.3f}, elapsed_s={self.elapsed_s:.3f}"
            f"{f', warnings={self.warnings!r}' if self.warnings else ''}"
            f"{f', relay={self.relay!r}' if self.relay is not None else ''})"
        )

    def __reduce__(self) -> tuple[type[Meta], tuple[Any, ...]]:
        times = (self.waited_s, self.headers_s, self.elapsed_s)
        return Meta, (self.status_code, Headers(self.headers), self.attempts, *times, self.warnings, self.relay)


def note(meta: Meta, words: str) -> None:
    """Note on an answer, and in the log, what is odd about it although it serves. Each oddity is noted once.

    Behind a colon stand the relay's own words. They are not logged, since it may quote the prompt in them.
    """
    if words not in meta.warnings and len(meta.warnings) < _MOST_WARNINGS:
        meta.warnings += (words,)
        logger.warning("%s (request id %s)", words.partition(": ")[0], meta.request_id)
