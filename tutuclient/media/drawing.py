"""Images that have to be drawn before they are sent: made smaller, set upright, or out of a Pillow image.

Pillow is an extra, and imported only here, when it is needed.
"""

from __future__ import annotations

import contextlib
import io
import operator
import os
import threading
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

from tutuclient._threads import in_thread
from tutuclient.errors import MediaError, printable
from tutuclient.media.sources import Made

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import PIL.Image

    from tutuclient.media.sources import Content

MAX_PIXELS = 100_000_000
"""Pictures that declare more pixels (width x height) are not drawn anew, unless ``max_pixels=`` allows it."""

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
"""The orientations of EXIF 2.32, section 4.6.4 A, and what sets each upright, by Pillow's names."""

_TURNED_BY = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""What Pillow keeps of a file that may say that it is turned, which what is written anew is no more."""

_CREDIBLE_PIXELS = 2_000_000
_PIXELS_PER_BYTE = {"PNG": 8 * 1032, "GIF": 4096, "TIFF": 64 * 1024, "JPEG": 8192, "MPO": 8192}
_RAW_PIXELS_PER_BYTE, _RLE_PIXELS_PER_BYTE = 8, 1024
"""The most pixels that a byte of a file can stand for; smaller pictures than ``_CREDIBLE_PIXELS`` are not counted.

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
"""Of PNG's levels 3 takes a third of the time of Pillow's own choice for a photograph, and no more bytes."""

