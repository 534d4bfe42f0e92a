"""Chat completions: whole, or as a stream.

Source: the relay's pages "Chat(分析图片)" and "Chat(修改图片)"; ``POST /chat/completions``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast, overload

from tutuclient import wire
from tutuclient.finding import ImageFinder
from tutuclient.media.parts import Message  # noqa: TC001  (``get_type_hints`` reads signatures at run time)
from tutuclient.resources.parsing import Expected, refuse_format
from tutuclient.resources.resource import Resource
from tutuclient.resources.responses import further, opened, raw
from tutuclient.resources.streaming import ChatCompletionStream, ChatStreamManager
from tutuclient.resources.tool_loop import ToolRun, ToolRunStream, run
from tutuclient.settings import UNSET, Timeout, Unset
from tutuclient.streams.audio import sound_in
from tutuclient.streams.bodies import read_body
from tutuclient.streams.chat import ChatStream
from tutuclient.streams.folding import several
from tutuclient.tools import sendable as written
from tutuclient.types.chat import ChatCompletion, ChatFields, ChatMessage
from tutuclient.types.parsed import ParsedChatCompletion  # noqa: TC001  (``get_type_hints`` reads signatures at run time)
from tutuclient.types.provenance import Origin

if TYPE_CHECKING:
    from typing import Unpack

    from tutuclient.media.audio import Sound
    from tutuclient.settings import Settings
    from tutuclient.transport import Call, Transport
    from tutuclient.transport.reply import Reply
    from tutuclient.types.chat import ParseFields, RunFields

T = TypeVar("T")

_FIELDS = wire.names(ChatFields, "stream")
_RUN_FIELDS = wire.names(ChatFields, "stream", "max_rounds", "raise_tool_errors")


class Completions(Resource):
    """``client.chat.completions``."""

    # Few relays keep answers; those that do are asked by the path.
    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        "retrieve": 'client.get("/chat/completions/ID", cast_to=ChatCompletion) asks for a stored answer',
        "update": 'client.post("/chat/completions/ID", body={"metadata": {…}}, cast_to=ChatCompletion) changes one',
        "list": 'client.get("/chat/completions", cast_to=dict) asks for the stored answers',
        "messages": 'client.get("/chat/completions/ID/messages", cast_to=dict) asks for those of a stored answer',
        "delete": 'client.delete("/chat/completions/ID", cast_to=dict) deletes one',
    }

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

    @overload
    async def create(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        stream: bool | None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ChatFields],
    ) -> ChatCompletion | ChatStream: ...

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
        wire.check_keywords(fields, _FIELDS, "chat.completions.create")
        body = wire.given({"model": model, "messages": messages, **fields, **wire.added(extra_body)})
        if wire.is_asked(stream):
            body["stream"] = True
        refuse_format(body)
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
        find, hear = ImageFinder(self._downloads, call.makes_image, call.timeout, call.retry), _ear(body)

        def read(data: bytes | bytearray, reply: Reply) -> ChatCompletion:
            origin = Origin(reply.meta, find, hear)
            return read_body(data, origin, many=_many(body), max_bytes=call.max_bytes, content_type=reply.content_type)

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
        find, hear = ImageFinder(self._downloads, call.makes_image, call.timeout, call.retry), _ear(body)

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
        wire.check_model(body)
        fields = body | {"messages": wire.sendable(body.get("messages"))}
        if "tools" in body:
            fields["tools"] = written(body["tools"])
        return self._call(
            "POST",
            "/chat/completions",
            fields=fields,
            headers=headers,
            query=query,
            timeout=timeout,
            makes_image=wire.makes_image(body) if makes_image is None else makes_image,
            stream=body.get("stream") is True,
        )

    @overload
    def stream(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        response_format: type[T],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ParseFields],
    ) -> ChatStreamManager[T]: ...

    @overload
    def stream(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        response_format: Mapping[str, Any] | Unset = UNSET,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ParseFields],
    ) -> ChatStreamManager[None]: ...

    def stream(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        response_format: Any = UNSET,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> ChatStreamManager[Any]:
        """Ask a model and read the answer as it comes: ``async with client.chat.completions.stream(…) as stream``.

        Takes the arguments of ``create``, and raises as it does when the block is
        entered. ``response_format`` may be a type, as for ``parse``; then
        ``await stream.completion()`` has the answer as that type in ``.parsed``.
        Iterating gives chunks, ``stream.events()`` openai's events.
        """
        wire.check_keywords(fields, _FIELDS, "chat.completions.stream")
        body = _body(model, messages, response_format, fields, extra_body)
        return ChatStreamManager(self._open_typed(body, extra_headers, extra_query, timeout))

    async def _open_typed(
        self,
        body: dict[str, Any],
        headers: Mapping[str, str] | None,
        query: Mapping[str, object] | None,
        timeout: float | Timeout | Unset | None,
    ) -> ChatCompletionStream[Any]:
        expected: Expected[Any] = Expected(body)
        call = self._chat_call(expected.body | {"stream": True}, headers, query, timeout, None)
        find, hear = ImageFinder(self._downloads, call.makes_image, call.timeout, call.retry), _ear(body)

        async def begin(reply: Reply) -> ChatCompletionStream[Any]:
            many = _many(body)
            stream = await ChatCompletionStream.begin(reply, Origin(reply.meta, find, hear), many=many)
            return cast("ChatCompletionStream[Any]", stream).expecting(expected, many=many)

        return await self._open(call, begin)

    @overload
    async def parse(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        response_format: type[T],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ParseFields],
    ) -> ParsedChatCompletion[T]: ...

    @overload
    async def parse(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        response_format: Mapping[str, Any] | Unset = UNSET,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ParseFields],
    ) -> ParsedChatCompletion[None]: ...

    async def parse(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        response_format: Any = UNSET,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> ParsedChatCompletion[Any]:
        """Ask a model for an answer of a type, and read it as that type.

        Its text is read as ``response_format``, the arguments of tools by their
        functions' types. What does not fit is an error, and is not asked for again,
        since it was billed.

        Args:
            model: As for ``create``.
            messages: As for ``create``.
            response_format: A msgspec Struct, a dataclass, a TypedDict or a pydantic model; its strict schema is sent.
            extra_body: As for ``create``.
            extra_headers: As for ``create``.
            extra_query: As for ``create``.
            timeout: As for ``create``.
            **fields: As for ``create``.

        Returns:
            The answer, with ``parsed``: None when the model refused (``message.refusal``) or called tools, whose
            ``function.parsed_arguments`` have been read.

        Raises:
            ConfigError: No schema can be made of the type or of a tool; nothing was sent.
            LengthFinishReasonError: The answer was cut off at its limit; it is in ``completion``.
            ContentFilterFinishReasonError: The answer was cut off by a filter; it is in ``completion``.
            UnexpectedResponseError: The answer does not fit; the message says where, and it is in ``partial``.
            APIError: As for ``create``.
        """
        wire.check_keywords(fields, _FIELDS, "chat.completions.parse")
        expected: Expected[Any] = Expected(_body(model, messages, response_format, fields, extra_body))
        completion = await self.send(
            expected.body, extra_headers=extra_headers, extra_query=extra_query, timeout=timeout
        )
        return further(completion, expected.read)

    @overload
    def run_tools(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        tools: Iterable[Mapping[str, Any] | Callable[..., Any]],
        max_rounds: int = 10,
        raise_tool_errors: bool = False,
        stream: Literal[False] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[RunFields],
    ) -> Coroutine[Any, Any, ToolRun]: ...

    @overload
    def run_tools(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        tools: Iterable[Mapping[str, Any] | Callable[..., Any]],
        max_rounds: int = 10,
        raise_tool_errors: bool = False,
        stream: Literal[True],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[RunFields],
    ) -> ToolRunStream: ...

    def run_tools(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
        tools: Iterable[Mapping[str, Any] | Callable[..., Any]],
        max_rounds: int = 10,
        raise_tool_errors: bool = False,
        stream: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> Coroutine[Any, Any, ToolRun] | ToolRunStream:
        """Ask a model, call the tools it asks for, tell it the results, until it answers without.

        The tools of one round are called together: async ones on the loop, sync
        ones in worker threads, both with the caller's context variables. A result
        that is text goes to the model as it is, parts of a message (``image(…)``)
        as parts, everything else as JSON. A tool that raises, a tool that does not
        exist and arguments that do not fit are told to the model, as
        ``{"error": "…"}``. A tool given as a dict cannot be called here: when the
        model asks for it the run ends, and the calls are in ``completion``. Of
        several choices (``n``) the first counts.

        ``await run_tools(…)`` gives the whole run;
        ``async with run_tools(…, stream=True) as run`` one that is iterated over
        for the chunks of all rounds.

        Args:
            model: As for ``create``.
            messages: The conversation so far.
            tools: Functions, ``Tool(…)`` for one with a name or a description of its own, and dicts.
            max_rounds: How many requests may be made.
            raise_tool_errors: Let what a tool raises leave the run, the others being cancelled.
            stream: Stream the answers.
            extra_body: As for ``create``.
            extra_headers: As for ``create``.
            extra_query: As for ``create``.
            timeout: As for ``create``, for each round by itself.
            **fields: As for ``create``, for each round. A ``tool_choice`` that forces a call holds for the first.

        Raises:
            ConfigError: No schema can be made of a tool; nothing was sent.
            ToolRoundsError: The model still asked for tools when the rounds were over.
            APIError: As for ``create``. This and the other errors have the messages so far in ``conversation``.

        Cancelling cancels the tools that run; of one in a thread the result is no longer waited for.
        """
        wire.check_keywords(fields, _RUN_FIELDS, "chat.completions.run_tools")
        body = wire.given({"model": model, "messages": messages, **fields, "tools": tools, **wire.added(extra_body)})
        more: dict[str, Any] = {"extra_headers": extra_headers, "extra_query": extra_query, "timeout": timeout}
        limits: dict[str, Any] = {"max_rounds": max_rounds, "raise_tool_errors": raise_tool_errors}
        if wire.is_asked(stream):
            return ToolRunStream(body, partial(self.open, **more), **limits)
        return run(body, partial(self.send, **more), **limits)


class CompletionsRaw:
    """``client.chat.completions.with_raw_response``."""

    def __init__(self, page: Completions) -> None:
        self.create = raw(page.create)
        self.parse = raw(page.parse)


class CompletionsOpen:
    """``client.chat.completions.with_streaming_response``."""

    def __init__(self, page: Completions) -> None:
        self.create = opened(page.create)
        self.parse = opened(page.parse)


class Chat(Resource):
    """``client.chat``."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(settings, transport)
        self.completions: Completions = Completions(settings, transport)


def _body(
    model: str,
    messages: Iterable[Mapping[str, Any] | Message | ChatMessage],
    response_format: Any,
    fields: Mapping[str, Any],
    extra_body: Mapping[str, Any] | None,
) -> dict[str, Any]:
    named = {"model": model, "messages": messages, "response_format": response_format}
    return wire.given({**named, **fields, **wire.added(extra_body)})


def _many(body: Mapping[str, Any]) -> int:
    """Return how many choices were asked for if it is several, else 0: without ``n`` all pieces belong to one."""
    return several(body.get("n"))


_HEAR = partial(sound_in, asked="")


def _ear(body: Mapping[str, Any]) -> Callable[[ChatCompletion], Sound | None]:
    """Give what finds the sound in an answer: raw samples have no header, so it has to know what was asked for."""
    given: Mapping[str, Any] | str | None = body.get("audio")
    if given is None:
        return _HEAR
    asked: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    return partial(sound_in, asked=str(asked.get("format") or ""))
