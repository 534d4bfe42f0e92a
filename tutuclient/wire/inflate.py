"""Compressed bodies, decompressed within a limit: a bomb is stopped, not unpacked."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from tutuclient.errors import printable
from tutuclient.wire.decoding import too_large, unexpected

if TYPE_CHECKING:
    from tutuclient._meta import Meta

# zlib's names for its formats; the negative of the first is deflate without a header.
_ZLIB = 15
_GZIP = 31


class Inflater:
    """Decompresses a body by its ``Content-Encoding``, to ``max_bytes`` at most.

    We ask for no compression, so this is for servers that compress all the same.

    Raises:
        UnexpectedResponseError: The encoding is neither gzip nor deflate, the data are broken, or there is too much.
    """

    def __init__(self, encoding: str, max_bytes: int, meta: Meta) -> None:
        self._meta = meta
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._started = False
        if encoding not in {"gzip", "x-gzip", "deflate"}:
            raise unexpected(f"a body compressed as {printable(encoding, 40)!r}, which was not asked for", b"", meta)
        self._wbits = _ZLIB if encoding == "deflate" else _GZIP
        self._stream = zlib.decompressobj(self._wbits)

    def feed(self, piece: bytes) -> list[bytes]:
        """Inflate the next bytes, in pieces of at most 1 MiB."""
        pieces: list[bytes] = []
        if not self._started and piece:
            self._started = True
            if self._wbits == _ZLIB and piece[0] & 0x0F != 8:  # noqa: PLR2004  (RFC 1950: a zlib header's method is 8)
                self._stream = zlib.decompressobj(-_ZLIB)
        try:
            more = bool(piece)
            while more:
                if self._stream.eof:  # gzip goes on with its next member, and may be padded with zeros (RFC 1952).
                    if self._wbits != _GZIP or not (piece := piece.lstrip(b"\0")):
                        break
                    self._stream = zlib.decompressobj(_GZIP)
                limit = min(2**20, self._left + 1)
                out = self._stream.decompress(piece, limit)
                self._left -= len(out)
                if self._left < 0:
                    raise too_large("a compressed body", self._max_bytes, self._meta)
                if out:
                    pieces.append(out)
                piece = self._stream.unconsumed_tail or self._stream.unused_data
                more = bool(piece) or len(out) == limit  # With no bytes left to take, zlib may still hold some to give.
        except zlib.error as error:
            raise unexpected(f"a compressed body that is broken ({error})", b"", self._meta) from error
        return pieces

    @property
    def complete(self) -> bool:
        """Return whether the compressed data came to their own end."""
        return self._stream.eof
