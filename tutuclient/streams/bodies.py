"""One answer read from a body that may be a stream."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from tutuclient import wire
from tutuclient.errors import APIError
from tutuclient.streams.chat import ChunkReader
from tutuclient.streams.folding import one_choice
from tutuclient.types.provenance import set_origin

if TYPE_CHECKING:
    from collections.abc import Generator

    from tutuclient.types.chat import ChatCompletion
    from tutuclient.types.provenance import Origin

_PIECE = 64 * 2**10


def read_body(data: bytes | bytearray, origin: Origin, *, many: int, max_bytes: int) -> ChatCompletion:
    """Read the body of a whole answer; fold one that is a stream and is written as JSON.

    Raises:
        APIError: As a stream would, with ``partial``.
    """
    read = wire.read_completion_or_chunks(data, origin.meta)
    if not isinstance(read, list):  # Without a reader: nearly every call comes this way.
        completion = read if many or len(read.choices) == 1 else one_choice(read)
        set_origin(completion, origin)
        return completion
    reader = ChunkReader(origin, many=many, max_bytes=max_bytes)
    with _telling(reader):
        for _ in reader.pieces(read):
            pass
        reader.check_complete(strict=False)
    return reader.folder.completion()


@contextmanager
def _telling(reader: ChunkReader) -> Generator[None, None, None]:
    """Put what has come into the error that ends a reading."""
    try:
        yield
    except APIError as error:
        error.partial = reader.partial or error.partial
        if reader.folder.said_something:
            error.outcome = "unknown"
        raise


def fold(data: bytes | bytearray, origin: Origin, *, many: int, max_bytes: int) -> ChatCompletion:
    """Fold an event stream that came where a whole answer was asked for.

    Raises:
        APIError: As a stream would, with ``partial``.
    """
    reader = ChunkReader(origin, many=many, max_bytes=max_bytes)
    with _telling(reader):
        # In pieces as they come over the wire, since many short lines at once cost several times their size.
        pieces = (bytes(data[at : at + _PIECE]) for at in range(0, len(data), _PIECE))
        for _ in chain(chain.from_iterable(map(reader.feed, pieces)), reader.end()):
            pass
        reader.check_complete(strict=False)
    return reader.folder.completion()
