"""Chat completions: the fields of a request, the whole answer, and the chunks of a streamed one.

Source: the relay's documents "Chat(分析图片)" and "Chat(修改图片)", and the field names of
the OpenAI API they follow.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence  # noqa: TC003  (msgspec reads annotations at run time)
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

import msgspec

from tutuclient.types.base import Answer, Nested, Plain, unknown_field
from tutuclient.types.json import is_list, is_object
from tutuclient.types.provenance import images_of, provenance

if TYPE_CHECKING:
    from tutuclient.media.audio import Sound
    from tutuclient.media.image import GeneratedImage


# What serializers write where there is no reason: a word in place of null (DashScope, qwen behind relays).
# Source of the last: Gemini's enum of reasons, whose zero is "not yet".
_NO_REASONS = frozenset(
    {"", "null", "none", "undefined", "nil", "nan", "n/a", "-", "false", "unspecified", "finish_reason_unspecified"}
)
_USUAL_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
THOUGHT_PARTS = frozenset({"thinking", "reasoning", "reasoning_text", "reasoning.text", "reasoning.summary", "thought"})
# reasoning_content, reasoning, reasoning_details, reasoning_text and reasoning_opaque (Copilot's), thinking_blocks
# (litellm's), thought_signature and extra_content (Gemini's), signature and encrypted_content (of gateways to Claude).
_THOUGHT = re.compile(r"(?<!finish_)reason|think|thought|^extra_content$|signature|^encrypted_content$", re.IGNORECASE)
# Between two objects of an array stands a comma, so this is inside a text, or between two values run together.
_RUN_TOGETHER = re.compile(r"\}\s*\{")
_VALUES = json.JSONDecoder(strict=False)


def is_reason(word: str | None) -> bool:
    """Return whether a ``finish_reason`` is one: None, "" and the words for null are not."""
    return bool(word) and str(word).strip(" \t\r\n\"'()<>").lower() not in _NO_REASONS


def is_thought(name: str) -> bool:
    """Return whether a field of a message has what the model thought, or what a relay has to see again of that."""
    return _THOUGHT.search(name) is not None


def thoughts_of(value: Any) -> str:
    """Return the text of thoughts, written as a text, as parts, or as a part within a part.

    Sources: Mistral's ``{"type": "thinking", "thinking": [{"type": "text", …}]}``, OpenRouter's ``reasoning_details``
    (``text`` or ``summary``), Anthropic's blocks behind relays.
    """
    if isinstance(value, str):
        return value
    if is_list(value):
        return "".join(map(thoughts_of, value))
    if is_object(value):
        names = ("thinking", "reasoning", "text", "summary", "content")
        return next((text for name in names if (text := thoughts_of(value.get(name)))), "")
    return ""


def _thoughts_in_parts(parts: Any) -> str:
    found = [part for part in parts if is_object(part)] if is_list(parts) else []
    kinds = [part.get("type") for part in found]
    return "".join(
        thoughts_of(part)
        for part, kind in zip(found, kinds, strict=True)
        if isinstance(kind, str) and kind in THOUGHT_PARTS
    )


def _thinking(part: ChatMessage | ChatDelta) -> str:
    """Return the thoughts under the first name that has some: relays write the same text under several."""
    return (
        # Never joined: new-api fills two of them with the same text (.github/WIRE.md, section 3.3, 10).
        part.reasoning_content
        or part.reasoning
        or part.reasoning_text
        or thoughts_of(part.thoughts)
        or thoughts_of(part.reasoning_details)
        or _thoughts_in_parts(part.parts)
    )


def read_once(arguments: str) -> str:
    """Return the arguments of a call once when the relay wrote them whole several times (opencodex#361).

    An empty object beside them does not count: Claude's blocks begin with ``"input": {}``, which converters write too.
    """
    if not _RUN_TOGETHER.search(arguments):
        return arguments
    text = arguments.strip()
    found: list[tuple[Any, str]] = []
    try:
        while text:
            value, end = _VALUES.raw_decode(text)
            found.append((value, text[:end]))
            text = text[end:].strip()
            if len(found) > _MOST_VALUES:
                return arguments
    except (ValueError, RecursionError):
        return arguments
    filled = [one for one in found if one[0] != {}] or found
    first, once = filled[0]
    return once if len(found) > 1 and all(value == first for value, _ in filled) else arguments


_MOST_VALUES = 100


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

    A field without a value is not sent; None is sent as null. Keywords that
    are not listed here go into the body as they are: relays have fields of their
    own (``enable_thinking``, ``top_k``, ``size``…). Typed code passes those in
    ``extra_body``. ``tools`` may be plain functions too.
    """


class CallFields(ChatFields, total=False):
    """The same, and the options of one call: fields over those of the body, headers, query parameters."""

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
        # Some relays write both pairs of names, one of them as zeros (.github/WIRE.md, section 5, "usage").
        # Written out twice: every answer and the last chunk of every stream come here.
        first, second = self.prompt_tokens, self.input_tokens
        if first is None or (first == 0 and second):
            msgspec.structs.force_setattr(self, "prompt_tokens", second)
        elif second is None:
            msgspec.structs.force_setattr(self, "input_tokens", first)
        first, second = self.completion_tokens, self.output_tokens
        if first is None or (first == 0 and second):
            msgspec.structs.force_setattr(self, "completion_tokens", second)
        elif second is None:
            msgspec.structs.force_setattr(self, "output_tokens", first)
        if self.total_tokens is None and self.prompt_tokens is not None and self.completion_tokens is not None:
            msgspec.structs.force_setattr(self, "total_tokens", self.prompt_tokens + self.completion_tokens)


def fullness(usage: Any) -> int:
    """Return 2 for a usage that counts something, 1 for one of zeros alone, 0 for none and for one without numbers."""
    if usage is None:
        return 0
    if not isinstance(usage, Usage):
        return 2  # Endpoints without chat's fields send theirs once.
    if usage.total_tokens or usage.prompt_tokens or usage.completion_tokens:
        return 2
    return int(any(number == 0 for number in (usage.total_tokens, usage.prompt_tokens, usage.completion_tokens)))


def fuller(usage: Any, later: Any) -> Any:
    """Return the later of two usages, unless it has been emptied: relays write ``{}`` or nulls behind the numbers."""
    return later if later is not None and (usage is None or fullness(later) >= fullness(usage)) else usage


class Record(dict[str, Any]):
    """An object of an answer as it came: a dict, whose fields are attributes too, as openai's are.

    A field that is annotated and did not come is None.
    """

    PARTS: ClassVar[Mapping[str, type[Record]]] = {}

    if not TYPE_CHECKING:  # A checker is to find names that are misspelt.

        def __getattr__(self, name: str) -> Any:
            if name not in self and name not in type(self).__annotations__:
                raise AttributeError(f"{type(self).__name__} has no field {name!r}")
            value, part = self.get(name), self.PARTS.get(name)
            return part(value) if part is not None and isinstance(value, dict) else value


class URLCitation(Record):
    """The web address that a stretch of a message's text comes from; the indices count characters of the text."""

    url: str
    title: str
    start_index: int
    end_index: int


class Annotation(Record):
    """What is noted about a message: of a web search, where a stretch of the text comes from."""

    PARTS = {"url_citation": URLCitation}

    type: str
    url_citation: URLCitation


class CustomCall(Record):
    """A custom tool the model wants used; ``input`` is free text, written by the model and unchecked."""

    name: str
    input: str


class FunctionCall(Plain, frozen=True, kw_only=True):
    """A function the model wants called; ``arguments`` is JSON text, written by the model and unchecked."""

    name: str = ""
    arguments: str = ""

    def __post_init__(self) -> None:
        # Structs are frozen; ``force_setattr`` is msgspec's own way for ``__post_init__`` to normalize one.
        if self.arguments[-1:] == "}" and (once := read_once(self.arguments)) is not self.arguments:
            msgspec.structs.force_setattr(self, "arguments", once)


class ToolCall(Nested, frozen=True, kw_only=True):
    """A tool the model wants used; its ``id`` goes back with the result."""

    OWN = frozenset({"custom"})

    id: str = ""
    type: str = "function"
    function: FunctionCall = FunctionCall()
    if TYPE_CHECKING:
        custom: CustomCall | None = None
    else:
        custom: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.custom is not None:
            # msgspec decodes a dict, and no subclass of one, so ``Record`` is put around it here.
            msgspec.structs.force_setattr(self, "custom", CustomCall(self.custom))
        # new-api writes "" and null for it (.github/WIRE.md, section 3.3, 8).
        if not self.type:
            msgspec.structs.force_setattr(self, "type", "custom" if self.custom else "function")

    def _filled(self, tree: dict[str, Any] | None) -> dict[str, Any]:
        done = super()._filled(tree)
        if self.custom is not None:  # What it is instead of a function; the API takes one of the two.
            del done["function"]
        return done


class ChatAudio(Nested, frozen=True, kw_only=True):
    """The audio of a message; ``ChatCompletion.sound`` has it decoded.

    Attributes:
        id: The relay's name for it, which goes back with the message.
        data: Base64 of the audio, in the format that was asked for.
        expires_at: When the relay forgets it, in seconds since the epoch, or None.
        transcript: What is spoken in it.
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
        reasoning_text: The same under GitHub Copilot's name.
        thoughts: The same under the name "thinking", as it came.
        reasoning_details: The same as OpenRouter's list of pieces, as it came.
        annotations: Where the text comes from, when the web was searched.
        images: Image parts beside the text, as they came; ``ChatCompletion.images`` reads them.
        image: The same in an older form.
    """

    OWN = frozenset(
        {
            "image",
            "images",
            "parts",
            "reasoning",
            "reasoning_content",
            "reasoning_details",
            "reasoning_text",
            "thoughts",
        }
    )

    role: str = "assistant"
    content: str | None = None
    parts: list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    if TYPE_CHECKING:
        annotations: list[Annotation] | None = None
    else:
        annotations: Any = None
    audio: ChatAudio | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Any = None
    images: Any = None
    image: Any = None
    reasoning_text: str | None = None
    thoughts: Any = msgspec.field(default=None, name="thinking")

    def __post_init__(self) -> None:
        # As for ``ToolCall.custom``; annotations that are no list of objects stay as they came.
        notes: Any = self.annotations
        if notes is not None and is_list(notes):
            notes = [Annotation(note) if is_object(note) else note for note in notes]
            msgspec.structs.force_setattr(self, "annotations", notes)

    @property
    def text(self) -> str:
        """The content, or "" when there is none."""
        return self.content or ""

    @property
    def thinking(self) -> str:
        """The thoughts that the model wrote, whichever field or part the relay puts it in, or ""."""
        return _thinking(self)

    def _filled(self, tree: dict[str, Any] | None) -> dict[str, Any]:
        done = super()._filled(tree)
        if (parts := done.pop("parts", None)) is not None:
            done["content"] = parts
        return done


# gc=False: the collector does not visit them, of which an answer may have thousands. Nothing that is decoded from JSON
# refers back to what holds it, so there are no cycles to find.
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


# ``finish_reason`` is open text: converters pass on Claude's "tool_use" and "max_tokens", Cohere's "COMPLETE" and
# Gemini's "SAFETY" (.github/WIRE.md, section 3.3, 5).
class ChatChoice(Nested, frozen=True, kw_only=True):
    """One of the ``n`` answers; ``finish_reason`` is the relay's own word, or None when it gave none."""

    index: int = 0
    message: ChatMessage = ChatMessage()
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None

    def __post_init__(self) -> None:
        reason = self.finish_reason
        if reason not in _USUAL_REASONS and reason and not is_reason(reason):
            msgspec.structs.force_setattr(self, "finish_reason", None)


class ModerationResult(Nested, frozen=True, kw_only=True):
    """What was found in one text or image; None where the relay does not say."""

    type: str = "moderation_result"
    model: str | None = None
    flagged: bool | None = None
    categories: dict[str, Any] | None = None
    category_scores: dict[str, Any] | None = None
    category_applied_input_types: dict[str, Any] | None = None


class ModerationResults(Nested, frozen=True, kw_only=True):
    """What the moderation found, or, where ``type`` is "error", the ``code`` and the ``message`` of why it did not."""

    OWN = frozenset({"code", "message", "model", "results"})

    type: str = "moderation_results"
    model: str | None = None
    results: list[ModerationResult] | None = None
    code: str | None = None
    message: str | None = None


class Moderation(Nested, frozen=True, kw_only=True):
    """What was found in the request and in the answer, when ``moderation=`` asked for it."""

    input: ModerationResults | None = None
    output: ModerationResults | None = None


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
    moderation: Moderation | None = None

    if not TYPE_CHECKING:  # A checker is to find names that are misspelt.
        __getattr__ = unknown_field

    def _repr_html_(self) -> str:
        from tutuclient.types import showing  # noqa: PLC0415  (for notebooks alone)

        return showing.completion(self)

    @property
    def extra(self) -> dict[str, Any]:
        """The top-level fields of the answer that this client has no name for; of a stream, those of its chunks."""
        folded = provenance(self).unknown
        return super().extra if folded is None else dict(folded)

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
        """The images in the answer, in order of appearance, wherever the relay put them (WIRE.md, section 2.2)."""
        return images_of(self)

    @property
    def sound(self) -> Sound | None:
        """The audio of the first choice, decoded; None when it has none.

        Raises:
            SoundError: Its base64 is damaged.
        """
        origin = provenance(self).origin
        return None if origin is None or origin.find_audio is None else origin.find_audio(self)


class FunctionCallDelta(Plain, frozen=True, kw_only=True, gc=False):
    """A piece of a function call; the pieces of ``arguments`` join to JSON text."""

    name: str | None = None
    arguments: str | None = None


class ChatAudioDelta(Plain, frozen=True, kw_only=True, gc=False):
    """A piece of the audio of a message; None where this piece adds nothing. Fields as in ``ChatAudio``."""

    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


# All may be missing or null: Gemini, Grok and new-api's Claude channel leave out the index, others the type or the id
# of later pieces (.github/WIRE.md, section 3.3, 8).
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

    OWN = ChatMessage.OWN | {"annotations"}

    role: str | None = None
    content: str | None = None
    parts: list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: FunctionCallDelta | None = None
    annotations: Any = None
    audio: ChatAudioDelta | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Any = None
    images: Any = None
    image: Any = None
    reasoning_text: str | None = None
    thoughts: Any = msgspec.field(default=None, name="thinking")


class ChatChunkChoice(Plain, frozen=True, kw_only=True, gc=False):
    """One choice of a chunk. Relays number choices strangely: without ``n`` they all belong to one."""

    # A whole message where a delta belongs (.github/WIRE.md, section 3.3, 12), Moonshot's usage (pi#2017), and an error
    # in the middle of a stream (section 3.5).
    OWN = frozenset({"message", "usage", "error"})

    index: int = 0
    delta: ChatDelta = ChatDelta()
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None
    message: ChatMessage | None = None
    usage: Any = None
    error: Any = None


class ChatCompletionChunk(Answer, frozen=True, kw_only=True):
    """One event of a streamed answer. Fields as in ``ChatCompletion``.

    Attributes:
        obfuscation: Letters that make chunks equally long on the wire, without a meaning.
    """

    # ``id`` and ``model`` may be "", and change from chunk to chunk (.github/WIRE.md, section 3.3, 6).
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
        """The thoughts that this chunk adds, or ""."""
        return _thinking(self.choices[0].delta) if self.choices else ""

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, on the chunk that says so; else None."""
        return self.choices[0].finish_reason if self.choices else None

    @property
    def images(self) -> list[GeneratedImage]:
        """The images that came beside the text of this very chunk; those in the text are in the folded answer."""
        origin = provenance(self).origin
        # Not looked for in the text: an image's data may come in thousands of chunks, and searching all of it at each
        # would take quadratic time (.github/WIRE.md, section 2.3, 12).
        return [] if origin is None else origin.find(self)
