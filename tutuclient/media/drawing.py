"""Images that have to be drawn before they are sent: made smaller, set upright, or out of a Pillow image.

Pillow is an extra, and imported only here, when it is needed.
"""

from __future__ import annotations

import contextlib
import io
import operator
import os
import threading
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tutuclient._threads import in_thread
from tutuclient.errors import MediaError, printable
from tutuclient.media.sources import Made

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import PIL.Image

    from tutuclient.media.sources import Content

MAX_PIXELS = 100_000_000
"""Images that declare more pixels (width x height) are made smaller only where ``max_pixels=`` allows it."""

_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What turns each orientation of EXIF upright (EXIF 2.32, section 4.6.4 A), by Pillow's names."""

_TURNED_BY = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""Where Pillow keeps what may hold an orientation. What is written is upright, and must not be turned again."""

_GAP = 1.9
"""How many times the size that is wanted libjpeg decodes at least, where it makes an image smaller while decoding it.

Pillow's own default, 2.0, misses the photographs that most cameras take (4000 and 4032 pixels wide) for a ``max_side``
of 1024 by a hair, and 36 MB are decoded where 9 MB do. What the smaller gap costs is less than the JPEG's own loss.
"""
_CREDIBLE_PIXELS = 2_000_000
_PIXELS_PER_BYTE = {"PNG": 8 * 1032, "GIF": 4096, "TIFF": 64 * 1024, "JPEG": 8192, "MPO": 8192}
_RAW_PIXELS_PER_BYTE, _RLE_PIXELS_PER_BYTE = 8, 1024
"""The most pixels that a byte of a file can hold; images of up to ``_CREDIBLE_PIXELS`` are not checked.

