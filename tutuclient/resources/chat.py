"""Chat completions: whole, or as a stream.

Source: the relay's pages "Chat(分析图片)" and "Chat(修改图片)"; ``POST /chat/completions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

from tutuclient import wire
from tutuclient.errors import ConfigError
from tutuclient.generated import ImageFinder
from tutuclient.resources.raw import opened, raw
from tutuclient.resources.resource import Resource
from tutuclient.settings import UNSET, Unset
from tutuclient.sound import sound_in
from tutuclient.stream import ChatStream, fold
from tutuclient.types.answer import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType
    from typing import Unpack

    from tutuclient.settings import Settings, Timeout
    from tutuclient.sound import Sound
    from tutuclient.transport import Call, Transport
    from tutuclient.transport.reply import Reply
    from tutuclient.types.chat import ChatCompletion, ChatFields, ChatMessage
    from tutuclient.types.parts import Message


class Completions(Resource):
    """``client.chat.completions``."""

    @property
    def with_raw_response(self) -> CompletionsRaw:
        """Give answers as they came, with status, headers and bytes; ``parse()`` has the usual result."""
        return CompletionsRaw(self._giving("raw"))

    @property
    def with_streaming_response(self) -> CompletionsOpen:
        """Give answers open, to be read in pieces: ``async with ….create(…) as response``."""
        return CompletionsOpen(self._giving("open"))

    @overload
    async def create(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        stream: Literal[False] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ChatFields],
    ) -> ChatCompletion: ...

    @overload
    async def create(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        stream: Literal[True],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ChatFields],
    ) -> ChatStream: ...

    async def create(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        stream: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> ChatCompletion | ChatStream:
        """Ask a model.

        Args:
            model: The model's name, as the relay lists it.
            messages: The conversation, oldest first: dicts, ``Message`` structs, or the message of an earlier answer.
                A picture is an ``image(…)`` part; a path in place of its address is read while it is sent.
            stream: Give a ``ChatStream`` once the first chunk is there, in place of the whole ``ChatCompletion``.
            extra_body: Fields to put into the body, over those given as keywords.
            extra_headers: Headers for this call, over the client's.
            extra_query: Query parameters for this call, over the client's.
            timeout: Seconds until the deadline, a ``Timeout``, or None for no limit; the client's when not given.
            **fields: Every field of ``ChatFields``, and whatever else the relay understands; sent as it is given.

        Raises:
            ConfigError: The request cannot be written; nothing was sent.
            MediaError: A picture cannot be used; nothing was sent.
            APIError: The relay said no, or gave no whole answer; see ``outcome``.

        Cancelling frees the connection at once; what the relay had begun it may still bill.
        """
        body = {"model": model, "messages": messages, **fields, **(extra_body or {})}
        if stream:
            body["stream"] = True
        ask = self.open if body.get("stream") is True else self.send
        return await ask(body, extra_headers=extra_headers, extra_query=extra_query, timeout=timeout)

    async def send(
        self,
        body: dict[str, Any],
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        makes_image: bool | None = None,
    ) -> ChatCompletion:
        """Send a request's fields and read the whole answer.

        Args:
            body: The fields, ``model`` and ``messages`` among them.
            extra_headers: As for ``create``.
            extra_query: As for ``create``.
            timeout: As for ``create``.
            makes_image: The call orders a picture, so it is not sent twice in silence; None judges by the model.
        """
        call = self._chat_call(body, extra_headers, extra_query, timeout, makes_image)
        find, hear = ImageFinder(self._transport.downloads, call.makes_image), _ear(body)

        def read(data: bytes | bytearray, reply: Reply) -> ChatCompletion:
            return _read(data, reply, Origin(reply.meta, find, hear), many=_many(body))

        return await self._send(call, read)

    async def open(
        self,
        body: dict[str, Any],
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        makes_image: bool | None = None,
    ) -> ChatStream:
        """Send a request's fields and give the stream of its answer. Arguments as for ``send``."""
        call = self._chat_call(body | {"stream": True}, extra_headers, extra_query, timeout, makes_image)
        find, hear = ImageFinder(self._transport.downloads, call.makes_image), _ear(body)

        async def begin(reply: Reply) -> ChatStream:
            return await ChatStream.begin(reply, Origin(reply.meta, find, hear), many=_many(body))

        return await self._open(call, begin)

    def _chat_call(
        self,
        body: dict[str, Any],
        headers: Mapping[str, str] | None,
        query: Mapping[str, object] | None,
        timeout: float | Timeout | Unset | None,
        makes_image: bool | None,
    ) -> Call:
        return self._call(
            "POST",
            "/chat/completions",
            fields=body | {"messages": wire.sendable(body["messages"])},
            headers=headers,
            query=query,
            timeout=timeout,
            makes_image=wire.makes_image(body) if makes_image is None else makes_image,
            stream=body.get("stream") is True,
        )

    def stream(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ChatFields],
    ) -> ChatStreamManager:
        """Ask a model and read the answer as it comes: ``async with client.chat.completions.stream(…) as stream``.

        Takes the arguments of ``create``, and raises as it does when the block is entered.
        """
        return ChatStreamManager(
            self.create(
                model=model,
                messages=messages,
                stream=True,
                extra_body=extra_body,
                extra_headers=extra_headers,
                extra_query=extra_query,
                timeout=timeout,
                **fields,
            )
        )


class ChatStreamManager:
    """Opens a stream when its block is entered, closes it when the block is left."""

    def __init__(self, opening: Coroutine[Any, Any, ChatStream]) -> None:
        self._opening = opening
        self._stream: ChatStream | None = None
        self._entered = False

    async def __aenter__(self) -> ChatStream:
        if self._entered:
            raise ConfigError("the block of a stream is entered once; call stream(…) again for another")
        self._entered = True
        self._stream = await self._opening
        return self._stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            await self._stream.aclose()

    def __del__(self) -> None:
        self._opening.close()


class CompletionsRaw:
    """``client.chat.completions.with_raw_response``."""

    def __init__(self, page: Completions) -> None:
        self.create = raw(page.create)


class CompletionsOpen:
    """``client.chat.completions.with_streaming_response``."""

    def __init__(self, page: Completions) -> None:
        self.create = opened(page.create)


class Chat(Resource):
    """``client.chat``."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(settings, transport)
        self.completions = Completions(settings, transport)


def _many(body: Mapping[str, Any]) -> bool:
    """Say whether several choices were asked for; without ``n`` all pieces belong to one."""
    n = body.get("n")
    return isinstance(n, int) and n > 1


def _ear(body: Mapping[str, Any]) -> Callable[[ChatCompletion], Sound | None]:
    """Give what finds the sound in an answer: raw samples have no header, so it has to know what was asked for."""
    given: Any = body.get("audio")
    asked: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    return partial(sound_in, asked=str(asked.get("format") or ""))


def _read(data: bytes | bytearray, reply: Reply, origin: Origin, *, many: bool) -> ChatCompletion:
    if wire.is_event_stream(bytes(data[:64]), reply.content_type):
        completion = fold(data, origin, many=many, max_bytes=reply.call.max_bytes)
    else:
        completion = wire.read_completion(data, reply.meta)
    completion.__dict__["origin"] = origin
    return completion
