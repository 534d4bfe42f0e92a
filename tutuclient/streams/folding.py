"""Chunks folded into the completion that they are the pieces of.

A piece is appended to a list and joined when somebody asks, so that a chunk costs the same however long the answer is.
"""

from __future__ import annotations

import operator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import asdict, astuple, force_setattr, replace

from tutuclient import wire
from tutuclient.streams.tool_calls import ToolCalls, TooManyError
from tutuclient.types.audio import join_base64
from tutuclient.types.base import remember_part
from tutuclient.types.chat import (
    ChatAudio,
    ChatAudioDelta,
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatDelta,
    ChatMessage,
    ChoiceLogprobs,
    FunctionCall,
    FunctionCallDelta,
    Moderation,
    ToolCallDelta,
    fuller,
    is_thought,
)
from tutuclient.types.json import is_list, is_object, read_json
from tutuclient.types.provenance import copy_provenance, provenance, remember, set_origin

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import SupportsIndex

    from tutuclient.types.chat import TokenLogprob, Usage

# The fields of a block of reasoning that come in pieces.
_IN_PIECES = ("text", "summary", "thinking")
# Where those fields of a delta begin that hardly any chunk has: one look at the rest spares a look at each.
_REST = ChatDelta.__struct_fields__.index("annotations")


