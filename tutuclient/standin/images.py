"""What the stand-in reads from an image and writes into one: decoding, colours, formats. It needs Pillow."""

import colorsys
import io
import re
import warnings
from collections import Counter
from typing import Any

from PIL import Image, ImageOps

MAX_PIXELS = 50_000_000
"""Images with more pixels (width × height) are an error before they are decoded."""

MAX_SIDE = 2048
"""The longest side of an edited image, in pixels."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")

Colour = tuple[int, int, int]


def decode(data: bytes) -> Image.Image:
    """Decode a PNG, JPEG, WebP, GIF, BMP or TIFF, after a look at its size and its checksums, where it has any.

    Raises:
        ValueError: It has another format, is broken, or has more than ``MAX_PIXELS``.
    """
    try:
        return _decoded(data)
    except _TooLargeError as error:
        raise ValueError(str(error)) from None
    except UserWarning:
        pass  # Pillow only warns of broken EXIF, and the process makes errors of warnings (python -W error).
    except Exception as error:
        # Decoders raise whatever they meet: OSError, SyntaxError, struct.error, DecompressionBombError …
        raise ValueError(f"the image could not be decoded: {type(error).__name__}") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return decode(data)


class _TooLargeError(Exception):
    """It has too many pixels."""


def _decoded(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as probe:
        pixels = probe.width * probe.height
        # Checked before anything is decoded: a file of some kB may unfold into gigabytes.
        if pixels > MAX_PIXELS:
            raise _TooLargeError(f"the image has {pixels} pixels, and {MAX_PIXELS} are the most that are decoded")
        # ``verify`` reads the checksums and leaves an image that cannot be used, so it is opened anew.
        probe.verify()
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    image.load()
    if image.mode not in {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}:
        rgba(image)  # Raises for modes without a conversion.
    return image


def rgba(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGBA of 8 bits.

    Raises:
        ValueError: There is no conversion from its mode.
    """
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow clips 16 bits to 8 instead of scaling them, and nearly all would be white.
        grey = image.convert("I").point([value >> 8 for value in range(2**16)], "L")
        return grey.convert("RGBA")
    if image.mode == "F":
        return image.convert("L").convert("RGBA")
    return image.convert("RGBA")


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The orientations of EXIF, and what sets each upright."""


def upright(image: Image.Image) -> Image.Image:
    """Turn a decoded image as its EXIF says; broken EXIF is ignored."""
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # noqa: BLE001  (Pillow raises whatever it met: SyntaxError, ValueError, struct.error …)
        orientation = None
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def resized(
    image: Image.Image, size: tuple[int, int], resample: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """Return an image in another size."""
    return image.resize(size, resample)  # pyright: ignore[reportUnknownMemberType]  (its stub names numpy's types)


def mapped(image: Image.Image, table: list[int]) -> Image.Image:
    """Map each of the 256 values of an "L" image to another."""
    return image.point(table)  # pyright: ignore[reportUnknownMemberType]  (its stub names types that Pillow keeps back)


def where(image: Image.Image, values: range) -> Image.Image:
    """Return a mask: 255 where an "L" image has one of these values."""
    return mapped(image, [255 if value in values else 0 for value in range(256)])


COLOURS: dict[str, tuple[str, Colour]] = {
    "black": ("黑", (24, 24, 27)),
    "white": ("白", (255, 255, 255)),
    "grey": ("灰", (150, 152, 158)),
    "red": ("红", (214, 48, 49)),
    "orange": ("橙", (240, 138, 40)),
    "yellow": ("黄", (250, 208, 60)),
    "green": ("绿", (64, 160, 84)),
    "cyan": ("青", (64, 190, 200)),
    "blue": ("蓝", (52, 116, 219)),
    "purple": ("紫", (128, 78, 190)),
    "pink": ("粉", (245, 160, 190)),
    "brown": ("棕", (139, 94, 60)),
}
# Where one colour ends for the eye and another begins, in hundredths of the hue circle, lightness and chroma.
_HUES = ((4, "red"), (12, "orange"), (19, "yellow"), (46, "green"), (54, "cyan"), (71, "blue"), (80, "purple"),
         (93, "pink"), (101, "red"))  # fmt: skip
_COLOURLESS, _BLACK, _DIM_BLACK, _WHITE, _BROWN, _PINK = 11, 12, 20, 88, 47, 72


def describe(image: Image.Image, *, zh: bool) -> str:
    """Describe what can be counted: format, size, mode, frames, and the main colours with their share of the area."""
    kind, frames = image.format or "?", getattr(image, "n_frames", 1)
    shares = _shares(image)
    if zh:
        colours = "、".join(f"{chinese(name)} {share}%" for name, share in shares)
        moving = f",动画 {frames} 帧" if frames > 1 else ""
        return f"这是一张 {kind} 图片,{image.width}×{image.height} 像素,{image.mode} 模式{moving}。主要颜色:{colours}。"
    colours = ", ".join(f"{name} {share}%" for name, share in shares)
    moving = f", animated with {frames} frames" if frames > 1 else ""
    article = "an" if kind[0] in "AEIOU" else "a"
    return (
        f"This is {article} {kind} image of {image.width}x{image.height} pixels, mode {image.mode}{moving}. "
        f"Main colours: {colours}."
    )


def _shares(image: Image.Image) -> list[tuple[str, int]]:
    """Name the colours that cover at least 3 % of the area, the largest first, with their share in per cent."""
    # Nearest neighbours, since any other filter mixes colours that the image does not have.
    small = resized(rgba(image), (96, 96), Image.Resampling.NEAREST)
    counted: Counter[str] = Counter()
    colours: list[tuple[int, Any]] = small.getcolors(96 * 96) or []
    for number, (red, green, blue, alpha) in colours:
        counted[_name(red, green, blue) if alpha > 127 else "transparent"] += number  # noqa: PLR2004 - half.
    shares = [(name, round(100 * number / 96**2)) for name, number in counted.most_common(5)]
    return [(name, share) for name, share in shares if share >= 3] or shares[:1]  # noqa: PLR2004 - as documented.


def _name(red: int, green: int, blue: int) -> str:
    """Name a colour as a person would, roughly."""
    hue, lightness, saturation = (round(100 * part) for part in colorsys.rgb_to_hls(red / 255, green / 255, blue / 255))
    chroma = (max(red, green, blue) - min(red, green, blue)) * 100 // 255
    if chroma < _COLOURLESS or saturation < _COLOURLESS or lightness < _BLACK:
        return "black" if lightness < _DIM_BLACK else "white" if lightness > _WHITE else "grey"
    name = next(name for end, name in _HUES if hue < end)
    if name in {"red", "orange"} and lightness < _BROWN and chroma < _BROWN:
        return "brown"
    return "pink" if name == "red" and lightness > _PINK else name


def chinese(name: str) -> str:
    """Return a colour's name in Chinese."""
    return "透明" if name == "transparent" else f"{COLOURS[name][0]}色"


