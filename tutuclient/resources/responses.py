"""Answers as they came: whole with their bytes (``with_raw_response``), or open, to be read in pieces.

``raw`` and ``opened`` give a page's methods the types that go with that; what the
methods do is ``Resource``'s. The names are openai's.
"""

from __future__ import annotations

import codecs
import copy
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, cast

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
    from types import TracebackType

    from tutuclient._meta import Meta
    from tutuclient.transport import Call
    from tutuclient.transport.reply import Reply

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")


class _Head:
    """What is known of an answer before its body.

    Attributes:
        meta: How the call went.
        method: GET or POST.
        url: The address that was asked, without its query, where some keep a key.
        http_version: The version the request was made in; aiohttp speaks no other.
    """

    http_version = "HTTP/1.1"

    def __init__(self, meta: Meta, call: Call) -> None:
        self.meta = meta
        self.method: str = call.method
        self.url: str = call.url.partition("?")[0]

    @property
    def status_code(self) -> int:
        """The HTTP status: of an answer that was none there is an error instead."""
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

    if not TYPE_CHECKING:  # A checker knows which attributes there are.

        def __getattr__(self, name: str) -> NoReturn:
            if name in {"http_request", "http_response"}:
                raise AttributeError(
                    f"there is no httpx here, so no .{name}: .method and .url say what was asked, .status_code and "
                    ".headers what came"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class APIResponse(_Head, Generic[T]):
    """A whole answer as it came, and what the call would have given without ``with_raw_response``.

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
            ValueError: It is none.
        """
        return read_json(self.content)

    def parse(self) -> T:
        """Give what the call would have given. It has been read already: an answer that is none was an error."""
        return self._parsed

    @property
    def is_closed(self) -> bool:
        """Whether nothing of the body is still to come: only of a stream it may be."""
        parsed: object = self._parsed
        return parsed.is_closed if isinstance(parsed, Stream) else True

    async def aclose(self) -> None:
        """Free the connection of a stream; of everything else it is free."""
        parsed: object = self._parsed
        if isinstance(parsed, Stream):
            await parsed.aclose()

    close = aclose

    def further(self, read: Callable[[T], U]) -> APIResponse[U]:
        """Return the same response with what ``read`` makes of its result."""
        more: Any = copy.copy(self)
        more._parsed = read(self._parsed)  # noqa: SLF001  (a copy of our own)
        return cast("APIResponse[U]", more)


class _Bytes:
    """The reader of a body that is handed on as it comes; HTTP itself says whether it is whole."""

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
    """An answer whose head has come: read its body in pieces, or parse it. Read it once, within its block.

    Nothing has looked at the body: with a good status it may still say that something went wrong, which ``parse``
    finds and the other ways of reading do not.
    """

    def __init__(self, reply: Reply, parse: Callable[[Reply], Awaitable[T]]) -> None:
        super().__init__(reply.meta, reply.call)
        reply.watch.ease()
        reply.watch.hand_over(reply.fail)
        self._reply: Reply | None = reply
        self._parse = parse
        self._longest = reply.call.max_bytes
        self._body: Stream[bytes] | None = None
        self._data: bytes | None = None
        self._result: T | None = None

    async def iter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Give the body as it comes.

        Raises:
            APIConnectionError: It broke off, a limit passed, or it has been read.
        """
        reply = self._take()
        self._body = Stream(reply, _Bytes(reply.meta), iter(()))
        async with self._body as body:
            async for piece in body:
                yield piece

    async def iter_text(self) -> AsyncGenerator[str, None]:
        """Give the body as text, as it comes; what is no UTF-8 becomes U+FFFD."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        async with aclosing(self.iter_bytes()) as pieces:
            async for piece in pieces:
                if text := decoder.decode(piece):
                    yield text
        if text := decoder.decode(b"", final=True):
            yield text

    async def iter_lines(self) -> AsyncGenerator[str, None]:
        """Give the body's lines as they come, without their ends.

        Raises:
            UnexpectedResponseError: A line is longer than ``max_response_bytes``.
        """
        begun: list[str] = []  # Joined once: a long line comes in many pieces.
        size = 0
        async with aclosing(self.iter_text()) as texts:
            async for text in texts:
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
                self._data = bytes(await reply.read())
            finally:
                _close(reply)
        return self._data

    async def text(self) -> str:
        """Read the whole body as text."""
        return (await self.read()).decode("utf-8", "replace")

    async def json(self) -> Any:
        """Read the whole body as JSON.

        Raises:
            ValueError: It is none.
        """
        return read_json(await self.read())

    async def parse(self) -> T:
        """Read the whole body and give what the call would have given; for a stream, the stream.

        Raises:
            APIError: It is an error, or no answer.
        """
        result = self._result
        if result is None:
            reply = self._take()
            try:
                result = self._result = await self._parse(reply)
            except BaseException as error:
                _close(reply)
                if isinstance(error, TutuError):
                    error.with_details(attempts=self.meta.attempts)
                    wire.without_key(error, reply.call.settings.api_key)
                raise
            answer: object = result
            if not isinstance(answer, Stream):  # That one is its own to close.
                _close(reply)
        return result

    async def stream_to_file(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the body to a file as it comes; under its name stands the whole of it or nothing.

        Args:
            path: The file to write.
            overwrite: Replace what stands there; otherwise it is kept, and it is an error.

        Raises:
            TutuError: The disk will not have it.
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
        """Whether the connection is free: the body has been read to its end, or was given up."""
        if self._reply is not None:
            return False
        streams: tuple[object, ...] = (self._body, self._result)
        return all(stream.is_closed for stream in streams if isinstance(stream, Stream))

    def further(self, read: Callable[[T], U]) -> OpenResponse[U]:
        """Return this response, whose ``parse`` gives what ``read`` makes of its result from now on."""
        parse = self._parse

        async def both(reply: Reply) -> Any:
            return read(await parse(reply))

        self._parse = both
        return cast("OpenResponse[U]", self)

    def _take(self) -> Reply:
        reply, self._reply = self._reply, None
        if reply is None:
            raise APIConnectionError("the body of this answer has been read, or was closed before its end")
        return reply


def _close(reply: Reply) -> None:
    reply.watch.stop()
    reply.close()


class OpenResponseManager(Generic[T]):
    """What ``with_streaming_response`` gives: ``async with`` it, and the call is made."""

    def __init__(self, call: Coroutine[Any, Any, OpenResponse[T]]) -> None:
        self._call = call
        self._response: OpenResponse[T] | None = None

    async def __aenter__(self) -> OpenResponse[T]:
        self._response = await self._call
        return self._response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response is not None:
            await self._response.aclose()

    def __del__(self) -> None:
        self._call.close()


def further(given: T, read: Callable[[T], U]) -> U:
    """Make something of what a page gives: of the answer, or of the one within a raw or an open response."""
    response: object = given
    if isinstance(response, APIResponse | OpenResponse):
        return cast("U", cast("APIResponse[T] | OpenResponse[T]", response).further(read))
    return read(given)


def raw(method: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[APIResponse[T]]]:
    """Type a method of a page that gives its answers raw."""
    return cast("Callable[P, Awaitable[APIResponse[T]]]", method)


def opened(method: Callable[P, Awaitable[T]]) -> Callable[P, OpenResponseManager[T]]:
    """Make of a method of a page that gives its answers open one that is entered."""

    def enter(*args: P.args, **kwargs: P.kwargs) -> OpenResponseManager[T]:
        return OpenResponseManager(cast("Coroutine[Any, Any, OpenResponse[T]]", method(*args, **kwargs)))

    return enter