class _Choice:
    """One choice, as far as it has come."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.reasoning_content: list[str] = []
        self.reasoning: list[str] = []
        self.reasoning_text: list[str] = []
        self.thoughts: list[Any] = []
        self.refusal: list[str] = []
        self.parts: list[Any] = []
        self.tools = ToolCalls()
        self.function_name = ""
        self.function_arguments: list[str] = []
        self.role = ""
        self.images: list[Any] = []
        self.lists: dict[str, list[Any]] = {"annotations": [], "reasoning_details": []}
        self.audio: dict[str, Any] = {}
        self.audio_pieces: dict[str, list[str]] = {"data": [], "transcript": []}
        self.logprobs: tuple[list[TokenLogprob], list[TokenLogprob]] | None = None
        self.finish_reason: str | None = None
        self.from_messages = False
        self.other_reasoning: dict[str, list[Any]] = {}
        self.has_empty_reasoning = False

    def add(self, choice: ChatChunkChoice, raw: Callable[[], dict[str, Any]]) -> None:
        delta = choice.delta
        # Of one answer over several choices (see ``one_choice``) the choice with the calls has the reason that counts;
        # that of the text may come after it.
        if choice.finish_reason and not (self.finish_reason in _CALLING and choice.finish_reason == "stop"):
            self.finish_reason = choice.finish_reason
        if choice.logprobs:
            self._add_logprobs(choice.logprobs)
        if delta.parts or self.parts:
            self._add_parts(delta)
        if delta.content:
            self.content.append(delta.content)
        self.role = self.role or delta.role or ""
        self._add_thoughts(delta)
        if delta.refusal:
            self.refusal.append(delta.refusal)
        if delta.tool_calls or delta.function_call:
            self._add_calls(delta, raw, choice.index)
        if any(astuple(delta)[_REST:]):
            self._add_rest(delta)

    def add_other_reasoning(self, delta: dict[str, Any]) -> None:
        """Add reasoning under names that ``ChatDelta`` does not have: it has to go back with tool calls."""
        for name, value in delta.items():
            if value is not None and is_thought(name) and name not in _DELTA_FIELDS:
                pieces = self.other_reasoning.setdefault(name, [])
                if value not in pieces[-1:]:  # copilot-api repeats its reasoning_opaque in some chunks.
                    pieces.append(value)
                    _check_count(pieces)

    def new_in_message(self, delta: ChatDelta) -> ChatDelta:
        """Return what a message in place of a delta adds: it may repeat what came in deltas (WIRE.md 3.3, item 12)."""
        if self.from_messages or not self.has_content:
            self.from_messages = True  # This relay writes "message" for "delta" in every chunk.
            return delta
        new: dict[str, Any] = {name: _new_text(getattr(delta, name), getattr(self, name)) for name in _TEXTS}
        for name, known in (("images", self.images), *self.lists.items()):
            items: Any = getattr(delta, name)
            new[name] = [item for item in items if item not in known] if is_list(items) else items
        if delta.image in self.images:
            new["image"] = None
        if delta.parts:  # Its text is in the content.
            texts = (None, "", "text", "output_text")
            new["parts"] = [part for part in delta.parts if is_object(part) and part.get("type") not in texts] or None
        if self.thoughts:
            new["thoughts"] = None
        if self.audio or any(self.audio_pieces.values()):
            new["audio"] = None
        if self.function_name or self.function_arguments:
            new["function_call"] = None
        if delta.tool_calls and self.tools.calls:
            new["tool_calls"] = [call for call in delta.tool_calls if not self.tools.has(call)] or None
        return replace(delta, **new)

    def _add_thoughts(self, delta: ChatDelta) -> None:
        # Both names are kept, each by itself: relays write the same text under both (WIRE.md 3.3, item 10).
        if delta.reasoning_content:
            self.reasoning_content.append(delta.reasoning_content)
        elif delta.reasoning_content is not None:
            self.has_empty_reasoning = True  # Kimi wants even an empty one back with tool calls.
        if delta.reasoning:
            self.reasoning.append(delta.reasoning)

    def _add_parts(self, delta: ChatDelta) -> None:
        # Mistral sends its reasoning as a list of parts and then its answer as text: the parts keep both, in order.
        if not self.parts and self.content:
            self.parts.append({"type": "text", "text": "".join(self.content)})
        self.parts += delta.parts or ([{"type": "text", "text": delta.content}] if delta.content else [])
        _check_count(self.parts)

    def _add_calls(self, delta: ChatDelta, raw: Callable[[], dict[str, Any]], number: int) -> None:
        if delta.tool_calls:
            # Parsed only where there are calls: their unknown fields have to go back to the relay (WIRE.md 3.3, item
            # 9).
            raws: list[dict[str, Any]] | str | None = raw().get("tool_calls")
            for place, piece in enumerate(delta.tool_calls):
                fields = raws[place] if isinstance(raws, list) and len(raws) == len(delta.tool_calls) else {}
                self.tools.add(piece, fields, choice=number)
        if delta.function_call:
            self.function_name = self.function_name or delta.function_call.name or ""
            self.function_arguments.append(delta.function_call.arguments or "")

    def _add_rest(self, delta: ChatDelta) -> None:
        if delta.reasoning_text:
            self.reasoning_text.append(delta.reasoning_text)
        if delta.thoughts:
            self.thoughts.append(delta.thoughts)
        for images in (delta.images, delta.image):  # WIRE.md 2.2, forms 9 to 12.
            if images:
                self.images += images if isinstance(images, list) else [images]
        _check_count(self.images)
        for name, items in self.lists.items():
            more: list[Any] | str | None = getattr(delta, name)
            if isinstance(more, list):
                items.extend(more)
                _check_count(items)
        if delta.audio is not None:
            self._add_audio(asdict(delta.audio))

    def _add_audio(self, audio: dict[str, Any]) -> None:
        for name, value in audio.items():
            # Data and transcript come in pieces; of id and expires_at, which come once or in each, the last counts
            # (WIRE.md 1.6).
            if isinstance(value, str) and name in self.audio_pieces:
                self.audio_pieces[name].append(value)
            elif value is not None:
                self.audio[name] = value

    def _add_logprobs(self, logprobs: ChoiceLogprobs) -> None:
        content, refusal = self.logprobs = self.logprobs or ([], [])
        content += logprobs.content or ()
        refusal += logprobs.refusal or ()
        _check_count(content, _MOST_TOKENS)
        _check_count(refusal, _MOST_TOKENS)

    @property
    def has_content(self) -> bool:
        reasoning = self.reasoning_content or self.reasoning or self.reasoning_text or self.thoughts
        reasoning = reasoning or self.lists["reasoning_details"]
        text = self.content or self.parts or self.refusal or self.tools.calls or self.function_arguments or self.images
        audio = self.audio or any(self.audio_pieces.values())
        return bool(text or audio or reasoning or self.finish_reason)

    def _whole_audio(self) -> dict[str, Any]:
        pieces = self.audio_pieces
        joined = {"data": join_base64(pieces["data"]), "transcript": "".join(pieces["transcript"])}
        return self.audio | {name: text for name, text in joined.items() if text}

    def _whole_thoughts(self) -> Any:
        texts = [thought for thought in self.thoughts if isinstance(thought, str)]
        if len(texts) == len(self.thoughts):
            return "".join(texts) or None
        lists: list[list[Any]] = [thought if is_list(thought) else [thought] for thought in self.thoughts]
        return list(chain.from_iterable(lists))

    def _whole_other_reasoning(self) -> dict[str, Any]:
        """Join texts and lists, which come in pieces; of anything else the last counts."""
        whole: dict[str, Any] = {}
        for name, pieces in self.other_reasoning.items():
            if all(isinstance(piece, str) for piece in pieces):
                whole[name] = "".join(pieces)
            elif all(map(is_list, pieces)):
                whole[name] = _joined_blocks(list(chain.from_iterable(pieces)))
            else:
                whole[name] = pieces[-1]
        return whole

    def finish(self, index: int) -> ChatChoice:
        calls, audio = self.tools.finish(), self._whole_audio()
        content, refusal = self.logprobs or ([], [])
        logprobs = self.logprobs and ChoiceLogprobs(content=content[:] or None, refusal=refusal[:] or None)
        function = None
        if self.function_name or self.function_arguments:
            function = FunctionCall(name=self.function_name, arguments="".join(self.function_arguments))
        # The API has null, not "", where a message has no text because it has something else (WIRE.md 5, "content").
        no_text = bool(calls or function or self.images or audio or self.refusal) and not self.content
        message = ChatMessage(
            role=self.role or "assistant",
            content=None if no_text else "".join(self.content),
            parts=self.parts or None,
            refusal="".join(self.refusal) or None,
            tool_calls=calls or None,
            function_call=function,
            annotations=self.lists["annotations"] or None,
            audio=wire.fit_struct(audio, ChatAudio) if audio else None,
            reasoning_content="".join(self.reasoning_content) or ("" if calls and self.has_empty_reasoning else None),
            reasoning="".join(self.reasoning) or None,
            reasoning_details=_joined_blocks(self.lists["reasoning_details"]) or None,
            images=self.images or None,
            reasoning_text="".join(self.reasoning_text) or None,
            thoughts=self._whole_thoughts(),
        )
        if self.other_reasoning:
            remember(message, (self._whole_other_reasoning(), ()))
        return ChatChoice(index=index, message=message, finish_reason=self.finish_reason, logprobs=logprobs)


_CALLING = frozenset({"tool_calls", "function_call"})
_TEXTS = ("content", "reasoning_content", "reasoning", "reasoning_text", "refusal")
_MOST_ITEMS = 100_000
_MOST_TOKENS = 500_000
_MOST_FRAMES = 20
# Bytes of frames that are parsed for the answer's unknown fields: parsed JSON takes ten times its size.
_FRAMES_BYTES = 2**20


def _check_count(items: list[Any], most: int = _MOST_ITEMS) -> None:
    if len(items) > most:
        raise TooManyError(f"more than {most:,} parts")


def _joined_blocks(items: list[Any]) -> list[Any]:
    """Join pieces of reasoning to their blocks: a signature is valid for a whole block only.

    Sources: agno#8794, OpenRouterTeam/ai-sdk-provider#423 ("Invalid signature in thinking block").
    """
    blocks: list[list[Any]] = []
    last: dict[tuple[str, str], list[Any]] = {}
    for item in items:
        block = None
        if is_object(item):
            place = (str(item.get("type")), str(item.get("index")))
            block = last.get(place)
            # Without a number only pieces that come one after the other belong together.
            if block is not None and not (item.get("index") is not None or block is blocks[-1]):
                block = None
            if block is None or not _continues(block, item):
                block = last[place] = []
                blocks.append(block)
            block.append(item)
        else:
            blocks.append([item])
    return [block[0] if len(block) == 1 else _joined_block(block) for block in blocks]


def _continues(block: list[dict[str, Any]], item: dict[str, Any]) -> bool:
    if not any(isinstance(item.get(name), str) for name in _IN_PIECES) and not item.get("signature"):
        return False
    ids = {part["id"] for part in (block[0], item) if isinstance(part.get("id"), str)}
    return len(ids) < 2 and not block[-1].get("signature")  # noqa: PLR2004  (two blocks)


def _joined_block(block: list[dict[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for item in block:
        whole |= {name: value for name, value in item.items() if whole.get(name) in (None, "")}
    for name in _IN_PIECES:
        texts = [text for item in block if isinstance(text := item.get(name), str)]
        if texts:
            whole[name] = "".join(texts)
    return whole


def _new_text(text: str | None, pieces: list[str]) -> str | None:
    """Return the part of a text that has not come in pieces yet.

    The pieces are joined in place: a relay that sends a message with every chunk would have them joined anew each time.
    """
    if not text or not pieces:
        return text
    if len(pieces) > 1:
        pieces[:] = ["".join(pieces)]
    came = pieces[0]
    if text.strip() == came.strip():
        return None
    return text.removeprefix(came)


class Folder:
    """Folds chunks into the completion that they are the pieces of.

    Args:
        many: How many choices the request asked for (``n`` over 1; True when that is not known). Otherwise all chunks
            belong to one, whatever number a relay writes on them (WIRE.md 3.3, item 7).

    Attributes:
        many: The argument.
        usage: The last usage that came.
        text: The list that takes the text of a chunk with one choice and nothing but text: appending to it is all that
            ``add`` would do for nearly every chunk. None while a chunk may still add to the answer's frame.
        thoughts: The same for ``reasoning_content``, while ``text`` is not None.
    """

    def __init__(self, *, many: int = False) -> None:
        self.many: int = many
        self._frames: list[ChatCompletionChunk] = []
        self._unknown: dict[str, Any] = {}
        self._room = _FRAMES_BYTES
        self._moderation: Any = None
        self._choices: dict[int, _Choice] = {}
        self._head: ChatCompletionChunk | None = None
        self._whole: ChatCompletion | None = None
        self.usage: Usage | None = None
        self.text: list[str] | None = None
        self.thoughts: list[str] = []
        self._progress = 0
        self._only: _Choice | None = None

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Add the next chunk."""
        self._progress += any(map(has_content, chunk.choices))
        if chunk.usage is not None:
            # In one chunk, in each of them as a running sum, or once more with null counters (WIRE.md 3.3, item 3).
            self.usage = fuller(self.usage, chunk.usage)
            if provenance(chunk.usage).place is None:
                remember_part(chunk.usage, chunk.raw, ("usage",))
        if chunk.moderation is not None:
            self._moderation = chunk.moderation
        head = self._head
        # Unknown fields of the whole answer (citations, provider) are looked for in the first and last chunks and those
        # without choices: parsing every chunk once more would double its cost.
        if head is None or chunk.usage is not None or not chunk.choices or chunk.choices[0].finish_reason:
            self._keep_frame(chunk)
        # The first frames may have neither id nor model, and later ones others (WIRE.md 3.3, items 1 and 6).
        if head is None or (chunk.id and not head.id) or (chunk.model and not head.model):
            self._head = chunk
        for number, choice in enumerate(chunk.choices):
            index = choice.index if self.many else 0
            self._choice(index).add(choice, partial(_raw_delta, chunk, number))
        self._choose_text()

    def add_other_reasoning(self, chunk: ChatCompletionChunk) -> None:
        """Add reasoning in a chunk's deltas under names that ``ChatDelta`` does not have."""
        for number, choice in enumerate(chunk.choices):
            for delta in _raw_deltas(chunk, number)[:1]:
                self._choice(choice.index if self.many else 0).add_other_reasoning(delta)

    def _choice(self, index: int) -> _Choice:
        folded = self._choices.get(index)
        if folded is None:
            if len(self._choices) >= max(wire.MOST_CHOICES, self.many):
                raise TooManyError(f"more than {wire.MOST_CHOICES:,} choices")
            folded = self._choices[index] = _Choice()
        return folded

    def merge_message(self, choice: ChatChunkChoice) -> None:
        """Add to a choice's empty delta what the whole message beside it adds to what has come."""
        if choice.message is None or any(astuple(choice.delta)[1:]):
            return
        index = choice.index if self.many else 0
        force_setattr(choice, "delta", self._choice(index).new_in_message(as_delta(choice.message)))

    def _keep_frame(self, chunk: ChatCompletionChunk) -> None:
        self._room -= len(provenance(chunk).raw)
        if self._room > 0:
            self._frames.append(chunk)
        if len(self._frames) > _MOST_FRAMES:
            self._read_frames()

    def _read_frames(self) -> None:
        frames, self._frames = self._frames, []
        for chunk in frames:
            known = provenance(chunk)
            tree: dict[str, Any] = known.tree or (read_json(known.raw) if known.raw else {})
            self._unknown |= {name: value for name, value in tree.items() if name.lower() not in _KNOWN}

    def _choose_text(self) -> None:
        """Set where pieces of mere text go from now on."""
        self.text, head = None, self._head
        if self.many or len(self._choices) != 1 or head is None or not (head.id and head.model):
            return
        (only,) = self._choices.values()
        if not only.parts:
            self._only, self.text, self.thoughts = only, only.content, only.reasoning_content

    def add_whole(self, completion: ChatCompletion) -> None:
        """Set a whole answer, which came in place of chunks."""
        self._progress += 1
        self._whole = completion

    def first_text(self, chunk: ChatCompletionChunk) -> str:
        """Return what a chunk adds to the text of the first choice, whatever number a relay writes on its pieces."""
        mine = (choice for choice in chunk.choices if not self.many or choice.index == 0)
        return "".join(choice.delta.content or "" for choice in mine)

    @property
    def began(self) -> bool:
        """Whether anything has come."""
        return self._head is not None or self._whole is not None

    @property
    def progress(self) -> int:
        """A number that is 0 at first, and grows with every chunk that carries something of the answer.

        Frames with a role alone do not count, nor empty ones, which some servers send to keep the connection alive
        (WIRE.md 3.3, item 11).
        """
        only = self._only
        return self._progress if only is None else self._progress + len(only.content) + len(only.reasoning_content)

    @property
    def finished(self) -> bool:
        """Whether there are choices and each has a ``finish_reason``, or the answer came whole."""
        if self._whole is not None:
            return True
        choices = self._choices
        return len(choices) >= max(self.many, 1) and all(choice.finish_reason for choice in choices.values())

    def completion(self) -> ChatCompletion:
        """Return the completion as far as it has come. A usage that never came is None."""
        if self._whole is not None:
            return self._whole
        head = self._head or ChatCompletionChunk()
        completion = ChatCompletion(
            id=head.id,
            object="chat.completion",
            created=head.created,
            model=head.model,
            # Those of n > 1 come interleaved (WIRE.md 3.3, item 7).
            choices=[choice.finish(index) for index, choice in sorted(self._choices.items())],
            usage=self.usage,
            system_fingerprint=head.system_fingerprint,
            service_tier=head.service_tier,
            moderation=wire.fit_struct(self._moderation, Moderation) if is_object(self._moderation) else None,
        )
        self._read_frames()
        provenance(completion).unknown = dict(self._unknown)
        if (origin := provenance(head).origin) is not None:
            set_origin(completion, origin)
        return completion