def colour_in(text: str) -> str | None:
    """Find the first colour word."""
    found = [(match.start(), name) for name, pattern in _COLOUR_WORDS.items() if (match := pattern.search(text))]
    return min(found)[1] if found else None


_COLOUR_WORDS = {
    name: re.compile(f"{zh}|\\b{'gr[ae]y' if name == 'grey' else name}\\b", re.IGNORECASE)
    for name, (zh, _) in COLOURS.items()
}

SKY = re.compile(r"蓝天|白云|天空|云朵|\bsky\b|\bclouds?\b", re.IGNORECASE)


def encode(data: bytes, *, kind: str, size: tuple[int, int] | None = None, quality: int | None = None) -> bytes:
    """Encode a PNG as ``"png"``, ``"jpeg"`` (transparent parts become white) or ``"webp"``, in another size.

    What does not fit into the size is cut off at the edges. ``quality`` is 0 to 100, for JPEG and WebP.
    """
    image = decode(data)
    if kind == "png" and size in {None, image.size}:
        return data
    image = image.convert("RGBA")
    if size is not None and size != image.size:
        image = ImageOps.fit(image, size)
    if kind == "png":
        return png(image)
    if kind == "jpeg":
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, image).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, kind.upper(), quality=90 if quality is None else max(1, min(quality, 100)))
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    """Write a PNG, without alpha where nothing is transparent."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
