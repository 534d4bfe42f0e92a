"""What every page of the API needs: a client's settings, a call made of keywords, and the two ways to make it."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeVar, cast
from urllib.parse import urlencode

from tutuclient import wire
from tutuclient.downloads.fetch import Downloads
from tutuclient.resources.responses import APIResponse, OpenResponse
from tutuclient.settings import UNSET, Unset, clean_headers, clean_query, clean_timeout
from tutuclient.transport import Call
from tutuclient.types.base import Answer
from tutuclient.types.provenance import Origin, set_origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Self

    from tutuclient.media.image import GeneratedImage
    from tutuclient.settings import Settings, Timeout
    from tutuclient.transport import Transport
    from tutuclient.transport.reply import Reply

A = TypeVar("A", bound=Answer)
T = TypeVar("T")


class Resource:
    """A page of the API, bound to a client.

    Attributes:
        ELSEWHERE: openai's names that are not here, each with what to write in its place.
    """

    ELSEWHERE: ClassVar[Mapping[str, str]] = {}

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport
        self._gives: Literal["answer", "raw", "open"] = "answer"

    @cached_property
    def _downloads(self) -> Downloads:
        """What fetches the images of answers."""
        return Downloads.of(self._settings)

    if not TYPE_CHECKING:  # A checker knows which calls there are.

        def __getattr__(self, name: str) -> NoReturn:
            if name in self.ELSEWHERE:
                raise AttributeError(f"{type(self).__name__.lstrip('_')} has no {name}: {self.ELSEWHERE[name]}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _giving(self, what: Literal["raw", "open"]) -> Self:
        """Give this page with calls that give their answers raw, or open; ``raw`` has the types that go with that."""
        page = copy.copy(self)
        page._gives = what  # noqa: SLF001  (a copy of our own)
        return page

    def _call(
        self,
        method: str,
        path: str,
        *,
        fields: Mapping[str, Any] | None = None,
        form: wire.Form | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        makes_image: bool = False,
        stream: bool = False,
    ) -> Call:
        """Make a call of a page's keywords.

        Args:
            method: GET or POST.
            path: Behind the base URL, with its slash.
            fields: What to send as JSON, or None.
            form: What to send as a form, or None.
            headers: Headers of this call, over the client's.
            query: Query parameters of this call, over the client's.
            timeout: As every page takes it; the client's when not given.
            makes_image: The call orders a picture, so it is not sent twice in silence.
            stream: The result goes on reading when the call has returned.
        """
        settings = self._settings
        queries = {**settings.default_query, **clean_query(query)} if query else settings.default_query
        return Call(
            settings,
            method,
            path,
            body=form if fields is None else wire.encode(fields),
            fields=fields,
            headers=clean_headers(headers) if headers else None,
            query=f"{'&' if '?' in path else '?'}{urlencode(queries)}" if queries else "",
            timeout=None if timeout is UNSET else clean_timeout(timeout),
            makes_image=makes_image,
            stream=stream,
        )

    async def _send(self, call: Call, read: Callable[[bytes | bytearray, Reply], T]) -> T:
        """Make a call and read its whole answer.

        Args:
            call: What to send.
            read: Makes the result of the answer's bytes. It is part of the attempt: what it raises may be tried again.
        """

        async def use(reply: Reply) -> T:
            return _told(call, read(await reply.read(), reply), reply)

        if self._gives == "answer":
            return await self._transport.run(call, use)
        if self._gives == "open":
            return cast("T", await self._opened(call, use))

        async def use_raw(reply: Reply) -> APIResponse[T]:
            data = await reply.read()
            return APIResponse(reply.meta, call, bytes(data), _told(call, read(data, reply), reply))

        return cast("T", await self._transport.run(call, use_raw))

    async def _open(self, call: Call, begin: Callable[[Reply], Awaitable[T]]) -> T:
        """Make a call whose answer goes on being read when this returns.

        Args:
            call: What to send; one that streams.
            begin: Makes the result of the open answer, which is the result's own to close. It is part of the attempt.
        """

        async def use_raw(reply: Reply) -> APIResponse[T]:
            return APIResponse(reply.meta, call, b"", await begin(reply))

        if self._gives == "answer":
            return await self._transport.run(call, begin)
        given = await (self._transport.run(call, use_raw) if self._gives == "raw" else self._opened(call, begin))
        return cast("T", given)

    async def _opened(self, call: Call, parse: Callable[[Reply], Awaitable[T]]) -> OpenResponse[T]:
        call.stream = True

        async def use(reply: Reply) -> OpenResponse[T]:
            return OpenResponse(reply, parse)

        return await self._transport.run(call, use)


def _told(call: Call, answer: T, reply: Reply) -> T:
    """Tell the caller's hook what an answer used."""
    if call.settings.on_usage is not None:
        call.tell_usage(getattr(answer, "usage", None), reply.meta)
    return answer


def reading(cls: type[A]) -> Callable[[bytes | bytearray, Reply], A]:
    """Give what makes a struct of a whole answer, for ``Resource._send``."""

    def read(data: bytes | bytearray, reply: Reply) -> A:
        return stamped(wire.read_answer(data, cls, reply.meta), reply)

    return read


def stamped(answer: A, reply: Reply) -> A:
    """Note on an answer how its call went."""
    set_origin(answer, Origin(reply.meta, no_pictures))
    return answer


def no_pictures(_: object) -> list[GeneratedImage]:
    """Find no pictures, in the answers of pages that make none."""
    return []
