"""What every page of the API needs: a client's settings, a call made of keywords, and the two ways to make it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from tutuclient import wire
from tutuclient.settings import UNSET, Unset, clean_headers, clean_query, clean_timeout
from tutuclient.transport import Call
from tutuclient.types.answer import Answer, Origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tutuclient.generated import GeneratedImage
    from tutuclient.settings import Settings, Timeout
    from tutuclient.transport import Transport
    from tutuclient.transport.reply import Reply

A = TypeVar("A", bound=Answer)
T = TypeVar("T")


class Resource:
    """A page of the API, bound to a client."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport

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
        queries = dict(settings.default_query) | clean_query(query or {})
        return Call(
            settings,
            method,
            path,
            body=form if fields is None else wire.encode(fields),
            headers=clean_headers(headers) if headers else None,
            query=f"?{urlencode(queries)}" if queries else "",
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
            return read(await reply.read(), reply)

        return await self._transport.run(call, use)

    async def _open(self, call: Call, begin: Callable[[Reply], Awaitable[T]]) -> T:
        """Make a call whose answer goes on being read when this returns.

        Args:
            call: What to send; one that streams.
            begin: Makes the result of the open answer, which is the result's own to close. It is part of the attempt.
        """
        return await self._transport.run(call, begin)


def reading(cls: type[A]) -> Callable[[bytes | bytearray, Reply], A]:
    """Give what makes a struct of a whole answer, for ``Resource._send``."""

    def read(data: bytes | bytearray, reply: Reply) -> A:
        return stamped(wire.read_answer(data, cls, reply.meta), reply)

    return read


def stamped(answer: A, reply: Reply) -> A:
    """Note on an answer how its call went."""
    vars(answer)["origin"] = Origin(reply.meta, no_pictures)
    return answer


def no_pictures(_: object) -> list[GeneratedImage]:
    """Find no pictures, in the answers of pages that make none."""
    return []