A pixel has a bit at least. deflate makes at most 1032 bytes of one (zlib's technical details), a code of LZW has twelve
bits and at most 4096 pixels, and a block of JPEG half a byte. WebP, AVIF and HEIC have no such bound.
"""
_SAVED_AS: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 3},
    "JPEG": {"quality": 92},
    "WEBP": {"quality": 92},
    "AVIF": {"quality": 90},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
"""How each format is saved. For photographs PNG's level 3 takes a third of the time of Pillow's default, 6, and no more
bytes."""

_LIKE_PNG = {"RGBa": "RGBA", "PA": "RGBA", "La": "LA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
"""Modes that no PNG can hold, and the nearest that it can."""

_T = TypeVar("_T")


class _Yielding(io.BytesIO):
    """A file in memory that lets other threads run after each piece.

    Pillow encodes 64 kB at a time with the interpreter's lock held, and the event loop would get it only when the
    interpreter's switch interval, 5 ms, is over (https://docs.python.org/3/library/sys.html#sys.setswitchinterval).
    """

    def write(self, data: Any, /) -> int:
        """Write a piece; the sleep is the shortest that there is, since one of no time often wakes nobody."""
        written = super().write(data)
        time.sleep(1e-6)
        return written


class Drawing(Made):
    """A Pillow image, which becomes a file at the first look."""

    def __init__(self, image: PIL.Image.Image, max_side: int | None) -> None:
        super().__init__("The Pillow image")
        self._image = image
        self._max_side = max_side

    async def _make(self) -> bytes:
        return await draw(partial(_encoded, self._image, self._max_side, self.label))


_filtering = threading.Lock()


async def draw(do: Callable[[], _T]) -> _T:
    """Run Pillow's work in a thread. Decoded images are large: no more of them at a time than there are processors."""
    return await in_thread(_quietly, do, abandon_on_cancel=True, heavy=True)


def _quietly(do: Callable[[], _T]) -> _T:
    """Run it again without warnings where it failed only because the process turns them into errors (``-W error``).

    Pillow warns of broken EXIF and odd tags, and goes on. The filters are those of all threads
    (https://docs.python.org/3/library/warnings.html#warnings.catch_warnings), so they change only when they have to.
    """
    try:
        return do()
    except MediaError as error:
        if type(error.__cause__) is not UserWarning:
            raise
    # One at a time: two threads that change the filters would restore each other's.
    with _filtering, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return do()


def fitted(content: Content, max_side: int, *, max_pixels: int = MAX_PIXELS) -> bytes | None:
    """Return an image smaller and upright; None when it is so already. Runs in a thread."""
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  (Pillow is an extra, and slow to import)
    except ImportError as error:
        raise MediaError('max_side needs Pillow: pip install pillow (the extra "images").') from error
    with content.whole() as file, _drawable(content.label), contextlib.ExitStack() as opened:
        try:
            image = opened.enter_context(Image.open(file))
        except UnidentifiedImageError as error:
            raise MediaError(
                f"Pillow does not know the format of {content.label}, or its header is broken."
                " For HEIC install pillow-heif and call its register_heif_opener()."
            ) from error
        except Image.DecompressionBombError as error:
            # Pillow's limit is the whole process's, so that only the caller may change it.
            raise MediaError(
                f"{content.label} has more pixels than Pillow opens, whatever max_pixels says ({error}): use a"
                " smaller image, or raise PIL.Image.MAX_IMAGE_PIXELS."
            ) from error
        # Not image.getexif(): PngImageFile's decodes the pixels first, since EXIF may stand behind them.
        turned = _orientation(partial(Image.Image.getexif, image)) != 1
        if max(image.size) <= max_side and not turned:
            return None
        size_bytes = file.seek(0, os.SEEK_END)
        _check_pixels(image, content.label, max_side, size_bytes, max_pixels)
        form = "JPEG" if image.format == "MPO" else image.format
        return _written(image, form if form in Image.SAVE else "PNG", max_side)


def _check_pixels(image: PIL.Image.Image, label: str, max_side: int, size_bytes: int, max_pixels: int) -> None:
    """Raise for an image whose header declares too many pixels to decode, or more than its bytes can hold.

    Pillow allocates and frees the memory for all pixels with the GIL held, so that the event loop waits.
    """
    (width, height), form = image.size, image.format
    compression = image.info.get("compression")
    per_byte: int | None = _PIXELS_PER_BYTE.get(form or "")
    if form == "BMP":
        # BI_RLE8 and BI_RLE4. A run is 255 pixels in two bytes, and an empty row two bytes as well.
        per_byte = _RLE_PIXELS_PER_BYTE if compression in {1, 2} else _RAW_PIXELS_PER_BYTE
    elif form == "TIFF" and compression == "raw":
        per_byte = _RAW_PIXELS_PER_BYTE
    if per_byte is not None and width * height > max(_CREDIBLE_PIXELS, per_byte * size_bytes):
        raise MediaError(
            f"{label} declares {width:,} x {height:,} pixels, which its {size_bytes:,} bytes cannot hold:"
            " it is damaged or cut off."
        )
    scale = 1
    if form in {"JPEG", "MPO"}:  # libjpeg decodes at an eighth, a quarter or a half where that is enough.
        fits = min(each // int(wanted * _GAP) for each, wanted in zip(image.size, _box(image, max_side), strict=True))
        scale = next((each for each in (8, 4, 2) if fits >= each), 1)
    if width * height // scale**2 > max_pixels:
        raise MediaError(
            f"{label} has {width:,} x {height:,} pixels, and max_pixels is {max_pixels:,}: pass"
            f" max_pixels={width * height} to have it made smaller all the same, or use a smaller image."
        )


def _orientation(getexif: Callable[[], Any]) -> int:
    """Return the orientation by EXIF, 1 to 8; 1 where it cannot be read."""
    try:
        value = getexif().get(_ORIENTATION)
    except UserWarning:  # It is an error only by the process's filters: see _quietly.
        raise
    except Exception:  # noqa: BLE001  (broken EXIF makes Pillow raise almost anything)
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _encoded(original: PIL.Image.Image, max_side: int | None, label: str) -> bytes:
    """Return a caller's image as a file: without loss, or as JPEG where it came from one. Runs in a thread."""
    with _drawable(label):
        image = _with_real_alpha(original.copy()) if original.format == "BMP" else original.copy()
        if original.format in {"JPEG", "MPO"} and image.mode in {"L", "RGB", "CMYK"}:
            return _written(image, "JPEG", max_side)
        if image.mode in _LIKE_PNG:
            image = image.convert(_LIKE_PNG[image.mode])
            image.info.pop("icc_profile", None)
        if image.mode not in {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}:
            raise MediaError(f"{label} has mode {image.mode}, which no image file can hold: convert it to RGB or L.")
        return _written(image, "PNG", max_side)


def _written(image: PIL.Image.Image, form: str, max_side: int | None) -> bytes:
    from PIL import Image  # noqa: PLC0415  (as in fitted; whoever has an image has Pillow)

    if max_side is not None and max(image.size) > max_side:
        mode = image.mode
        gap = _GAP if image.format in {"JPEG", "MPO"} else 2.0
        image = _mixable(image)
        image.thumbnail(_box(image, max_side), Image.Resampling.LANCZOS, reducing_gap=gap)
        image = image.convert("I;16") if mode.startswith("I;16") and image.mode == "I" else image
    image.load()  # TiffImageFile turns itself upright at this, and drops the orientation.
    if (orientation := _orientation(image.getexif)) != 1:
        image = image.transpose(Image.Transpose[_TURNS[orientation]])
    for name in _TURNED_BY:  # Some versions of Pillow write them to the new file.
        image.info.pop(name, None)
    if form == "TIFF":
        image = image.copy()  # An image opened from a TIFF would write all its old tags.
    elif (form == "BMP" and image.has_transparency_data) or (form == "GIF" and _is_half_clear(image)):
        form = "PNG"
    buffer = _Yielding()
    image.save(buffer, form, icc_profile=image.info.get("icc_profile"), **_SAVED_AS.get(form, {}))
    return buffer.getvalue()


def _box(image: PIL.Image.Image, max_side: int) -> tuple[int, int]:
    """Return what an image has to fit into. Of a square Pillow would have both sides decoded at twice its size."""
    width, height = image.size
    return min(max_side, -(-max_side * width // height)), min(max_side, -(-max_side * height // width))


def _mixable(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return it in a mode whose pixels can be mixed: no palette, and transparency in a channel of its own.

    One colour or entry of a palette that stands for transparency (PNG's tRNS, GIF's transparent colour) would be lost
    as soon as it is mixed with its neighbours.
    """
    mode = image.mode
    if mode in {"P", "PA"}:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if mode.startswith("I;16"):
        return _of_sixteen_bits(image)
    if mode in {"1", "L"}:
        return image.convert("LA") if "transparency" in image.info else image.convert("L")
    if mode == "RGB" and "transparency" in image.info:
        return image.convert("RGBA")
    return _with_real_alpha(image) if image.format == "BMP" else image


def _with_real_alpha(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return a BMP opaque where its fourth channel is all zeros, as many programs write it and all others read it."""
    left_empty = image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0)
    return image.convert("RGB") if left_empty else image


def _of_sixteen_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return grey of 16 bits in a mode that can be mixed; of 8 bits where one of its values is transparent."""
    from PIL import Image  # noqa: PLC0415  (as in fitted)

    clear = image.info.get("transparency")
    grey = image.convert("I")
    if not isinstance(clear, int):
        return grey
    values = grey.point([value >> 8 for value in range(2**16)], "L")
    alpha = grey.point([0 if value == clear else 255 for value in range(2**16)], "L")
    return Image.merge("LA", (values, alpha))


def _is_half_clear(image: PIL.Image.Image) -> bool:
    """Return whether an image has pixels that are neither clear nor opaque, which a GIF cannot hold."""
    if image.mode not in {"RGBA", "LA"}:
        return False
    return any(image.getchannel("A").histogram()[1:255])


@contextlib.contextmanager
def _drawable(label: str) -> Generator[None]:
    try:
        yield
    except MediaError:
        raise
    except Exception as error:  # A broken image makes Pillow raise almost anything.
        raise MediaError(f"{label} cannot be drawn by Pillow: {printable(str(error), 200)}") from error


def pixels(name: str, value: object) -> int | None:
    """Check a number of pixels."""
    if value is None:
        return None
    try:
        number = 0 if isinstance(value, bool) else operator.index(cast("Any", value))
    except TypeError:
        number = 0
    if number < 1:
        example = f", such as {name}={int(value)}" if isinstance(value, str) and value.strip().isdecimal() else ""
        raise MediaError(
            f"{name} is {printable(repr(value), 60)}; it must be a whole number of pixels, at least 1{example}."
        )
    return number
