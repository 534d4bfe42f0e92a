"""Small whole images for tests: real to the end, of any size."""

from __future__ import annotations

import struct
import zlib

TINY_GIF = b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2L\1\0;"  # 30 bytes: shorter than any head that is looked at


def png(more: bytes = b"") -> bytes:
    """Return a whole PNG of one pixel, with a private chunk that holds these bytes."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in (
            (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
            (b"teSt", more),
            (b"IDAT", zlib.compress(b"\0\x80")),
            (b"IEND", b""),
        )
    )


def jpeg(more: bytes = b"") -> bytes:
    """Return what begins and ends like a JPEG, with a comment that holds these bytes; 65,533 at most."""
    comment = b"\xff\xfe" + struct.pack(">H", len(more) + 2) + more
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0" + b"\x5a\xff\0\x5a" * 4
    return b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + comment + scan + b"\xff\xd9"
