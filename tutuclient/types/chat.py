"""Chat completions: the fields of a request, the whole answer, and the chunks of a streamed one.

Source: the relay's pages "Chat(分析图片)" and "Chat(修改图片)", and the field names of
the OpenAI API they follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence  # noqa: TC003  (msgspec reads annotations at run time)
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

import msgspec

from tutuclient.types.answer import Answer, Nested, Plain, kept, unknown_field

if TYPE_CHECKING:
    from tutuclient.generated import GeneratedImage
    from tutuclient.sound import Sound
    from tutuclient.types.answer import Origin


class CommonFields(TypedDict, total=False):
    """The fields of a chat request that mean the same whatever is done with the answer."""

    audio: Mapping[str, Any] | None
    frequency_penalty: float | None
    function_call: str | Mapping[str, Any]
    functions: Iterable[Mapping[str, Any]]
    logit_bias: Mapping[str, int] | None
    logprobs: bool | None
    max_completion_tokens: int | None
    max_tokens: int | None
    metadata: Mapping[str, str] | None
    modalities: Sequence[Literal["text", "audio", "image"]] | None
    moderation: Mapping[str, Any] | None
    n: int | None
    parallel_tool_calls: bool
    prediction: Mapping[str, Any] | None
    presence_penalty: float | None
    prompt_cache_key: str | None
    prompt_cache_options: Mapping[str, Any]
    prompt_cache_retention: str | None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None
    safety_identifier: str | None
    seed: int | None
    service_tier: str | None
    stop: str | Sequence[str] | None
    store: bool | None
    stream_options: Mapping[str, Any] | None
    temperature: float | None
    tool_choice: str | Mapping[str, Any]
    top_logprobs: int | None
    top_p: float | None
    user: str
    verbosity: Literal["low", "medium", "high"] | None
    web_search_options: Mapping[str, Any] | None


class RunFields(CommonFields, total=False):
    """The fields of ``run_tools``, whose tools are an argument of their own."""

    response_format: Mapping[str, Any]


class ParseFields(CommonFields, total=False):
    """The fields of ``parse`` and ``stream``, whose format is an argument of its own."""

    tools: Iterable[Mapping[str, Any] | Callable[..., Any]]


class ChatFields(RunFields, ParseFields, total=False):
    """Every field of a chat request beside ``model``, ``messages`` and ``stream``.

    A field that is not given is not sent; None is sent as null. Keywords that
    are not listed here go into the body as they are: relays have fields of their
    own (``enable_thinking``, ``top_k``, ``size``…). Typed code passes those in
    ``extra_body``. ``tools`` may be plain functions too.
    """


class CallFields(ChatFields, total=False):
    """The same, and what is said of one call alone: fields over those of the body, headers, query parameters."""

    extra_body: Mapping[str, Any] | None
    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, object] | None


class PromptTokensDetails(Nested, frozen=True, kw_only=True):
    """What the prompt's tokens were; None where the relay does not say."""

    cached_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionTokensDetails(Nested, frozen=True, kw_only=True):
    """What the answer's tokens were; None where the relay does not say."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class Usage(Nested, frozen=True, kw_only=True):
    """Tokens used, as the relay says; None where it does not.

    Some relays write ``input_tokens`` and ``output_tokens`` instead of the usual
    names; both pairs are filled from whichever came. Relays may count by
    themselves, so these are no proof of what was billed.
    """

    OWN = frozenset({"input_tokens", "output_tokens"})

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None

    def __post_init__(self) -> None:
        for one, other in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")):
            first, second = getattr(self, one), getattr(self, other)
            if first is None or (first == 0 and second):
                msgspec.structs.force_setattr(self, one, second)
            elif second is None:
                msgspec.structs.force_setattr(self, other, first)
        if self.total_tokens is None and self.prompt_tokens is not None and self.completion_tokens is not None:
            msgspec.structs.force_setattr(self, "total_tokens", self.prompt_tokens + self.completion_tokens)


class FunctionCall(Plain, frozen=True, kw_only=True):
    """A function the model wants called; ``arguments`` is JSON text, written by the model and unchecked."""

    name: str = ""
    arguments: str = ""


class ToolCall(Nested, frozen=True, kw_only=True):
    """A tool the model wants used; its ``id`` goes back with the result."""

    OWN = frozenset({"custom"})

    id: str = ""
    type: str = "function"
    function: FunctionCall = FunctionCall()
    custom: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.type:
            msgspec.structs.force_setattr(self, "type", "custom" if self.custom else "function")

    def _filled(self, tree: dict[str, Any] | None) -> dict[str, Any]:
        done = super()._filled(tree)
        if self.custom is not None:  # What it is instead of a function; the API takes one of the two.
            del done["function"]
        return done


class ChatAudio(Nested, frozen=True, kw_only=True):
    """What a message says aloud; ``ChatCompletion.sound`` has it decoded.

    Attributes:
        id: The relay's name for it, which goes back with the message.
        data: Base64 of the sound, in the format that was asked for.
        expires_at: When the relay forgets it, in seconds since the epoch, or None.
        transcript: What is said in it.
    """

    id: str = ""
    data: str = ""
    expires_at: int | None = None
    transcript: str | None = None


class ChatMessage(Nested, frozen=True, kw_only=True):
    """The message of an answer. It can be sent back as it is, as one of ``messages``.

    Attributes:
        content: The text, or None. When the relay sent a list of parts, their text joined.
        parts: The content as it came when it came as a list of parts, else None.
        reasoning_content: What the model thought aloud, or None.
        reasoning: The same under another relay's name.
        images: Picture parts beside the text, as they came; ``ChatCompletion.images`` reads them.
        image: The same in an older form.
    """

    OWN = frozenset({"image", "images", "parts", "reasoning", "reasoning_content", "reasoning_details"})

    role: str = "assistant"
    content: str | None = None
    parts: list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    annotations: Any = None
    audio: ChatAudio | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Any = None
    images: Any = None
    image: Any = None

    @property
    def text(self) -> str:
        """The content, or "" when there is none."""
        return self.content or ""

    @property
    def thinking(self) -> str:
        """What the model thought aloud, whichever field the relay puts it in, or ""."""
        return self.reasoning_content or self.reasoning or ""

    def _filled(self, tree: dict[str, Any] | None) -> dict[str, Any]:
        done = super()._filled(tree)
        if (parts := done.pop("parts", None)) is not None:
            done["content"] = parts
        return done


class TopLogprob(Plain, frozen=True, kw_only=True, gc=False):
    """A token that might have stood there, and the logarithm of its probability; nan where the relay gives none."""

    token: str = ""
    bytes: list[int] | None = None
    logprob: float = math.nan


class TokenLogprob(TopLogprob, frozen=True, kw_only=True, gc=False):
    """A token of the answer; ``top_logprobs`` has the likeliest in its place, when they were asked for."""

    top_logprobs: list[TopLogprob] = []


class ChoiceLogprobs(Plain, frozen=True, kw_only=True, gc=False):
    """How probable the tokens of a choice were; None where the relay does not say."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class ChatChoice(Nested, frozen=True, kw_only=True):
    """One of the ``n`` answers; ``finish_reason`` is the relay's own word, or None when it gave none."""

    index: int = 0
    message: ChatMessage = ChatMessage()
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None


