"""Chat completions: whole, or as a stream.

Source: the relay's documentation, "Chat(分析图片)" and "Chat(修改图片)"; ``POST /chat/completions``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Required, TypeAlias, TypeVar, Unpack, cast, overload

import msgspec

from tutuclient import wire
from tutuclient.errors import ConfigError, ImageTaskError
from tutuclient.media.parts import Message
from tutuclient.resources.endpoint import Endpoint
from tutuclient.resources.image_tasks import ClientTasks, OrdersImages, settings_of_task
from tutuclient.resources.options import CallOptions, RequestOptions
from tutuclient.resources.parsing import Expected, check_untyped
from tutuclient.resources.resource import Resource
from tutuclient.resources.responses import further
from tutuclient.resources.streaming import ChatCompletionStream, ChatStreamManager
from tutuclient.resources.tool_loop import ToolRun, ToolRunStream, run
from tutuclient.resources.views import View, opened, raw, viewed
from tutuclient.settings import UNSET, Timeout, Unset, with_keywords
from tutuclient.streams.audio import audio_in
from tutuclient.streams.bodies import read_body
from tutuclient.streams.chat import ChatStream
from tutuclient.streams.folding import several
from tutuclient.tools import sendable as sendable_tools
from tutuclient.types.chat import ChatCompletion, ChatFields, ChatMessage, ParseFields, RunFields
from tutuclient.types.parsed import ParsedChatCompletion  # noqa: TC001  (``get_type_hints`` reads signatures at run time)
from tutuclient.types.provenance import Origin, provenance, set_origin

if TYPE_CHECKING:
    from tutuclient.media.audio import Sound
    from tutuclient.resources.endpoint import RequestInfo
    from tutuclient.settings import Settings
    from tutuclient.transport import Transport
    from tutuclient.transport.reply import Reply
    from tutuclient.types.image_tasks import ImageTask
    from tutuclient.types.images import ImagesResponse

T = TypeVar("T")
_Messages: TypeAlias = Iterable[Mapping[str, Any] | Message | ChatMessage]
_Tools: TypeAlias = Iterable[Mapping[str, Any] | Callable[..., Any]]


class _Question(CallOptions, total=False):
    """The keywords of every call here."""

    model: Required[str]
    messages: Required[_Messages]


class _Fields(ChatFields, _Question, total=False):
    """The keywords of ``create``."""


class _ParseFields(ParseFields, _Question, total=False):
    """The keywords of ``parse`` and ``stream``, whose format is an argument of its own."""


class _RunFields(RunFields, _Question, total=False):
    """The keywords of ``run_tools``."""

    tools: Required[_Tools]
    max_rounds: int
    raise_tool_errors: bool


class Completions(OrdersImages):
    """``client.chat.completions``."""

    # Few relays store answers, so these have no methods of their own.
    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        "retrieve": 'client.get("/chat/completions/ID", cast_to=ChatCompletion) asks for a stored answer',
        "update": 'client.post("/chat/completions/ID", body={"metadata": {…}}, cast_to=ChatCompletion) changes one',
        "list": 'client.get("/chat/completions", cast_to=dict) asks for the stored answers',
        "messages": 'client.get("/chat/completions/ID/messages", cast_to=dict) asks for those of a stored answer',
        "delete": 'client.delete("/chat/completions/ID", cast_to=dict) deletes one',
    }

    with_raw_response = viewed("raw", lambda: _Raw)
    with_streaming_response = viewed("open", lambda: _Open)

    @overload
    async def create(self, *, stream: Literal[False] | None = None, **fields: Unpack[_Fields]) -> ChatCompletion: ...

    @overload
    async def create(self, *, stream: Literal[True], **fields: Unpack[_Fields]) -> ChatStream: ...

    @overload
    async def create(self, *, stream: bool | None, **fields: Unpack[_Fields]) -> ChatCompletion | ChatStream: ...

    @with_keywords(_Fields, open_ended=True)
    async def create(
        self, *, model: str, messages: _Messages, stream: bool | None = None, **fields: Any
    ) -> ChatCompletion | ChatStream:
        """Create a chat completion.

        Args:
            model: The model's name, as the relay lists it.
            messages: The conversation, oldest first: dicts, ``Message`` structs, or the message of an earlier answer.
                An image is an ``image(…)`` part; a path in place of its address is read while it is sent.
            stream: Return a ``ChatStream`` once the first chunk is there, in place of the whole ``ChatCompletion``.
            **fields: Every field of ``ChatFields``, and whatever else the relay understands; they are sent unchanged.
                Also the options of every call (``CallOptions``): ``extra_body``, fields over those passed as keywords;
                ``extra_headers`` and ``extra_query``, over the client's; ``timeout``, seconds until the deadline, a
                ``Timeout``, or None for no limit, the client's when not passed.

        Raises:
            ConfigError: The request cannot be written; nothing was sent.
            MediaError: An image cannot be used; nothing was sent.
            APIError: The relay answered with an error, or with no whole answer; see ``outcome``.

        Cancelling frees the connection at once; the relay may still bill what it had begun.
        """
        body, options = _CHAT.split({"model": model, "messages": messages}, fields, stream)
        check_untyped(body)
        return await self._request(_CHAT, body, **options)

    async def send(
        self, body: dict[str, Any], *, makes_image: bool | None = None, **options: Unpack[RequestOptions]
    ) -> ChatCompletion:
        """Send a request's fields and read the whole answer.

        Args:
            body: The fields, ``model`` and ``messages`` among them.
            makes_image: The request orders an image, so it is not sent twice in silence; None judges by the model.
            **options: ``extra_headers``, ``extra_query`` and ``timeout``, as for ``create``.
        """
        return await self._whole(_CHAT, body, makes_image=makes_image, **options)

    async def open(
        self, body: dict[str, Any], *, makes_image: bool | None = None, **options: Unpack[RequestOptions]
    ) -> ChatStream:
        """Send a request's fields and return the stream of its answer. Arguments as for ``send``."""
        return await self._streamed(_CHAT, body | {"stream": True}, makes_image=makes_image, **options)

    async def of_task(
        self,
        name: str,
        poll_url: str | None,
        *,
        model: str = "",
        relay: str = "",
        timeout: float | Timeout | Unset | None = UNSET,
    ) -> ChatCompletion:
        """Return what a chat would have been answered with, of the task that it was answered with at an earlier time.

        Args:
            name: The task's id.
            poll_url: Where the relay wants to be asked for it, or None.
            model: The model that it was ordered of.
            relay: The relay that accepted the order, where the client has several.
            timeout: As for ``ImageTask.wait``, which says what is raised.
        """
        try:
            settings = settings_of_task(self._settings, relay, poll_url)
        except ConfigError as error:  # Nothing is sent, and the order that was accepted stays what it is.
            raise ImageTaskError(
                f"image task {name}: {error.message}", reason="not_found", outcome="unknown"
            ) from error
        source = ClientTasks(settings, self._transport)
        task = source.task(name, poll_url)
        return _completion_of(await source.wait(task, timeout), task, model)

    def _answer_of(self, images: ImagesResponse, task: ImageTask, info: RequestInfo) -> ChatCompletion:
        return _completion_of(images, task, str(info.body.get("model") or ""))

    @overload
    def stream(self, *, response_format: type[T], **fields: Unpack[_ParseFields]) -> ChatStreamManager[T]: ...

    @overload
    def stream(
        self, *, response_format: Mapping[str, Any] | Unset = UNSET, **fields: Unpack[_ParseFields]
    ) -> ChatStreamManager[None]: ...

    @with_keywords(_ParseFields, open_ended=True)
    def stream(
        self, *, model: str, messages: _Messages, response_format: Any = UNSET, **fields: Any
    ) -> ChatStreamManager[Any]:
        """Create a chat completion and stream it: ``async with client.chat.completions.stream(…) as stream``.

        Takes the arguments of ``create``, and raises as it does when the block is
        entered. ``response_format`` may be a type, as for ``parse``; then
        ``await stream.completion()`` has the answer as that type in ``.parsed``.
        Iterating yields chunks, ``stream.events()`` openai's events.
        """
        named = {"model": model, "messages": messages, "response_format": response_format}
        body, options = _STREAM.split(named, fields)
        return ChatStreamManager(self._open_typed(body, options))

    async def _open_typed(self, body: dict[str, Any], options: RequestOptions) -> ChatCompletionStream[Any]:
        expected: Expected[Any] = Expected(body)
        many = _many(body)

        # The stream has to know the type and the number of choices that were asked for, so it is made for this call
        # alone.
        async def begin(reply: Reply, info: RequestInfo) -> ChatCompletionStream[Any]:
            stream = await ChatCompletionStream.begin(reply, info.origin(reply, _audio_finder(body)), many=many)
            return cast("ChatCompletionStream[Any]", stream).expecting(expected, many=many)

        return await self._streamed(_STREAM.with_stream(begin), expected.body | {"stream": True}, **options)

    @overload
    async def parse(self, *, response_format: type[T], **fields: Unpack[_ParseFields]) -> ParsedChatCompletion[T]: ...

    @overload
    async def parse(
        self, *, response_format: Mapping[str, Any] | Unset = UNSET, **fields: Unpack[_ParseFields]
    ) -> ParsedChatCompletion[None]: ...

    @with_keywords(_ParseFields, open_ended=True)
    async def parse(
        self, *, model: str, messages: _Messages, response_format: Any = UNSET, **fields: Any
    ) -> ParsedChatCompletion[Any]:
        """Create a chat completion, and parse its answer as a type.

        Its text is parsed as ``response_format``, the arguments of tools by their
        functions' types. An answer that does not fit is an error, and is not asked
        for again, since it was billed.

        Args:
            model: As for ``create``.
            messages: As for ``create``.
            response_format: A msgspec Struct, a dataclass, a TypedDict or a pydantic model; its strict schema is sent.
            **fields: As for ``create``.

        Returns:
            The answer, with ``parsed``: None when the model refused (``message.refusal``) or called tools; then
            ``function.parsed_arguments`` of each call are set.

        Raises:
            ConfigError: There is no schema for the type or for a tool; nothing was sent.
            LengthFinishReasonError: The answer was cut off at its limit; it is in ``completion``.
            ContentFilterFinishReasonError: The answer was cut off by a filter; it is in ``completion``.
            UnexpectedResponseError: The answer does not fit; the message says where, and it is in ``partial``.
            APIError: As for ``create``.
        """
        named = {"model": model, "messages": messages, "response_format": response_format}
        body, options = _PARSE.split(named, fields)
        expected: Expected[Any] = Expected(body)
        # Behind the transport: an answer that does not fit must not count as a failed attempt, which would order it
        # again.
        return further(await self.send(expected.body, **options), expected.read)

    @overload
    def run_tools(
        self, *, stream: Literal[False] | None = None, **fields: Unpack[_RunFields]
    ) -> Coroutine[Any, Any, ToolRun]: ...

    @overload
    def run_tools(self, *, stream: Literal[True], **fields: Unpack[_RunFields]) -> ToolRunStream: ...

    @with_keywords(_RunFields, open_ended=True)
    def run_tools(
        self,
        *,
        model: str,
        messages: _Messages,
        tools: _Tools,
        max_rounds: int = 10,
        raise_tool_errors: bool = False,
        stream: bool | None = None,
        **fields: Any,
    ) -> Coroutine[Any, Any, ToolRun] | ToolRunStream:
        """Run a conversation with tools: call those the model asks for and send the results, until it asks for no more.

        The tools of one round are called together: async ones on the loop, sync
        ones in worker threads, both with the caller's context variables. A result
        that is text goes to the model as it is, parts of a message (``image(…)``)
        as parts, everything else as JSON. A tool that raises, a tool that does not
        exist and arguments that do not fit are results too, sent to the model as
        ``{"error": "…"}``. A tool passed as a dict cannot be called here: when the
        model asks for it the run ends, and the calls are in ``completion``. Of
        several choices (``n``) the first counts.

        ``await run_tools(…)`` returns the whole run;
        ``async with run_tools(…, stream=True) as run`` one that is iterated over
        for the chunks of all rounds.

        Args:
            model: As for ``create``.
            messages: The conversation so far.
            tools: Functions; ``Tool(…)`` for a function under another name or description; and dicts.
            max_rounds: How many requests may be made.
            raise_tool_errors: Raise what a tool raises, and cancel the other tools.
            stream: Stream the answers.
            **fields: As for ``create``, for each round. A ``tool_choice`` that forces a call holds for the first.

        Raises:
            ConfigError: There is no schema for a tool; nothing was sent.
            ToolRoundsError: The model still asked for tools when the rounds were over.
            APIError: As for ``create``. This and the other errors have the messages so far in ``conversation``.

        Cancelling cancels the tools that run; a tool in a thread cannot be stopped, so its result is discarded.
        """
        body, options = _RUN.split({"model": model, "messages": messages, "tools": tools}, fields)
        limits: dict[str, Any] = {"max_rounds": max_rounds, "raise_tool_errors": raise_tool_errors}
        if wire.is_stream_asked(stream):
            return ToolRunStream(body, partial(self.open, **options), **limits)
        return run(body, partial(self.send, **options), **limits)


