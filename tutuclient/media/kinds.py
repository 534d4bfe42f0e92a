"""What bytes are: the one table of signatures, media types and extensions, and names for what cannot be sent.

Uploads, downloads, saving, the finder and the relay of the tests read it, so that what one of them knows all of them
know. It decides by the first bytes, never by what a sender or a file's name claims. It imports nothing of the package:
``testing`` and ``standin`` may not load the client.

Source: the WHATWG MIME Sniffing standard, sections 6.1 and 6.2, for most signatures; others name theirs.
"""

from __future__ import annotations

import codecs
import re
from base64 import b64encode
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HEAD_BYTES = 512
"""The first bytes of a file that are enough for everything here, tags in front of audio aside."""

MOST_TAGS = 8
"""Tags (ID3, APE) that may stand in front of audio."""

_ZEROS = "nothing but zeros, as after an interrupted download"
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_ID3 = re.compile(rb"ID3[\x02-\x04][^\xff][\0-\xff][\0-\x7f]{4}", re.DOTALL)
_APE_TAG = re.compile(rb"APETAGEX[\xd0-\xff]\x07\0\0", re.DOTALL)
_ID3_HEADER, _ID3_FOOTER_FLAG, _APE_HEADER = 10, 0x10, 32


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        mime: Its media type.
        extensions: What the names of its files end in; the first is the usual one.
        starts: The bytes that it may begin with.
        forms: The form types of a RIFF or IFF container (bytes 8 to 12) that are this kind.
        brands: The brands of an ftyp box that are this kind; of audio the first letters of its first brand.
        check: What else must hold where the signature is short or not unique.
        is_sent: Whether APIs take it. What they do not take is still received and saved.
    """

    mime: str
    extensions: tuple[str, ...]
    starts: tuple[bytes, ...] = ()
    forms: tuple[bytes, ...] = ()
    brands: frozenset[bytes] = frozenset()
    check: Callable[[bytes], bool] | None = None
    is_sent: bool = True


def _is_bmp(head: bytes) -> bool:
    """Return whether the second header has one of the lengths that exist: "BM" begins words, too."""
    return int.from_bytes(head[14:18], "little") in _BMP_HEADERS


def _is_icon(head: bytes) -> bool:
    """Return whether it is an icon or a cursor: a count, and a first entry that lies behind the directory.

    Source: Microsoft, ICONDIR and ICONDIRENTRY.
    """
    count = int.from_bytes(head[4:6], "little")
    if head[:2] != b"\0\0" or head[2:4] not in {b"\1\0", b"\2\0"} or (len(head) > 5 and not count):  # noqa: PLR2004  (with a count)
        return False
    directory = 6 + 16 * count
    return len(head) < 22 or int.from_bytes(head[18:22], "little") >= directory  # noqa: PLR2004  (with a first entry)


def _names_webm(head: bytes) -> bool:
    return b"webm" in head[:64]


IMAGES = (
    Kind("image/png", (".png",), (b"\x89PNG\r\n\x1a\n",)),
    Kind("image/jpeg", (".jpg", ".jpeg", ".jfif"), (b"\xff\xd8\xff",)),
    Kind("image/gif", (".gif",), (b"GIF87a", b"GIF89a")),
    Kind("image/webp", (".webp",), (b"RIFF",), (b"WEBP",)),
    Kind("image/bmp", (".bmp",), (b"BM",), check=_is_bmp),
    Kind("image/tiff", (".tif", ".tiff"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),  # BigTIFF has the "+".
    # AVIF and HEIC files name the brands of HEIF beside their own, so that the first kind that fits is theirs.
    Kind("image/avif", (".avif",), brands=frozenset({b"avif", b"avis"})),
    Kind(
        "image/heic",
        (".heic", ".heif"),
        brands=frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}),
    ),
    Kind("image/heif", (".heif", ".heic"), brands=frozenset({b"mif1", b"msf1"})),
    # Answers may link icons, but no API takes one: OpenAI and Anthropic take PNG, JPEG, GIF and WebP, Gemini HEIC too.
    Kind("image/x-icon", (".ico",), (b"\0\0\1\0",), check=_is_icon, is_sent=False),
)
AUDIO = (
    Kind("audio/mpeg", (".mp3", ".mpga", ".mpeg")),  # It has no signature but frames that make sense: see _sync_mime.
    # RF64 is a WAV beyond 4 GiB (EBU Tech 3306).
    Kind("audio/wav", (".wav", ".wave"), (b"RIFF", b"RF64"), (b"WAVE",)),
    Kind("audio/ogg", (".ogg", ".opus", ".oga"), (b"OggS",)),
    # RFC 9639, section 6.
    Kind("audio/flac", (".flac",), (b"fLaC",)),
    Kind("audio/aac", (".aac",), (b"ADIF",)),
    Kind("audio/mp4", (".m4a", ".mp4", ".m4b"), brands=frozenset({b"M4A", b"M4B"})),
    Kind("audio/aiff", (".aiff", ".aif"), (b"FORM",), (b"AIFF", b"AIFC")),
    # RFC 4867, section 5.1.
    Kind("audio/amr", (".amr",), (b"#!AMR",)),
    Kind("audio/x-caf", (".caf",), (b"caff",)),
    Kind("audio/x-ms-wma", (".wma",), (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",)),
    Kind("video/mp4", (".mp4", ".m4a", ".m4v")),  # Every other file with an ftyp box.
    # WebM is Matroska, and both begin as EBML does; the DocType behind tells which (RFC 8794, RFC 9559).
    Kind("video/webm", (".webm", ".weba"), (b"\x1aE\xdf\xa3",), check=_names_webm),
    Kind("video/x-matroska", (".mkv", ".mka"), (b"\x1aE\xdf\xa3",)),
    Kind("video/mpeg", (".mpeg", ".mpg", ".mpga"), (b"\0\0\x01\xba",)),
    Kind("video/quicktime", (".mov",), brands=frozenset({b"qt  "})),
)
"""Audio, and films, of which APIs take the audio."""

SAMPLES = Kind("audio/pcm", (".pcm", ".raw"))
"""Raw samples: they have no header, and are what was asked for, never what bytes tell."""

EXTENSIONS: dict[str, tuple[str, ...]] = {kind.mime: kind.extensions for kind in (*IMAGES, *AUDIO, SAMPLES)}
"""What the names of files of a media type may end in; the first is the usual one."""

SENT_IMAGES: frozenset[str] = frozenset(kind.mime for kind in IMAGES if kind.is_sent)
"""The media types of images that can be sent."""


def _endings(kinds: Iterable[Kind]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(kind.extensions for kind in kinds)))


AUDIO_EXTENSIONS: tuple[str, ...] = _endings(AUDIO)
"""How the names of audio and of films end."""

AUDIO_ENDINGS: str = "|".join(ending[1:] for ending in AUDIO_EXTENSIONS)
"""The same without the dot: the alternatives of a regular expression."""

IMAGE_ENDINGS: str = "|".join(ending[1:] for ending in _endings(IMAGES))
"""How the names of images end, without the dot: the alternatives of a regular expression."""

# Of n bytes the first 4n/3 letters of their base64 are known. Every ftyp box begins with zeros, its length.
_ENCODED = (b64encode(start).decode()[: len(start) * 4 // 3] for kind in IMAGES for start in kind.starts)
BASE64: re.Pattern[str] = re.compile(rf"({'|'.join(map(re.escape, _ENCODED))}|AAAA)[A-Za-z0-9+/=_\s-]{{36,}}")
"""How the base64 of an image begins."""

_OTHER_IMAGES = {
    b"mif3": "a HEIF image in its short form (mini)",
    b"avci": "a HEIF image with AVC in it",
    b"avcs": "a HEIF image with AVC in it",
    b"vvic": "a HEIF image with VVC in it",
    b"vvis": "a HEIF image with VVC in it",
    b"evbi": "a HEIF image with EVC in it",
    b"evbs": "a HEIF image with EVC in it",
    b"jpeg": "a HEIF image with JPEG in it",
    b"jpgs": "a HEIF image with JPEG in it",
    b"j2ki": "a HEIF image with JPEG 2000 in it",
    b"j2is": "a HEIF image with JPEG 2000 in it",
    b"miaf": "a HEIF image",
    b"mif2": "a HEIF image",
    b"unif": "a HEIF image",
    b"jxl ": "a JPEG XL image",
    b"jp2 ": "a JPEG 2000 image",
    b"jpx ": "a JPEG 2000 image",
    b"crx ": "a raw photograph (CR3)",
}
"""The brands of an ftyp box that are images which no API takes (ISO/IEC 23008-12; the list of mp4ra.org)."""

_OTHERS: tuple[tuple[bytes, str], ...] = (
    (rb"%PDF-", "a PDF; draw its pages first"),
    (rb"PK(\x03\x04|\x05\x06)", "a zip archive, or an office document"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office document (OLE)"),
    (rb"\x1f\x8b", "gzip; unpack it first"),
    (rb"7z\xbc\xaf\x27\x1c|Rar!|\xfd7zXZ\0|BZh|\x28\xb5\x2f\xfd", "an archive; unpack it first"),
    # All other files with this box: images and audio have been looked for before.
    (rb"....ftyp", "a video (MP4 or QuickTime)"),
    (rb"\x1aE\xdf\xa3|RIFF....AVI |FLV\x01|\0\0\x01\xb3", "a video"),
    (rb"....[\x11\x12\x30\x31\x44]\xaf", "an animation (FLI or FLC); convert it first"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL image; convert it first"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 image; convert it first"),
    (rb"8BPS", "a Photoshop document; convert it first"),
    (rb"gimp xcf ", "a GIMP document; convert it first"),
    (
        rb"P[1-6]\s+(#[^\n]*\n\s*)*\d+\s|P7\n(#[^\n]*\n)*WIDTH|P7 332|P[Ff]\r?\n\d",
        "a PNM image (PBM, PGM, PPM, PAM or PFM); convert it first",
    ),
    (rb"%!PS|\xc5\xd0\xd3\xc6|\x04%!PS", "PostScript; draw it first"),
    (rb"SIMPLE  =", "a FITS image; convert it first"),
    (rb"\s*/\* XPM|! XPM2", "an XPM image; convert it first"),
    (rb"\s*#define\s+\S+_width\s", "an XBM image; convert it first"),
    (rb"#\?(RADIANCE|RGBE)", "a Radiance HDR image; convert it first"),
    (
        rb"FORM....(ILBM|PBM |ACBM|ANIM|RGBN|RGB8|DEEP)",
        "an IFF image (ILBM); convert it first",
    ),
    (rb"(FORM|LIST|CAT )\0...[A-Z0-9 ]{4}", "an IFF file; convert it first"),
    (rb"[\x8a\x8b][MJ]NG\r\n\x1a\n", "an MNG or JNG image; convert it first"),
    (rb"qoif\0", "a QOI image; convert it first"),
    (rb"DDS \x7c", "a DDS texture; convert it first"),
    (rb"\x76\x2f\x31\x01", "an OpenEXR image; convert it first"),
    (rb"\x0a[\0\x02-\x05]\x01[\x01\x02\x04\x08]", "a PCX image; convert it first"),
    (rb"\x01\xda[\0\x01][\x01\x02]\0[\x01-\x03]", "an SGI image; convert it first"),
    (rb"\x59\xa6\x6a\x95", "a Sun raster image; convert it first"),
    (rb"icns\0", "a set of icons (ICNS); convert it first"),
    (rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF", "a metafile (WMF or EMF); draw it first"),
    (rb"AT&TFORM", "a DjVu document; draw its pages first"),
    (rb"FUJIFILMCCD-RAW|IIR[OS]\x08\0|MMOR\0|IIU\0", "a raw photograph; develop it first"),
    (rb".{128}DICM", "a DICOM image; convert it first"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (rb"MThd", "MIDI, which is notes, not audio; record it first"),
    (rb"MAC .[\x0e\x0f]", "Monkey's Audio; convert it to FLAC or MP3 first"),
    (
        (
            rb"wvpk|TTA1\x01|TTA2\0|tBaK|OFR [\x0c-\x11]\0|MPCKS[HE]|MP\+[\x07\x17]|DSD \x1c|FRM8\0|\x0b\x77"
            rb"|\.snd\0|\.ra\xfd|\.RMF\0|Creative Voice File\x1a"
        ),
        "audio of a kind that relays do not take; convert it to MP3 or FLAC first",
    ),
    (rb"\x7fELF|MZ", "a program"),
    (rb"\0+\Z", _ZEROS),
)
_TEXTS: tuple[tuple[str, str], ...] = (
    (r"(?i)\s*<(!doctype html|html|head|body)", "HTML, perhaps an error page that was saved"),
    (r"(?is)\s*(<\?xml.*?\?>\s*)?(<!--.*?-->\s*)*<(!doctype )?svg", "SVG; draw it first"),
    (r"\s*<\?xml", "XML"),
    (r"\s*[{\[]", "JSON"),
    (r"version https://git-lfs", "a pointer of Git LFS; git lfs pull fetches the file"),
    (r"data:", "a data URI in a file; give its text, or the bytes in it"),
    (BASE64.pattern, "base64; decode it first (base64.b64decode)"),
)


def image_mime(head: bytes) -> str | None:
    """Return an image's media type by its first bytes; None for everything else.

    Args:
        head: The first bytes, 64 or more where there are as many.

    Returns:
        The type of a PNG, JPEG, GIF, WebP, BMP, TIFF, AVIF, HEIC or ICO. An SVG has none: it is a program, not pixels.
        Which of them can be sent, ``SENT_IMAGES`` has.

    Source: the WHATWG MIME Sniffing standard, section 6.1; ISO/IEC 14496-12.
    """
    for kind in IMAGES:
        if _begins(head, kind):
            return kind.mime
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        # The major brand, and behind its version the compatible ones (ISO/IEC 14496-12, section 4.3).
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}
        return next((kind.mime for kind in IMAGES if brands & kind.brands), None)
    return None


def _begins(head: bytes, kind: Kind) -> bool:
    """Return whether a file begins with the signature of a kind. An ftyp box is not one: its brands are many."""
    # ``startswith(())`` is False, so kinds without a signature of their own begin nothing.
    if not head.startswith(kind.starts) or (kind.forms and head[8:12] not in kind.forms):
        return False
    return kind.check is None or kind.check(head)


def audio_mime(head: bytes) -> str | None:
    """Return the media type of audio, or of a film with audio, by its first bytes; None for everything else.

    Args:
        head: The first bytes, 64 or more where there are as many. A tag (ID3, APE) that ends in them is passed over:
            the audio is what stands behind it.

    Returns:
        ``audio/mpeg`` (MP3), ``audio/wav``, ``audio/ogg`` (Opus too), ``audio/flac``, ``audio/aac``, ``audio/mp4``,
        ``video/mp4``, ``video/webm`` and the like; None also for raw samples, which have no header.

    Source: the WHATWG MIME Sniffing standard, section 6.2; ISO/IEC 11172-3, section 2.4.1.3 and 13818-7, annex 1.2,
        for the sync words of MP3 and ADTS.
    """
    at = 0
    for _ in range(MOST_TAGS):
        if (length := tag_bytes(head[at : at + HEAD_BYTES])) is None:
            break
        at += length
    if not at:
        return _bare_audio_mime(head[:HEAD_BYTES])
    return tagged_audio_mime(head[at : at + HEAD_BYTES]) if at < len(head) else "audio/mpeg"


def tag_bytes(head: bytes) -> int | None:
    """Return the length of the tag that these bytes begin with, its header included; None where there is none.

    Source: id3.org, "ID3 tag version 2.4.0 - Main Structure", section 3.1; the APEv2 specification, "APE Tags Header".
    """
    if _ID3.match(head) and not head[5] & 0x0F:  # Flags that no version has are no tag.
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        return _ID3_HEADER + size + (_ID3_HEADER if head[5] & _ID3_FOOTER_FLAG else 0)
    if _APE_TAG.match(head):
        return _APE_HEADER + int.from_bytes(head[12:16], "little")
    return None


def tagged_audio_mime(behind: bytes) -> str | None:
    """Return the media type of what stands behind a tag."""
    if (mime := _bare_audio_mime(behind)) is not None:
        return mime
    # An MP3 may begin with what decoders skip to find a frame.
    return "audio/mpeg" if described(behind) in {None, _ZEROS} else None


def _bare_audio_mime(head: bytes) -> str | None:
    for kind in AUDIO:
        if _begins(head, kind):
            return kind.mime
    if head[4:8] == b"ftyp" and image_mime(head) is None and _other_image(head) is None:
        branded = (kind.mime for kind in AUDIO if kind.brands and head.startswith(tuple(kind.brands), 8))
        return next(branded, "video/mp4")
    return _sync_mime(head)


def audio_mime_of_name(name: str) -> str | None:
    """Return what audio is taken for whose bytes do not tell, by its name: an MP3 may begin with anything."""
    ending = f".{name.rpartition('.')[2].lower()}"
    return next((kind.mime for kind in (*AUDIO, SAMPLES) if ending in kind.extensions), None)


def _sync_mime(head: bytes) -> str | None:
    """Return the type of MP3 or AAC by the header of a first frame: 11 or 12 set bits, and fields that make sense."""
    if len(head) < 4 or head[0] != 0xFF:  # noqa: PLR2004  (a header has four bytes, and the first is all ones)
        return None
    if head[1] & 0xF6 == 0xF0:  # noqa: PLR2004  (ADTS: twelve ones, layer 0)
        return "audio/aac"
    # The bits 1 and 2 stand for the layers III and II. Layer I is not sent: no API takes it.
    return "audio/mpeg" if _is_frame(head) and head[1] >> 1 & 3 in {1, 2} else None


def _is_frame(head: bytes) -> bool:
    """Return whether these bytes are the header of a frame of MPEG audio (ISO/IEC 11172-3, section 2.4.1.3)."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, frequency = head[2] >> 4, head[2] >> 2 & 3
    synced = head[0] == 0xFF and head[1] >= 0xE0  # noqa: PLR2004  (eleven ones)
    return synced and version != 1 and layer != 0 and rate not in {0, 15} and frequency != 3  # noqa: PLR2004  (not in use)