def has_content(choice: ChatChunkChoice) -> bool:
    """Return whether a choice of a chunk carries something of the answer, beyond a role."""
    return bool(choice.finish_reason) or any(astuple(choice.delta)[1:])


_KNOWN = frozenset(ChatCompletionChunk.__struct_encode_fields__)
_DELTA_FIELDS = frozenset(ChatDelta.__struct_encode_fields__)


def _raw_delta(chunk: ChatCompletionChunk, number: int) -> dict[str, Any]:
    none: dict[str, Any] = {}
    return next((delta for delta in _raw_deltas(chunk, number) if delta.get("tool_calls")), none)


def _raw_deltas(chunk: ChatCompletionChunk, number: int) -> list[dict[str, Any]]:
    """Return the JSON of a choice's delta and message, as far as they are there."""
    # What msgspec could not decode was picked from other places, so the lists may differ in length.
    choices: list[Any] | str | None = chunk.to_dict().get("choices")
    choice: dict[str, Any] | str = (
        choices[number] if isinstance(choices, list) and len(choices) == len(chunk.choices) else {}
    )
    both: list[Any] = [choice.get("delta"), choice.get("message")] if is_object(choice) else []
    return [delta for delta in both if is_object(delta)]


def as_delta(message: ChatMessage) -> ChatDelta:
    """Return a whole message as the delta that brings all of it."""
    calls = [
        ToolCallDelta(index=index, id=call.id, type=call.type, function=_as_piece(call.function), custom=call.custom)
        for index, call in enumerate(message.tool_calls or ())
    ]
    fields: dict[str, Any] = {name: getattr(message, name) for name in ChatDelta.__struct_fields__}
    fields["tool_calls"] = calls or None
    fields["function_call"] = _as_piece(message.function_call) if message.function_call else None
    fields["audio"] = ChatAudioDelta(**asdict(message.audio)) if message.audio else None
    return ChatDelta(**fields)