class _Raw(View):
    create = raw(Completions.create)
    parse = raw(Completions.parse)


class _Open(View):
    create = opened(Completions.create)
    parse = opened(Completions.parse)


class Chat(Resource):
    """``client.chat``."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(settings, transport)
        self.completions: Completions = Completions(settings, transport)


def _prepare(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_model(body)
    # A copy: ``send`` and ``open`` are passed a dict that is the caller's own.
    fields = body | {"messages": wire.prepared_messages(body.get("messages"))}
    if "tools" in body:
        fields["tools"] = sendable_tools(body["tools"])
    return fields


def _completion_of(images: ImagesResponse, task: ImageTask, model: str) -> ChatCompletion:
    """Return the completion of a chat whose images came by a task: they stand beside an empty text."""
    # As relays write them (WIRE.md 2.2, form 9); base64 may stand there without the start of a data URI (form 15).
    parts = [
        {"type": "image_url", "image_url": {"url": image.url or image.b64_json}}
        for image in images.data
        if image.url or image.b64_json
    ]
    message = {"role": "assistant", "content": "", "images": parts}
    body: dict[str, Any] = {
        "id": task.id,
        "object": "chat.completion",
        "created": images.created,
        "model": task.model or model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    usage = images.to_dict().get("usage")
    body |= {} if usage is None else {"usage": usage}
    completion = wire.read_completion(msgspec.json.encode(body), images.meta)
    origin = provenance(images).origin
    if origin is not None:
        set_origin(completion, Origin(images.meta, origin.find, _FIND_AUDIO))
    return completion


def _many(body: Mapping[str, Any]) -> int:
    """Return how many choices were asked for if it is several, else 0: without ``n`` all pieces belong to one."""
    return several(body.get("n"))


_FIND_AUDIO = partial(audio_in, asked="")


def _audio_finder(body: Mapping[str, Any]) -> Callable[[ChatCompletion], Sound | None]:
    """Return what finds the audio in an answer: raw samples have no header, so it has to know the format asked for."""
    audio: Mapping[str, Any] | str | None = body.get("audio")
    if audio is None:
        return _FIND_AUDIO
    asked: Mapping[str, Any] = audio if isinstance(audio, Mapping) else {}
    return partial(audio_in, asked=str(asked.get("format") or ""))


def _read(data: bytes | bytearray, reply: Reply, info: RequestInfo) -> ChatCompletion:
    origin = info.origin(reply, _audio_finder(info.body))
    many, max_bytes = _many(info.body), reply.call.max_bytes
    return read_body(data, origin, many=many, max_bytes=max_bytes, content_type=reply.content_type)


async def _begin(reply: Reply, info: RequestInfo) -> ChatStream:
    return await ChatStream.begin(reply, info.origin(reply, _audio_finder(info.body)), many=_many(info.body))


_CHAT = Endpoint(
    "chat.completions.create",
    "/chat/completions",
    known=wire.names(ChatFields, "stream"),
    prepare=_prepare,
    # Models that draw are on this path too, so their names decide (WIRE.md 2.2).
    makes_image=wire.makes_image,
    read=_read,
    begin=_begin,
)
_PARSE = _CHAT.for_call("chat.completions.parse")
_STREAM = _CHAT.for_call("chat.completions.stream")
_RUN = _CHAT.for_call("chat.completions.run_tools", "max_rounds", "raise_tool_errors")
