"""Stand-ins for images and audio of a cassette: of the same kind, pixels and bytes, with nothing in them.

They are written by hand, so that a cassette can be replayed where Pillow is not installed. PNG, JPEG, GIF, WebP, WAV
and MP3 keep their kind; other images become a PNG and other audio a WAV. A file of fewer bytes than its kind needs for
a blank of that size becomes somewhat longer.

Source: the PNG specification (third edition), ITU-T T.81, the GIF89a specification, RFC 9649 (WebP), ISO/IEC 11172-3.
"""

from __future__ import annotations

import re
import struct
import zlib

_LARGEST = 256 * 2**20
_WIDEST = 16_384  # What WebP can hold (RFC 9649, section 3.4).
_PIXELS = re.compile(r"(\d+)x(\d+)")
_SAMPLES = re.compile(r"(\d+)Hz-(\d+)ch-(\d+)bit")
_SUB_BLOCK, _JPEG_COMMENT = 255, 65_533
# In kbit/s, by the four bits of a frame's header: layer III of MPEG-1, and of MPEG-2 and 2.5.
_BIT_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_FREQUENCIES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def blank(mime: str, form: str, size_bytes: int, sha256: str) -> bytes:
    """Create a stand-in.

    Args:
        mime: The media type of what it stands for.
        form: Its pixels (``640x480``), samples (``24000Hz-1ch-16bit``) or first frame's header (``fffb9064``); empty
            where it is not known.
        size_bytes: How many bytes it has; at most 256 MiB are made.
        sha256: The digest of what it stands for; images that differ get stand-ins that differ.
    """
    size, mark = min(size_bytes, _LARGEST), bytes.fromhex(sha256)
    if mime.startswith("image/"):
        found = _PIXELS.fullmatch(form)
        width, height = (min(max(int(side), 1), _WIDEST) for side in found.groups()) if found else (64, 64)
        return _IMAGES.get(mime, _png)(width, height, size, mark)
    if mime == "audio/mpeg" and (frame := _silent_frame(form)):
        return (frame * (size // len(frame) or 1)).ljust(size, b"\0")
    if mime.startswith(("audio/", "video/")) and mime != "audio/pcm":
        return _wav(form, size)
    return bytes(size)


def _png(width: int, height: int, size: int, mark: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = zlib.compress(bytes((1 + (width + 7) // 8) * height), 9)
    # One bit a pixel, and a palette of one colour.
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0))
    start += chunk(b"PLTE", mark[:3])
    end = chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    missing = size - len(start) - len(end)
    # A private chunk that decoders skip; it takes twelve bytes by itself.
    return start + (chunk(b"tuTu", _filled(mark, max(0, missing - 12))) if missing > 0 else b"") + end


def _jpeg(width: int, height: int, size: int, mark: bytes) -> bytes:
    def segment(kind: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, kind, len(data) + 2) + data

    # One grey component; both Huffman tables have one code, a single 0: no difference, and no coefficients.
    table = bytes([1, *[0] * 15, 0])
    blocks = ((width + 7) // 8) * ((height + 7) // 8)
    bits = bytearray(-(-2 * blocks // 8))
    if unused := -2 * blocks % 8:
        bits[-1] = (1 << unused) - 1  # ITU-T T.81, F.1.2.3: the last byte is filled up with ones.
    start = b"\xff\xd8" + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    end = (
        segment(0xDB, b"\0" + b"\1" * 64)
        + segment(0xC0, struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0))
        + segment(0xC4, b"\x00" + table)
        + segment(0xC4, b"\x10" + table)
        + segment(0xDA, b"\1\1\0\0\x3f\0")
        + bytes(bits)
        + b"\xff\xd9"
    )
    missing, comments = size - len(start) - len(end), bytearray()
    while missing >= 4:  # noqa: PLR2004  (a comment's marker and length)
        length = min(_JPEG_COMMENT, missing - 4)
        comments += segment(0xFE, _filled(mark, length))
        missing -= length + 4
    # Any number of 0xFF may stand before a marker (ITU-T T.81, B.1.1.2).
    return start + bytes(comments) + b"\xff" * max(0, missing) + end


def _gif(width: int, height: int, size: int, mark: bytes) -> bytes:
    start = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + mark[:3] + b"\0\0\0"
    # One pixel on a canvas of the whole size: a clear code, a zero and the end, three bits each.
    frame, codes, end = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02", b"\x44\x01", b"\0\x3b"
    missing, comments = size - len(start) - len(frame) - 1 - len(codes) - len(end), bytearray()
    while missing > _SUB_BLOCK - len(codes):
        length = min(_SUB_BLOCK, missing - 4)
        comments += b"\x21\xfe" + bytes([length]) + _filled(mark, length) + b"\0"
        missing -= length + 4
    data = codes + bytes(max(0, missing))  # What stands behind the end code is not read.
    return start + bytes(comments) + frame + bytes([len(data)]) + data + end


def _webp(width: int, height: int, size: int, mark: bytes) -> bytes:
    bits, filled = 0, 0
    # Five prefix codes of one symbol each, which takes no bits in the pixels behind them (RFC 9649, section 3.7.2.1).
    literal = [(1, 1), (0, 1), (1, 1)]
    channels = [each for value in (mark[0], mark[1], mark[2], 255) for each in (*literal, (value, 8))]
    # Both sides, no alpha, version 0, no transforms, no colour cache and no further codes; the distances come last.
    head = [(width - 1, 14), (height - 1, 14), (0, 1), (0, 3), (0, 1), (0, 1), (0, 1)]
    for value, width_in_bits in [*head, *channels, (1, 1), (0, 1), (0, 1), (0, 1)]:
        bits |= value << filled
        filled += width_in_bits
    data = b"\x2f" + bits.to_bytes(-(-filled // 8), "little")
    data += _filled(mark, max(0, size - 20 - len(data)))
    data += b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", 12 + len(data)) + b"WEBPVP8L" + struct.pack("<I", len(data)) + data


def _wav(form: str, size: int) -> bytes:
    found = _SAMPLES.fullmatch(form)
    rate, channels, bits = map(int, found.groups()) if found else (24_000, 1, 16)
    frame = max(1, channels * bits // 8)
    length = max(0, size - 44) // frame * frame
    head = struct.pack("<HHIIHH", 1, channels, rate, rate * frame, frame, bits)
    wav = b"RIFF" + struct.pack("<I", max(36, size - 8)) + b"WAVEfmt " + struct.pack("<I", 16) + head
    # Samples of eight bits are unsigned: their silence is in the middle.
    return (wav + b"data" + struct.pack("<I", length) + (b"\x80" if bits == 8 else b"\0") * length).ljust(size, b"\0")  # noqa: PLR2004


def _silent_frame(form: str) -> bytes:
    """Create a frame of MP3 without sound by the header of another; empty where it is no header of layer III."""
    try:
        head = bytearray.fromhex(form)
    except ValueError:
        return b""
    if len(head) != 4 or head[1] >> 1 & 3 != 1:  # noqa: PLR2004  (a header; layer III)
        return b""
    version, rate, frequency = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version not in _FREQUENCIES or rate in {0, 15} or frequency == 3:  # noqa: PLR2004  (not in use)
        return b""
    first = version == 3  # noqa: PLR2004  (MPEG-1)
    bit_rate = _BIT_RATES[not first][rate] * 1000
    length = (144 if first else 72) * bit_rate // _FREQUENCIES[version][frequency] + (head[2] >> 1 & 1)
    head[1] |= 1  # No checksum behind the header.
    return bytes(head).ljust(length, b"\0")


def _filled(mark: bytes, length: int) -> bytes:
    """Return so many bytes, of which the first are the mark."""
    return mark[:length].ljust(length, b"\0")


_IMAGES = {"image/png": _png, "image/jpeg": _jpeg, "image/gif": _gif, "image/webp": _webp}