def _as_piece(function: FunctionCall) -> FunctionCallDelta:
    return FunctionCallDelta(name=function.name, arguments=function.arguments)


def several(n: object) -> int:
    """Return a request's ``n`` if it is over 1, else 0; relays accept digits in a string too."""
    if n is None:  # Nearly every request; raising and catching below would cost more than all the rest.
        return 0
    try:
        number = int(n) if isinstance(n, str) else operator.index(cast("SupportsIndex", n))
    except (TypeError, ValueError):
        return 0
    return number if number > 1 else 0


def one_choice(completion: ChatCompletion) -> ChatCompletion:
    """Merge several choices that nobody asked for: text in one, tool calls in the next (Copilot's Claude).

    Sources: zeroclaw PR 2136, nanobot PR 1555, litellm PR 35444.
    """
    if len(completion.choices) < 2:  # noqa: PLR2004  (several)
        return completion
    messages = [choice.message for choice in completion.choices]
    fields: dict[str, Any] = {}
    for name in ChatMessage.__struct_fields__:
        values: list[Any] = [value for message in messages if (value := getattr(message, name))]
        if name in _TEXTS and values:
            fields[name] = "".join(dict.fromkeys(values))  # Some write the same text into each.
        elif values and all(isinstance(value, list) for value in values):
            fields[name] = list(chain.from_iterable(values))
        else:
            fields[name] = values[0] if values else getattr(messages[0], name)
    message = ChatMessage(**fields)
    if message.parts is not None:
        parts = ([{"type": "text", "text": each.content}] if each.content else [] for each in messages)
        pairs = zip(messages, parts, strict=True)
        force_setattr(message, "parts", [part for each, own in pairs for part in (each.parts or own)])
    callers = [choice for choice in completion.choices if choice.message.tool_calls or choice.message.function_call]
    reasons = [choice.finish_reason for choice in callers or completion.choices if choice.finish_reason]
    logprobs = next((choice.logprobs for choice in completion.choices if choice.logprobs is not None), None)
    choice = ChatChoice(message=message, finish_reason=reasons[-1] if reasons else None, logprobs=logprobs)
    # Only the unknown fields are kept as JSON: that of the known ones is no longer the whole of any field.
    remember(message, ({name: value for each in reversed(messages) for name, value in each.extra.items()}, ()))
    extras = (each.extra.items() for each in reversed(completion.choices))
    remember(choice, (dict(chain.from_iterable(extras)), ()))
    folded = replace(completion, choices=[choice])
    copy_provenance(completion, folded)
    return folded