_LIKE_PNG = {"RGBa": "RGBA", "PA": "RGBA", "La": "LA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
"""Modes no PNG holds, and the nearest it does."""
_T = TypeVar("_T")


class Drawing(Made):
    """An image of Pillow's."""

    def __init__(self, picture: PIL.Image.Image, max_side: int | None) -> None:
        super().__init__("The Pillow image")
        self._picture = picture
        self._max_side = max_side

    async def _make(self) -> bytes:
        return await draw(partial(_encoded, self._picture, self._max_side, self.label))


_filtering = threading.Lock()
_at_once: RunVar[CapacityLimiter] = RunVar("tutuclient.media.drawing.at_once")


async def draw(do: Callable[[], _T]) -> _T:
    """Do Pillow's work in a thread. A decoded picture is large: no more of them at a time than processors."""
    try:
        limiter = _at_once.get()
    except LookupError:
        limiter = CapacityLimiter(os.cpu_count() or 1)
        _at_once.set(limiter)
    return await in_thread(partial(_quietly, do), abandon_on_cancel=True, limiter=limiter)


def _quietly(do: Callable[[], _T]) -> _T:
    """Do it once more where it failed only because the process makes errors of warnings (``python -W error``).

    Pillow warns of broken EXIF and of odd tags, and goes on. The filters are the whole process's until Python 3.14, so
    they are changed only here.
    """
    try:
        return do()
    except MediaError as error:
        if type(error.__cause__) is not UserWarning:
            raise
    with _filtering, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return do()


def fitted(content: Content, max_side: int, *, max_pixels: int = MAX_PIXELS) -> bytes | None:
    """Write a picture anew, smaller and upright; None when it is so already. Runs in a thread."""
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  (Pillow is an extra, and slow to import)
    except ImportError as error:
        raise MediaError('max_side needs Pillow: pip install pillow (the extra "images").') from error
    with content.whole() as file, _drawable(content.label), contextlib.ExitStack() as opened:
        try:
            picture = opened.enter_context(Image.open(file))
        except UnidentifiedImageError as error:
            raise MediaError(
                f"Pillow does not know the format of {content.label}, or its header is broken."
                " For HEIC install pillow-heif and call its register_heif_opener()."
            ) from error
        except Image.DecompressionBombError as error:
            # Pillow's own bound, which is the whole process's, so that it is the caller's to move.
            raise MediaError(
                f"{content.label} has more pixels than Pillow opens, whatever max_pixels says ({error}): give a"
                " smaller picture, or raise PIL.Image.MAX_IMAGE_PIXELS."
            ) from error
        # Not picture.getexif(): for a PNG that decodes the pixels.
        turned = _orientation(partial(Image.Image.getexif, picture)) != 1
        if max(picture.size) <= max_side and not turned:
            return None
        size_bytes = file.seek(0, os.SEEK_END)
        _check_pixels(picture, content.label, max_side, size_bytes, max_pixels)
        form = "JPEG" if picture.format == "MPO" else picture.format
        return _written(picture, form if form in Image.SAVE else "PNG", max_side)


def _check_pixels(picture: PIL.Image.Image, label: str, max_side: int, size_bytes: int, max_pixels: int) -> None:
    """Refuse by its header what is too large to decode, or larger than its bytes can be.

    Memory for the pixels is taken, and given back, while the event loop waits.
    """
    (width, height), form = picture.size, picture.format
    compression = picture.info.get("compression")
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
        fits = min(width, height) // (2 * max_side)
        scale = next((each for each in (8, 4, 2) if fits >= each), 1)
    if width * height // scale**2 > max_pixels:
        raise MediaError(
            f"{label} has {width:,} x {height:,} pixels, and max_pixels is {max_pixels:,}: give a larger"
            f" max_pixels={width * height} to have it made smaller all the same, or a smaller picture."
        )


def _orientation(getexif: Callable[[], Any]) -> int:
    """Return how a picture is turned, by its EXIF: 1 to 8. What cannot be read says nothing."""
    try:
        value = getexif().get(_ORIENTATION)
    except UserWarning:  # An error only by the process's filters: see _quietly.
        raise
    except Exception:  # noqa: BLE001  (broken EXIF makes Pillow raise almost anything)
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _encoded(original: PIL.Image.Image, max_side: int | None, label: str) -> bytes:
    """Write a caller's image without loss, or as JPEG where it was one. Runs in a thread."""
    with _drawable(label):
        picture = _with_real_alpha(original.copy()) if original.format == "BMP" else original.copy()
        if original.format in {"JPEG", "MPO"} and picture.mode in {"L", "RGB", "CMYK"}:
            return _written(picture, "JPEG", max_side)
        if picture.mode in _LIKE_PNG:
            picture = picture.convert(_LIKE_PNG[picture.mode])
            picture.info.pop("icc_profile", None)
        if picture.mode not in {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}:
            raise MediaError(f"{label} has mode {picture.mode}, which no picture file holds: convert it to RGB or L.")
        return _written(picture, "PNG", max_side)


def _written(picture: PIL.Image.Image, form: str, max_side: int | None) -> bytes:
    from PIL import Image  # noqa: PLC0415  (as in fitted; whoever has a picture has Pillow)

    if max_side is not None and max(picture.size) > max_side:
        mode = picture.mode
        picture = _mixable(picture)
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        picture = picture.convert("I;16") if mode.startswith("I;16") and picture.mode == "I" else picture
    picture.load()  # A TIFF turns itself by this.
    if (orientation := _orientation(picture.getexif)) != 1:
        picture = picture.transpose(Image.Transpose[_TURNS[orientation]])
    for name in _TURNED_BY:  # Some versions of Pillow write them on.
        picture.info.pop(name, None)
    if form == "TIFF":
        picture = picture.copy()  # What was opened from a TIFF would hand on its tags.
    elif (form == "BMP" and picture.has_transparency_data) or (form == "GIF" and _is_half_clear(picture)):
        form = "PNG"
    buffer = io.BytesIO()
    picture.save(buffer, form, icc_profile=picture.info.get("icc_profile"), **_SAVED_AS.get(form, {}))
    return buffer.getvalue()


def _mixable(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return it in a mode whose pixels can be mixed: no palette, and transparency in a channel of its own.

    One colour or entry of a palette that stands for transparency (PNG's tRNS, GIF's transparent colour) would be lost
    as soon as it is mixed with its neighbours.
    """
    mode = picture.mode
    if mode in {"P", "PA"}:
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if mode.startswith("I;16"):
        return _of_sixteen_bits(picture)
    if mode in {"1", "L"}:
        return picture.convert("LA") if "transparency" in picture.info else picture.convert("L")
    if mode == "RGB" and "transparency" in picture.info:
        return picture.convert("RGBA")
    return _with_real_alpha(picture) if picture.format == "BMP" else picture


def _with_real_alpha(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return what a BMP shows: many programs leave its fourth channel empty, and all others take it for opaque then."""
    left_empty = picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (0, 0)
    return picture.convert("RGB") if left_empty else picture


def _of_sixteen_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return grey of 16 bits in a mode that can be mixed; of 8 bits where one of its values is transparent."""
    from PIL import Image  # noqa: PLC0415  (as in fitted)

    clear = picture.info.get("transparency")
    grey = picture.convert("I")
    if not isinstance(clear, int):
        return grey
    values = grey.point([value >> 8 for value in range(2**16)], "L")
    alpha = grey.point([0 if value == clear else 255 for value in range(2**16)], "L")
    return Image.merge("LA", (values, alpha))


def _is_half_clear(picture: PIL.Image.Image) -> bool:
    """Return whether a picture has pixels that are neither clear nor opaque, which a GIF has no room for."""
    if picture.mode not in {"RGBA", "LA"}:
        return False
    return any(picture.getchannel("A").histogram()[1:255])


@contextlib.contextmanager
def _drawable(label: str) -> Generator[None]:
    try:
        yield
    except MediaError:
        raise
    except Exception as error:  # A broken picture makes Pillow raise almost anything.
        raise MediaError(f"Pillow cannot draw {label}: {printable(str(error), 200)}") from error


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