class ChatCompletion(Answer, frozen=True, kw_only=True):
    """The whole answer of ``POST /chat/completions``. What the relay left out is None, "" or 0."""

    id: str = ""
    object: str = ""
    created: int = 0
    model: str = ""
    choices: list[ChatChoice] = []
    usage: Usage | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    metadata: dict[str, Any] | None = None
    moderation: Any = None

    if not TYPE_CHECKING:  # A checker is to find names that are misspelt.
        __getattr__ = unknown_field

    @property
    def message(self) -> ChatMessage:
        """The message of the first choice."""
        return self.choices[0].message if self.choices else ChatMessage()

    @property
    def text(self) -> str:
        """The text of the first choice, or ""."""
        return self.choices[0].message.content or "" if self.choices else ""

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended, in the relay's own word; None when it did not say."""
        return self.choices[0].finish_reason if self.choices else None

    @property
    def images(self) -> list[GeneratedImage]:
        """The pictures in the answer, in order of appearance, wherever the relay put them."""
        known = kept(self)
        if "images" not in known:
            origin = known.get("origin")
            known["images"] = [] if origin is None else origin.find(self)
        return cast("list[GeneratedImage]", known["images"])

    @property
    def sound(self) -> Sound | None:
        """What the first choice says aloud, decoded; None when it says nothing so.

        Raises:
            SoundError: Its base64 is damaged.
        """
        origin: Origin | None = kept(self).get("origin")
        return None if origin is None or origin.hear is None else origin.hear(self)


class FunctionCallDelta(Plain, frozen=True, kw_only=True, gc=False):
    """A piece of a function call; the pieces of ``arguments`` join to JSON text."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Plain, frozen=True, kw_only=True):
    """A piece of a tool call; ``index`` says of which, when the relay says so."""

    OWN = frozenset({"custom"})

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionCallDelta | None = None
    custom: dict[str, Any] | None = None


class ChatDelta(Plain, frozen=True, kw_only=True, gc=False):
    """What a chunk adds to the message; None where it adds nothing. Fields as in ``ChatMessage``."""

    OWN = frozenset({"annotations", "image", "images", "parts", "reasoning", "reasoning_content", "reasoning_details"})

    role: str | None = None
    content: str | None = None
    parts: list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: FunctionCallDelta | None = None
    annotations: Any = None
    audio: Any = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Any = None
    images: Any = None
    image: Any = None


class ChatChunkChoice(Plain, frozen=True, kw_only=True, gc=False):
    """One choice of a chunk. Relays number choices strangely: without ``n`` they all belong to one."""

    OWN = frozenset({"message"})

    index: int = 0
    delta: ChatDelta = ChatDelta()
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None
    message: ChatMessage | None = None


class ChatCompletionChunk(Answer, frozen=True, kw_only=True):
    """One event of a streamed answer. Fields as in ``ChatCompletion``.

    Attributes:
        obfuscation: Letters that make chunks equally long on the wire; they say nothing.
    """

    # In the order of the wire, in which msgspec finds them soonest.
    id: str = ""
    object: str = ""
    created: int = 0
    model: str = ""
    service_tier: str | None = None
    system_fingerprint: str | None = None
    choices: list[ChatChunkChoice] = []
    usage: Usage | None = None
    moderation: Any = None
    obfuscation: str | None = None

    @property
    def text(self) -> str:
        """The text this chunk adds, or ""."""
        return self.choices[0].delta.content or "" if self.choices else ""

    @property
    def thinking(self) -> str:
        """What this chunk adds to what the model thinks aloud, or ""."""
        if not self.choices:
            return ""
        delta = self.choices[0].delta
        return delta.reasoning_content or delta.reasoning or ""

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, on the chunk that says so; else None."""
        return self.choices[0].finish_reason if self.choices else None

    @property
    def images(self) -> list[GeneratedImage]:
        """The pictures that came beside the text of this very chunk; those in the text are in the folded answer."""
        origin = kept(self).get("origin")
        return [] if origin is None else origin.find(self)
