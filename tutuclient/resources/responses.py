"""Answers as they came: whole with their bytes (``with_raw_response``), or open, to be read in pieces.

The names are openai's. Which calls return them, ``views`` declares.
"""

from __future__ import annotations

import codecs
import copy
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from tutuclient import wire
from tutuclient._threads import in_thread
from tutuclient.errors import APIConnectionError, TutuError
from tutuclient.media.saving import writing
from tutuclient.streams.reading import Stream
from tutuclient.types.json import read_json

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Mapping
    from pathlib import Path

    from tutuclient._meta import Meta
    from tutuclient.transport import Call
    from tutuclient.transport.reply import Reply

T = TypeVar("T")
U = TypeVar("U")


class _Head:
    """The head of an answer: what is known before its body.

    Attributes:
        meta: How the call went.
        method: GET or POST.
        url: The address of the request, without its query, in which some relays want the key.
        http_version: The version the request was made in; aiohttp speaks no other.
    """

    http_version = "HTTP/1.1"

    def __init__(self, meta: Meta, call: Call) -> None:
        self.meta = meta
        self.method: str = call.method
        self.url: str = call.url.partition("?")[0]

    @property
    def status_code(self) -> int:
        """The HTTP status. It is a good one: any other raises."""
        return self.meta.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers; names are case-insensitive."""
        return self.meta.headers

    @property
    def request_id(self) -> str | None:
        """The relay's name for the request, or None."""
        return self.meta.request_id

    @property
    def retries_taken(self) -> int:
        """How many attempts there were after the first."""
        return max(self.meta.attempts - 1, 0)

    @property
    def elapsed(self) -> timedelta:
        """The time from the call to the end of the answer; of an open one, to its headers."""
        return timedelta(seconds=self.meta.elapsed_s)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status_code}, request id {self.request_id}>"

    if not TYPE_CHECKING:  # Seen by a type checker, it would allow any attribute.

        def __getattr__(self, name: str) -> NoReturn:
            if name in {"http_request", "http_response"}:
                raise AttributeError(
                    f"there is no httpx here, so no .{name}: .method and .url are those of the request, "
                    ".status_code and .headers those of the response"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class APIResponse(_Head, Generic[T]):
    """A whole answer as it came, and what the call would have returned without ``with_raw_response``.

    Attributes:
        content: The body's bytes; b"" for a stream, whose body is still coming.
    """

    def __init__(self, meta: Meta, call: Call, content: bytes, parsed: T) -> None:
        super().__init__(meta, call)
        self.content = content
        self._parsed = parsed

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Decode the body as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        return read_json(self.content)

    def parse(self) -> T:
        """Return what the call would have returned. It was parsed before, so this does not raise."""
        return self._parsed

    @property
    def is_closed(self) -> bool:
        """Whether nothing of the body is still to come, which can be so for a stream only."""
        parsed: object = self._parsed
        return parsed.is_closed if isinstance(parsed, Stream) else True

    async def aclose(self) -> None:
        """Free the connection of a stream; that of any other answer is free already."""
        parsed: object = self._parsed
        if isinstance(parsed, Stream):
            await parsed.aclose()

    close = aclose

    def further(self, read: Callable[[T], U]) -> APIResponse[U]:
        """Return the same response with ``read`` applied to its result."""
        more: Any = copy.copy(self)
        more._parsed = read(self._parsed)  # noqa: SLF001  (a copy of our own)
        return cast("APIResponse[U]", more)


class _Bytes:
    """A reader for ``Stream`` that passes the body on as it comes; HTTP's framing says whether it is whole."""

    done = False
    finished = False
    buffered = 0
    partial = None
    usage = None

    def __init__(self, meta: Meta) -> None:
        self.meta = meta
        self.progress = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        self.progress += 1
        return iter((piece,))

    def end(self) -> Iterator[bytes]:
        return iter(())

    def check_complete(self, *, strict: bool) -> None:
        pass


class OpenResponse(_Head, Generic[T]):
    """An answer whose headers have come: read its body in pieces, or parse it. It is read once, within its block.

    The body has not been looked at: with a good status it may still hold an error. ``parse`` raises that; the other
    ways of reading return it like any body.
    """

    def __init__(self, reply: Reply, parse: Callable[[Reply], Awaitable[T]]) -> None:
        super().__init__(reply.meta, reply.call)
        # The caller reads the body at its own pace, perhaps in another task. So the deadline for the first token ends
        # here, and when the total one passes it fails the reading, in place of cancelling the task that made the call.
        reply.limits.ease()
        reply.limits.hand_over(reply.fail)
        self._reply: Reply | None = reply
        self._parse = parse
        self._longest = reply.call.max_bytes
        self._body: Stream[bytes] | None = None
        self._data: bytes | None = None
        self._result: T | None = None
        self._then: Callable[[Any], Awaitable[Any]] | None = None

    async def iter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Return the body as it comes.

        Raises:
            APIConnectionError: It broke off, a deadline passed, or it has been read before.
        """
        reply = self._take()
        self._body = Stream(reply, _Bytes(reply.meta), iter(()))
        async with self._body as body:
            async for piece in body:
                yield piece

    async def iter_text(self) -> AsyncGenerator[str, None]:
        """Return the body as text, as it comes; bytes that are not UTF-8 become U+FFFD."""
        # A character may be cut in two by the network (WIRE.md 3.1).
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        async with aclosing(self.iter_bytes()) as pieces:
            async for piece in pieces:
                if text := decoder.decode(piece):
                    yield text
        if text := decoder.decode(b"", final=True):
            yield text

    async def iter_lines(self) -> AsyncGenerator[str, None]:
        """Return the body's lines as they come, without their ends.

        Raises:
            UnexpectedResponseError: A line is longer than ``max_response_bytes``.
        """
        begun: list[str] = []  # Joined at the end: adding to a str would copy a long line with each piece.
        size = 0
        async with aclosing(self.iter_text()) as texts:
            async for text in texts:
                # ``splitlines`` would also cut at U+2028 and its like, which JSON may hold unescaped (RFC 8259, section
                # 7).
                head, *lines = text.split("\n")
                begun.append(head)
                size += len(head)
                for line in lines:
                    yield "".join(begun).removesuffix("\r")
                    begun, size = [line], len(line)
                if size > self._longest:
                    raise wire.too_large("a line", self._longest, self.meta)
        if last := "".join(begun):
            yield last

    async def read(self) -> bytes:
        """Read the whole body; it can be asked for again.

        Raises:
            UnexpectedResponseError: It is larger than ``max_response_bytes``.
        """
        if self._data is None:
            reply = self._take()
            try:
                self._data = data = bytes(await reply.read())
            except BaseException as error:
                _raised(reply, error)
                raise
            else:
                _answered(reply, data)
            finally:
                _close(reply)
        return self._data

    async def text(self) -> str:
        """Read the whole body as text."""
        return (await self.read()).decode("utf-8", "replace")

    async def json(self) -> Any:
        """Read the whole body as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        return read_json(await self.read())

    async def parse(self) -> T:
        """Read the whole body and return what the call would have returned; for a stream, the stream.

        Raises:
            APIError: The body is an error, or not an answer.
        """
        result = self._result
        if result is None:
            reply = self._take()
            try:
                result = await self._parse(reply)
            except BaseException as error:
                if isinstance(error, TutuError):
                    error.with_details(attempts=self.meta.attempts, relay=self.meta.relay)
                    # Relays echo keys in messages (WIRE.md 6). The transport removes them from its errors; this one
                    # is raised behind it.
                    wire.without_key(error, reply.call.settings.api_key)
                _raised(reply, error)
                _close(reply)
                raise
            answer: object = result
            if not isinstance(answer, Stream):  # A stream closes its reply itself.
                _answered(reply, answer)
                _close(reply)
            if self._then is not None:
                result = cast("T", await self._then(result))
            self._result = result
        return result

    async def stream_to_file(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the body to a file as it comes; the file is there whole or not at all.

        Args:
            path: The file to write.
            overwrite: Replace a file of that name; otherwise it is kept, and an error is raised.

        Raises:
            TutuError: The file cannot be written.
            APIConnectionError: The body broke off.
        """
        async with writing(path, "the answer", TutuError, overwrite=overwrite) as part:
            async with aclosing(self.iter_bytes()) as pieces:
                async for piece in pieces:
                    await in_thread(part.write, piece)
            return await in_thread(part.publish, "")

    async def aclose(self) -> None:
        """Free the connection now. Safe to call twice."""
        if self._reply is not None:
            _close(self._take())
        for stream in (self._body, self._result):
            if isinstance(stream, Stream):
                await stream.aclose()

    close = aclose

    @property
    def is_closed(self) -> bool:
        """Whether the connection is free: the body has been read to its end, or the response was closed."""
        if self._reply is not None:
            return False
        streams: tuple[object, ...] = (self._body, self._result)
        return all(stream.is_closed for stream in streams if isinstance(stream, Stream))

    def further(self, read: Callable[[T], U]) -> OpenResponse[U]:
        """Return this response with ``read`` applied to the result of its ``parse``."""
        parse = self._parse

        async def both(reply: Reply) -> Any:
            return read(await parse(reply))

        self._parse = both
        return cast("OpenResponse[U]", self)

    def then(self, finish: Callable[[T], Awaitable[U]]) -> OpenResponse[U]:
        """Return this response with ``finish`` awaited for the result of its ``parse``, when the connection is free."""
        self._then = finish
        return cast("OpenResponse[U]", self)

    def _take(self) -> Reply:
        reply, self._reply = self._reply, None
        if reply is None:
            raise APIConnectionError("the body of this answer has been read already, or was closed before its end")
        return reply


def _close(reply: Reply) -> None:
    reply.limits.stop()
    reply.close()


def _answered(reply: Reply, answer: object) -> None:
    if reply.call.observation is not None:
        reply.call.observation.read(reply, answer)


def _raised(reply: Reply, error: BaseException) -> None:
    if reply.call.observation is not None:
        reply.call.observation.raised(reply, error)


class OpenResponseManager(Generic[T]):
    """What a call of ``with_streaming_response`` returns: ``async with`` makes the call."""

    def __init__(self, call: Coroutine[Any, Any, OpenResponse[T]]) -> None:
        self._call = call
        self._response: OpenResponse[T] | None = None

    async def __aenter__(self) -> OpenResponse[T]:
        self._response = await self._call
        return self._response

    async def __aexit__(self, *_: object) -> None:
        if self._response is not None:
            await self._response.aclose()

    def __del__(self) -> None:
        # Python warns of a coroutine that was never awaited. A manager that is never entered is no mistake worth it.
        self._call.close()


def further(result: T, read: Callable[[T], U]) -> U:
    """Apply ``read`` to the result of a call: to the answer, or to the one within a raw or an open response."""
    response: object = result
    if isinstance(response, APIResponse | OpenResponse):
        return cast("U", cast("APIResponse[T] | OpenResponse[T]", response).further(read))
    return read(result)
