"""The few fields of an answer that a program reads, for the contenders that decode with msgspec by hand."""

from __future__ import annotations

import msgspec


class Delta(msgspec.Struct, gc=False):
    """What a chunk adds."""

    content: str | None = None


class ChunkChoice(msgspec.Struct, gc=False):
    """One choice of a chunk."""

    delta: Delta
    finish_reason: str | None = None


class Chunk(msgspec.Struct, gc=False):
    """A chunk of a stream."""

    choices: list[ChunkChoice]


class Message(msgspec.Struct, gc=False):
    """The message of a whole answer."""

    content: str | None = None


class Choice(msgspec.Struct, gc=False):
    """One choice of a whole answer."""

    message: Message
    finish_reason: str | None = None


class Usage(msgspec.Struct, gc=False):
    """What was counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(msgspec.Struct, gc=False):
    """A whole answer."""

    choices: list[Choice]
    usage: Usage | None = None


class Picture(msgspec.Struct, gc=False):
    """A picture that was made."""

    b64_json: str | None = None


class Pictures(msgspec.Struct, gc=False):
    """The answer of the images endpoint."""

    data: list[Picture]


decode_chunk = msgspec.json.Decoder(Chunk).decode
decode_completion = msgspec.json.Decoder(Completion).decode
decode_pictures = msgspec.json.Decoder(Pictures).decode
encode = msgspec.json.Encoder().encode