def _is_layer_one(head: bytes, *, twice: bool = False) -> bool:
    """Return whether these bytes begin with a frame of layer I, and a second one where that begins within them.

    Args:
        head: The first bytes; the first two may also be the byte order mark of UTF-16.
        twice: The second frame has to be there.
    """
    if len(head) < 4 or head[1] >> 1 & 3 != 3 or not _is_frame(head):  # noqa: PLR2004  (as above)
        return False
    first = head[1] >> 3 & 3 == 3  # noqa: PLR2004  (MPEG-1)
    rates = range(0, 449, 32) if first else (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
    halved = {3: 1, 2: 2, 0: 4}[head[1] >> 3 & 3]
    frequency = (44_100, 48_000, 32_000)[head[2] >> 2 & 3] // halved
    length = (12_000 * rates[head[2] >> 4] // frequency + (head[2] >> 1 & 1)) * 4
    after = head[length : length + 2]
    return (len(after) < 2 and not twice) or (after == head[:2])  # noqa: PLR2004  (a sync word's bytes)


def _other_image(head: bytes) -> str | None:
    """Return the name of an image with an ftyp box that no API takes; None for all else."""
    if head[4:8] != b"ftyp":
        return None
    # HEIF's short form (mini) has the brand of its content where others have a version.
    return _OTHER_IMAGES.get(head[8:12])


def _is_tga(head: bytes) -> bool:
    """Return whether it is a TGA, which has no signature: the fields of its header must make sense.

    Source: Truevision TGA File Format Specification 2.0, "TGA File Header".
    """
    if len(head) < 18:  # noqa: PLR2004  (the header's length)
        return False
    mapped, kind, depth = head[1], head[2], head[16]
    sides = int.from_bytes(head[12:14], "little"), int.from_bytes(head[14:16], "little")
    if not all(sides) or head[17] & 0xC0:
        return False
    if mapped == 1:
        return kind in {1, 9, 2, 10} and head[7] in {15, 16, 24, 32} and depth in {8, 15, 16, 24, 32}
    return mapped == 0 and kind in {2, 3, 10, 11} and depth in {8, 15, 16, 24, 32}


def seems(head: bytes) -> str:
    """Return what these bytes seem to be, for an error; what is to be done stands behind a semicolon."""
    return described(head) or f"of a kind not known here (it begins with {head[:8].hex(' ')})"


def described(head: bytes) -> str | None:
    """Return what these bytes seem to be, as ``seems`` does; None for what is not known."""
    image, audio = image_mime(head), audio_mime(head)
    if image in SENT_IMAGES:
        return f"an image ({image})"
    if audio is not None and not audio.startswith("video/"):
        return f"audio ({audio})"
    if (other := _other_image(head)) is not None:
        return f"{other}; convert it first"
    # Compiled when an error asks for it, since compiling them all takes longer than the rest of this module's import.
    found = next((what for pattern, what in _OTHERS if re.match(pattern, head, re.DOTALL)), None)
    return found or _described_unsigned(head)


def _described_unsigned(head: bytes) -> str | None:
    """Return what these bytes seem to be, by what is no signature: the text in them, or headers that make sense."""
    if _is_icon(head):
        return "an icon or a cursor; convert it to PNG first"
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = None if _is_layer_one(head, twice=True) else _text_in(head, "utf-16" if marked else "utf-8-sig")
    if text is not None:
        found = (what for pattern, what in _TEXTS if re.match(pattern, text))
        return next(found, "text (UTF-16)" if marked else "text")
    if _is_layer_one(head):
        return "MPEG audio of layer I; convert it to MP3 first"
    return "a TGA image; convert it first" if _is_tga(head) else None


def _text_in(head: bytes, coding: str) -> str | None:
    """Return the text that a file begins with; None where these bytes are not text."""
    try:
        text = codecs.getincrementaldecoder(coding)().decode(head)
    except UnicodeDecodeError:
        return None
    return None if any(character < " " and character not in "\t\n\r\f\x1b" for character in text) else text
