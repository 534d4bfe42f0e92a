"""One chat completion read from a body that was asked for whole, and may be a stream all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tutuclient import wire
from tutuclient.streams.chat import ChunkReader
from tutuclient.streams.events import stream_in
from tutuclient.streams.folding import one_choice
from tutuclient.types.provenance import set_origin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tutuclient.types.chat import ChatCompletion, ChatCompletionChunk
    from tutuclient.types.provenance import Origin


def read_body(
    data: bytes | bytearray, origin: Origin, *, many: int, max_bytes: int, content_type: str = ""
) -> ChatCompletion:
    """Read the body of a whole answer; fold one that is a stream, as events or written as JSON.

    ``many`` is as for ``Folder``, ``content_type`` in lower case. Raises what a stream would, with ``partial``.
    """
    # An object is not an event stream, whatever the header says: nearly every call is decided by this one byte.
    if data[:1] != b"{":
        reader = ChunkReader(origin, many=many, max_bytes=max_bytes)
        if (chunks := stream_in(data, content_type, reader)) is not None:
            return _folded(reader, chunks)
    read = wire.read_completion_or_chunks(data, origin.meta)
    if isinstance(read, list):
        reader = ChunkReader(origin, many=many, max_bytes=max_bytes)
        return _folded(reader, reader.read_values(read))
    # A relay may split one answer over several choices (WIRE.md 3.3, item 7).
    completion = read if many or len(read.choices) == 1 else one_choice(read)
    set_origin(completion, origin)
    return completion


def _folded(reader: ChunkReader, chunks: Iterable[ChatCompletionChunk]) -> ChatCompletion:
    for _ in chunks:  # Not kept: the folder has what they carry.
        pass
    return reader.folder.completion()
