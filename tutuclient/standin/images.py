"""What the stand-in can do with pixels: decode, count colours, edit, draw.

The only module here that needs Pillow (the extra ``images``), so it is imported when the first picture comes. It is
glad not to know where a picture comes from nor who asked.
"""

import colorsys
import hashlib
import io
import math
import re
import warnings
from collections import Counter
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

MAX_PIXELS = 50_000_000
"""Pictures with more pixels (width × height) are refused before they are decoded."""

MAX_SIDE = 2048
"""Edited pictures are made no longer than this, in pixels."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")

Colour = tuple[int, int, int]


def decode(data: bytes) -> Image.Image:
    """Decode a picture, after a look at its size and, where the format has any, its checksums.

    Args:
        data: A PNG, JPEG, WebP, GIF, BMP or TIFF file.

    Raises:
        ValueError: It is none of these, is broken, or has more than ``MAX_PIXELS``.
    """
    try:
        return _decoded(data)
    except _TooLargeError as error:
        raise ValueError(str(error)) from None
    except UserWarning:
        pass  # Pillow only warns of broken EXIF, and the process makes errors of warnings (python -W error).
    except Exception as error:
        # Decoders raise whatever they meet: OSError, SyntaxError, struct.error, DecompressionBombError …
        raise ValueError(f"the picture could not be decoded: {type(error).__name__}") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return decode(data)


class _TooLargeError(Exception):
    """It has too many pixels."""


def _decoded(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as probe:
        pixels = probe.width * probe.height
        if pixels > MAX_PIXELS:
            raise _TooLargeError(f"the picture has {pixels} pixels, and {MAX_PIXELS} are the most that are looked at")
        probe.verify()
    picture = Image.open(io.BytesIO(data), formats=_FORMATS)
    picture.load()
    if picture.mode not in {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}:
        rgba(picture)  # What cannot be shown in colours is told now.
    return picture


def rgba(picture: Image.Image) -> Image.Image:
    """Bring a picture of any mode into colours of 8 bits with alpha.

    Raises:
        ValueError: There is no way from its mode.
    """
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        grey = picture.convert("I").point([value >> 8 for value in range(2**16)], "L")
        return grey.convert("RGBA")
    if picture.mode == "F":
        return picture.convert("L").convert("RGBA")
    return picture.convert("RGBA")


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


def upright(picture: Image.Image) -> Image.Image:
    """Turn a decoded picture as its EXIF says; broken EXIF says nothing."""
    try:
        orientation = picture.getexif().get(0x0112)
    except Exception:  # noqa: BLE001  (Pillow raises whatever it met: SyntaxError, ValueError, struct.error …)
        orientation = None
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _resized(
    image: Image.Image, size: tuple[int, int], resample: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    return image.resize(size, resample)  # pyright: ignore[reportUnknownMemberType]  (its stub names numpy's types)


def _mapped(image: Image.Image, table: list[int]) -> Image.Image:
    """Give each of the 256 values of an "L" picture another."""
    return image.point(table)  # pyright: ignore[reportUnknownMemberType]  (its stub names types that Pillow keeps back)


def _where(image: Image.Image, values: range) -> Image.Image:
    """Make a mask: 255 where an "L" picture has one of these values."""
    return _mapped(image, [255 if value in values else 0 for value in range(256)])


# --- Looking ---------------------------------------------------------------------------------------------------------

_COLOURS: dict[str, tuple[str, Colour]] = {
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


def describe(picture: Image.Image, *, zh: bool) -> str:
    """Say what can be counted: format, size, mode, frames, and the main colours with their share of the area."""
    kind, frames = picture.format or "?", getattr(picture, "n_frames", 1)
    shares = _shares(picture)
    if zh:
        colours = "、".join(f"{_chinese(name)} {share}%" for name, share in shares)
        moving = f",动画 {frames} 帧" if frames > 1 else ""
        return (
            f"这是一张 {kind} 图片,{picture.width}×{picture.height} 像素,{picture.mode} 模式{moving}。"
            f"主要颜色:{colours}。"
        )
    colours = ", ".join(f"{name} {share}%" for name, share in shares)
    moving = f", animated with {frames} frames" if frames > 1 else ""
    article = "an" if kind[0] in "AEIOU" else "a"
    return (
        f"This is {article} {kind} picture of {picture.width}x{picture.height} pixels, mode {picture.mode}{moving}. "
        f"Main colours: {colours}."
    )


def _shares(picture: Image.Image) -> list[tuple[str, int]]:
    """Name the colours that cover at least 3 % of the area, the largest first, with their share in per cent."""
    small = _resized(rgba(picture), (96, 96), Image.Resampling.NEAREST)
    counted: Counter[str] = Counter()
    colours: list[tuple[int, Any]] = small.getcolors(96 * 96) or []
    for number, (red, green, blue, alpha) in colours:
        counted[_name(red, green, blue) if alpha > 127 else "transparent"] += number  # noqa: PLR2004 - half.
    shares = [(name, round(100 * number / 96**2)) for name, number in counted.most_common(5)]
    return [(name, share) for name, share in shares if share >= 3] or shares[:1]  # noqa: PLR2004 - said above.


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


def _chinese(name: str) -> str:
    return "透明" if name == "transparent" else f"{_COLOURS[name][0]}色"


def _colour_in(text: str) -> str | None:
    """Find the first colour word."""
    found = [(match.start(), name) for name, pattern in _COLOUR_WORDS.items() if (match := pattern.search(text))]
    return min(found)[1] if found else None


_COLOUR_WORDS = {
    name: re.compile(f"{zh}|\\b{'gr[ae]y' if name == 'grey' else name}\\b", re.IGNORECASE)
    for name, (zh, _) in _COLOURS.items()
}


# --- Editing ---------------------------------------------------------------------------------------------------------

_SKY = re.compile(r"蓝天|白云|天空|云朵|\bsky\b|\bclouds?\b", re.IGNORECASE)
_BACKGROUND = re.compile(r"背景|\bbackground\b|\bbackdrop\b", re.IGNORECASE)
_TRANSPARENT = re.compile(r"透明|去除背景|去掉背景|移除背景|抠图|transparent|remove the background", re.IGNORECASE)
_BLUR = re.compile(r"模糊|虚化|\bblur", re.IGNORECASE)
_GREY = re.compile(r"黑白|灰度|单色|black.and.white|gr[ae]y\s?scale|monochrome|\bb&w\b", re.IGNORECASE)
_INVERT = re.compile(r"反色|反相|负片|\binvert|\bnegative\b", re.IGNORECASE)
_BRIGHTER = re.compile(r"变亮|更亮|亮一点|亮一些|提亮|调亮|\bbright(?:er|en)|\blighter\b|\blighten\b", re.IGNORECASE)
_DARKER = re.compile(r"变暗|更暗|暗一点|暗一些|调暗|\bdark(?:er|en)", re.IGNORECASE)
_ROTATE = re.compile(r"旋转|转动|\brotat|\bturn (?:\w+ ){0,2}(?:by )?\d", re.IGNORECASE)
_DEGREES = re.compile(r"(\d{1,3})\s*(?:度|°|deg)")
_COUNTER = re.compile(r"逆时针|counter.?clockwise|anti.?clockwise|向左|to the left", re.IGNORECASE)
_UPSIDE = re.compile(r"垂直翻转|上下翻转|上下颠倒|vertical(?:ly)?|upside", re.IGNORECASE)
_MIRROR = re.compile(r"翻转|镜像|\bflip|\bmirror", re.IGNORECASE)


def edit(picture: Image.Image, prompt: str, *, zh: bool, mask: Image.Image | None = None) -> tuple[bytes, str]:
    """Do to the picture what can be read out of the prompt; say what was done.

    Args:
        picture: The picture.
        prompt: What to do, in Chinese or English.
        zh: Whether to say what was done in Chinese.
        mask: A picture of the same size with alpha; only where it is transparent is anything changed.
    """
    image = rgba(upright(picture))
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    before = image.copy()
    image, done = _change_background(image, prompt)
    for change in (_change_tones, _change_place):
        image, more = change(image, prompt)
        done += more
    if not done:
        image = ImageOps.expand(image, max(4, min(image.size) // 24), (*_COLOURS["orange"][1], 255))
        done = [
            (
                "没看懂这个修改要求,只给图片加了画框",
                "I could not read that edit, so I only framed the picture",
            )
        ]
    if mask is not None:
        kept = _resized(upright(mask).getchannel("A"), before.size)
        changed = image if image.size == before.size else ImageOps.fit(image, before.size)
        image = Image.composite(before, changed, kept)
    if zh:
        return _png(image), f"{'、'.join(said for said, _ in done)}。"
    said = "; ".join(said for _, said in done)
    return _png(image), f"{said[0].upper()}{said[1:]}."


Done = list[tuple[str, str]]


def _change_background(image: Image.Image, prompt: str) -> tuple[Image.Image, Done]:
    sky = _SKY.search(prompt) is not None
    if not (sky or _BACKGROUND.search(prompt) or _TRANSPARENT.search(prompt)):
        return image, []
    colour = _colour_in(_SKY.sub("", prompt)) if not sky else None
    if sky:
        ground, done = draw_sky(image.size), ("把背景换成了蓝天白云", "put a blue sky with white clouds behind it")
    elif _TRANSPARENT.search(prompt):
        ground, done = (
            Image.new("RGBA", image.size, (0, 0, 0, 0)),
            ("把背景变成了透明", "made the background transparent"),
        )
    elif _BLUR.search(prompt):
        ground = image.filter(ImageFilter.GaussianBlur(max(4, max(image.size) / 80)))
        done = ("把背景模糊了", "blurred the background")
    elif colour is not None:
        ground = Image.new("RGBA", image.size, (*_COLOURS[colour][1], 255))
        done = (f"把背景换成了{_chinese(colour)}", f"made the background {colour}")
    else:
        return image, []
    mask = _background_mask(image)
    if mask is None:
        # Nothing flat to replace: the whole picture stands before the new background.
        inset = _resized(image, (max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)))
        ground.paste(inset, ((image.width - inset.width) // 2, (image.height - inset.height) // 2), inset)
        said = (
            "没找到平整的背景,所以整张图放在新背景前",
            "found no plain background, so all of it stands before a new one",
        )
        return ground, [said]
    flat = Image.new("RGBA", image.size, (0, 0, 0, 0))
    flat.paste(image, (0, 0))
    return Image.composite(ground, flat, mask), [done]


def _background_mask(image: Image.Image) -> Image.Image | None:
    """Find the background: what is transparent, or is like the upper border and touches it.

    Returns:
        An "L" picture of the same size, 255 where the background is; None when that is under 2 % of the area.
    """
    clear = _where(image.getchannel("A"), range(128))
    rgb = image.convert("RGB")
    small = _resized(rgb, (min(160, rgb.width), min(160, rgb.height)), Image.Resampling.NEAREST)
    width, height = small.size
    rim = [(x, 0) for x in range(width)] + [(x, y) for y in range(height * 3 // 5) for x in (0, width - 1)]
    colours = _palette([small.getpixel(spot) for spot in rim])
    like = Image.new("L", rgb.size, 0)
    for colour in colours:
        difference = ImageChops.difference(rgb, Image.new("RGB", rgb.size, colour)).split()
        worst = ImageChops.lighter(ImageChops.lighter(difference[0], difference[1]), difference[2])
        like = ImageChops.lighter(like, _where(worst, range(31)))
    reached = _connected(_resized(like, small.size, Image.Resampling.NEAREST), rim)
    near = _resized(reached.filter(ImageFilter.MaxFilter(5)), rgb.size, Image.Resampling.BILINEAR)
    mask = ImageChops.darker(like, _where(near, range(1, 256)))
    mask = ImageChops.lighter(mask, clear).filter(ImageFilter.MaxFilter(3))
    if mask.histogram()[255] < rgb.width * rgb.height * 0.02:
        return None
    return mask.filter(ImageFilter.GaussianBlur(0.8))


def _palette(colours: list[Any]) -> list[Colour]:
    """Pick the few colours that make up most of a border, each standing for what is close to it."""
    groups: Counter[Colour] = Counter(tuple(channel // 24 for channel in colour) for colour in colours)
    kept = [group for group, number in groups.most_common(8) if number >= len(colours) * 0.04]
    members = [[c for c in colours if tuple(channel // 24 for channel in c) == group] for group in kept]
    return [
        (sum(red) // len(group), sum(green) // len(group), sum(blue) // len(group))
        for group in members
        for red, green, blue in [zip(*group, strict=True)]
    ]


def _connected(like: Image.Image, rim: list[tuple[int, int]]) -> Image.Image:
    """Keep of a small mask what hangs together with the rim."""
    width, height = like.size
    open_spots = bytearray(like.tobytes())
    reached = bytearray(width * height)
    queue = [y * width + x for x, y in rim]
    while queue:
        spot = queue.pop()
        if not open_spots[spot]:
            continue
        open_spots[spot], reached[spot] = 0, 255
        x = spot % width
        if x:
            queue.append(spot - 1)
        if x < width - 1:
            queue.append(spot + 1)
        if spot >= width:
            queue.append(spot - width)
        if spot < width * (height - 1):
            queue.append(spot + width)
    return Image.frombytes("L", like.size, bytes(reached))


def _change_tones(image: Image.Image, prompt: str) -> tuple[Image.Image, Done]:
    done: Done = []
    alpha, rgb = image.getchannel("A"), image.convert("RGB")
    if _GREY.search(prompt):
        rgb, done = ImageOps.grayscale(rgb).convert("RGB"), [*done, ("变成了黑白", "made it black and white")]
    if _INVERT.search(prompt):
        rgb, done = ImageOps.invert(rgb), [*done, ("反转了颜色", "inverted the colours")]
    if _BRIGHTER.search(prompt):
        rgb, done = ImageEnhance.Brightness(rgb).enhance(1.35), [*done, ("调亮了", "made it brighter")]
    if _DARKER.search(prompt):
        rgb, done = ImageEnhance.Brightness(rgb).enhance(0.65), [*done, ("调暗了", "made it darker")]
    if _BLUR.search(prompt) and not _BACKGROUND.search(prompt):
        radius = max(2.0, max(rgb.size) / 120)
        rgb, done = rgb.filter(ImageFilter.GaussianBlur(radius)), [*done, ("模糊了", "blurred it")]
    return Image.merge("RGBA", (*rgb.split(), alpha)), done


def _change_place(image: Image.Image, prompt: str) -> tuple[Image.Image, Done]:
    done: Done = []
    if _ROTATE.search(prompt):
        given = _DEGREES.search(prompt)
        degrees = int(given[1]) % 360 if given else 90
        counter = _COUNTER.search(prompt) is not None
        image = image.rotate(degrees if counter else -degrees, expand=True)
        done.append((f"{'逆' if counter else '顺'}时针旋转了 {degrees} 度",
                     f"rotated it {degrees} degrees {'counter' if counter else ''}clockwise"))  # fmt: skip
    if _UPSIDE.search(prompt):
        image, done = ImageOps.flip(image), [*done, ("上下翻转了", "flipped it upside down")]
    elif _MIRROR.search(prompt):
        image, done = ImageOps.mirror(image), [*done, ("左右翻转了", "mirrored it")]
    return image, done


def beside(images: list[Image.Image]) -> Image.Image:
    """Set pictures side by side, all as high as the first."""
    height = min(images[0].height, MAX_SIDE)
    fitted = [_resized(rgba(upright(each)), (max(1, each.width * height // each.height), height)) for each in images]
    row = Image.new("RGBA", (sum(each.width for each in fitted), height))
    place = 0
    for each in fitted:
        row.paste(each, (place, 0))
        place += each.width
    return row


def vary(picture: Image.Image, number: int) -> bytes:
    """Make a picture that is like this one and not the same: its hues turned a little further with each number."""
    image = rgba(upright(picture))
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    hue, saturation, value = image.convert("RGB").convert("HSV").split()
    turned = _mapped(hue, [(shade + 21 * number) % 256 for shade in range(256)])
    rgb = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
    return _png(Image.merge("RGBA", (*rgb.split(), image.getchannel("A"))))


def draft(data: bytes, steps: int, *, kind: str) -> bytes:
    """Blur a finished picture, so that it looks like one that is so many steps from done."""
    image = decode(data).convert("RGBA")
    radius = max(image.size) / 64 * steps
    return encode(_png(image.filter(ImageFilter.GaussianBlur(radius))), kind=kind)


def encode(data: bytes, *, kind: str, size: tuple[int, int] | None = None, quality: int | None = None) -> bytes:
    """Bring a picture into a size and format.

    Args:
        data: The picture as PNG.
        kind: ``"png"``, ``"jpeg"`` or ``"webp"``; JPEG gets a white ground where the picture is transparent.
        size: Width and height in pixels; None leaves them. What does not fit is cut off at the edges.
        quality: 0 to 100 for JPEG and WebP; None for the usual.
    """
    image = decode(data)
    if kind == "png" and size in {None, image.size}:
        return data
    image = image.convert("RGBA")
    if size is not None and size != image.size:
        image = ImageOps.fit(image, size)
    if kind == "png":
        return _png(image)
    if kind == "jpeg":
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, image).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, kind.upper(), quality=90 if quality is None else max(1, min(quality, 100)))
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


# --- Drawing ---------------------------------------------------------------------------------------------------------


def draw_sky(size: tuple[int, int]) -> Image.Image:
    """Draw a blue sky with white clouds.

    Args:
        size: Width and height in pixels.

    Returns:
        An opaque "RGBA" picture, the same for the same size.
    """
    width, height = size
    fade = _resized(Image.linear_gradient("L"), size)
    sky = Image.composite(Image.new("RGB", size, (214, 236, 252)), Image.new("RGB", size, (58, 134, 224)), fade)
    unit = max(width, height) / 100
    for centre_x, centre_y, scale in ((0.2, 0.2, 1.0), (0.77, 0.17, 1.2), (0.52, 0.36, 0.6), (0.94, 0.42, 0.75),
                                      (0.05, 0.5, 0.7)):  # fmt: skip
        cloud = Image.new("L", size, 0)
        draw = ImageDraw.Draw(cloud)
        for offset_x, offset_y, radius in ((-9, 1, 4), (-4, -2, 5.5), (2, -3.5, 6.5), (8, -1, 5), (12, 1.5, 3)):
            x, y = centre_x * width + offset_x * scale * unit, centre_y * height + offset_y * scale * unit
            reach = radius * scale * unit
            draw.ellipse((x - reach, y - reach * 0.8, x + reach, y + reach * 0.8), fill=255)
        base = centre_y * height + 2.6 * scale * unit
        draw.rectangle((0, base, width, height), fill=0)
        soft = cloud.filter(ImageFilter.GaussianBlur(unit * 0.45 * scale))
        shade = ImageChops.offset(soft, 0, round(-unit * 1.1 * scale))
        sky.paste((226, 236, 246), mask=soft)
        sky.paste((255, 255, 255), mask=ImageChops.multiply(soft, shade))
    return sky.convert("RGBA")


def sample_picture() -> bytes:
    """Draw the picture that demonstrations use: an orange cat on a hill before a plain light wall.

    Returns:
        A PNG of 720 × 540 pixels, always the same. Its background is one colour, so that replacing it shows.

    Raises:
        ImportError: Pillow is missing.
    """
    return _scene((720, 540), (247, 242, 233, 255), [("cat", _COLOURS["orange"][1])])


_THINGS = {
    "cat": r"猫|\bcats?\b|\bkitten",
    "house": r"房|屋|\bhouses?\b|\bhut\b",
    "tree": r"树|\btrees?\b",
    "flower": r"花|\bflowers?\b|\brose",
    "sun": r"太阳|\bsun\b",
    "star": r"星|\bstars?\b",
    "heart": r"心形|爱心|\bhearts?\b",
    "circle": r"圆|球|\bcircles?\b|\bballs?\b|\bdots?\b",
    "triangle": r"三角|\btriangles?\b",
    "square": r"方形|方块|\bsquares?\b|\bcubes?\b|\bbox\b",
}
_THING = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _THINGS.items()), re.IGNORECASE)
_CHINESE_THINGS = dict(
    zip(_THINGS, ("猫", "房子", "树", "花", "太阳", "星星", "心形", "圆形", "三角形", "方形"), strict=True)
)
_OWN_COLOURS = {"cat": "orange", "house": "red", "tree": "green", "flower": "pink", "sun": "yellow", "star": "yellow",
                "heart": "red"}  # fmt: skip
_GROUND_COLOUR = re.compile(r"\w{2}的?背景|背景[是为用]\w{2}|\w+ (?:background|backdrop)", re.IGNORECASE)


def generate(prompt: str, *, zh: bool, size: tuple[int, int] = (768, 512), clear: bool = False) -> tuple[bytes, str]:
    """Draw the things and colours that are named; without any, a pattern that is the prompt's own.

    Args:
        prompt: What to draw, in Chinese or English.
        zh: Whether to say what was drawn in Chinese.
        size: Width and height in pixels.
        clear: Whether to leave the ground transparent.
    """
    behind = _GROUND_COLOUR.search(prompt)
    wall = _colour_in(behind[0]) if behind else None
    rest = prompt.replace(behind[0], " ") if behind else prompt
    dice = hashlib.sha256(prompt.encode("utf-8", "replace")).digest()
    start = 0
    things: list[tuple[str, str]] = []
    for match in _THING.finditer(_SKY.sub(" ", rest)):
        name = str(match.lastgroup)
        colour = _colour_in(_SKY.sub(" ", rest)[start : match.start()]) or _OWN_COLOURS.get(name)
        things.append((name, colour or list(_COLOURS)[3 + dice[len(things)] % 8]))
        start = match.end()
    if not things:
        first = _colour_in(rest)
        colours = [first or list(_COLOURS)[3 + byte % 8] for byte in dice[:5]]
        things = [(("circle", "star", "square", "triangle", "heart")[byte % 5], colour)
                  for byte, colour in zip(dice[5:10], colours, strict=True)]  # fmt: skip
    things = things[:5]
    ground: Image.Image | tuple[int, ...] = (*(_COLOURS[wall][1] if wall else (247, 242, 233)), 255)
    if clear:
        ground = (0, 0, 0, 0)
    elif _SKY.search(prompt):
        ground = draw_sky(size)
    picture = _scene(size, ground, [(name, _COLOURS[colour][1]) for name, colour in things])
    if zh:
        return picture, f"画了{'、'.join(_chinese(colour) + '的' + _CHINESE_THINGS[name] for name, colour in things)}。"
    return picture, f"I drew {', '.join(f'a {name} in {colour}' for name, colour in things)}."


def _scene(size: tuple[int, int], ground: Image.Image | tuple[int, ...], things: list[tuple[str, Colour]]) -> bytes:
    """Set things side by side on a hill; all is drawn larger, for smooth edges. A clear ground has no hill."""
    larger = 3 if max(size) <= 768 else 2 if max(size) <= MAX_SIDE else 1  # noqa: PLR2004 - as memory allows.
    width, height = size[0] * larger, size[1] * larger
    large = (
        _resized(ground, (width, height))
        if not isinstance(ground, tuple)
        else Image.new("RGBA", (width, height), ground)
    )
    draw = ImageDraw.Draw(large)
    if isinstance(ground, Image.Image) or ground[3]:
        draw.ellipse((-width * 0.35, height * 0.74, width * 1.35, height * 1.9), fill=(150, 190, 130))
        draw.ellipse((-width * 0.6, height * 0.83, width * 0.9, height * 1.8), fill=(122, 170, 108))
    reach = min(height * 0.34, width / len(things) * 0.42)
    for place, (name, colour) in enumerate(things):
        x = width * (place + 0.5) / len(things)
        _draw_thing(
            draw, name, colour, x=x, y=height * 0.4 if name in {"sun", "star"} else height * 0.9 - reach, reach=reach
        )
    return _png(_resized(large, size, Image.Resampling.LANCZOS))


def _draw_thing(  # noqa: C901 - one case a thing.
    draw: Any, name: str, colour: Colour, *, x: float, y: float, reach: float
) -> None:
    """Draw one thing around (x, y), reaching so many pixels to each side."""
    dark, light = _mix(colour, (40, 26, 20), 0.3), _mix(colour, (255, 255, 255), 0.65)

    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + dx * reach, y + dy * reach

    def oval(dx: float, dy: float, rx: float, ry: float, fill: Colour) -> None:
        draw.ellipse((*at(dx - rx, dy - ry), *at(dx + rx, dy + ry)), fill=fill)

    def shape(*points: tuple[float, float], fill: Colour) -> None:
        draw.polygon([at(*point) for point in points], fill=fill)

    if name not in {"sun", "star", "cat"}:
        oval(0, 0.98, 0.8, 0.08, (104, 148, 92))
    match name:
        case "cat":
            _draw_cat(oval, shape, draw, at, reach=reach, colour=colour)
        case "house":
            draw.rectangle((*at(-0.7, -0.1), *at(0.7, 1)), fill=light)
            shape((-0.9, -0.1), (0, -0.9), (0.9, -0.1), fill=colour)
            draw.rectangle((*at(-0.16, 0.4), *at(0.2, 1)), fill=dark)
            draw.rectangle((*at(-0.56, 0.2), *at(-0.28, 0.5)), fill=(150, 205, 235))
        case "tree":
            draw.rectangle((*at(-0.12, 0.2), *at(0.12, 1)), fill=_COLOURS["brown"][1])
            for dx, dy, r in ((-0.4, 0, 0.42), (0.4, 0, 0.42), (0, -0.4, 0.52)):
                oval(dx, dy, r, r, colour)
        case "flower":
            draw.rectangle((*at(-0.05, 0), *at(0.05, 1)), fill=_COLOURS["green"][1])
            for turn in range(6):
                oval(0.34 * math.cos(turn * math.pi / 3), 0.34 * math.sin(turn * math.pi / 3) - 0.3, 0.26, 0.26, colour)
            oval(0, -0.3, 0.22, 0.22, _COLOURS["yellow"][1])
        case "sun" | "star":
            points, inner = (24, 0.74) if name == "sun" else (10, 0.42)
            turns = [
                (turn * 2 * math.pi / points - math.pi / 2, 1 if turn % 2 == 0 else inner) for turn in range(points)
            ]
            shape(*((r * math.cos(a), r * math.sin(a) - 0.1) for a, r in turns), fill=colour)
        case "heart":
            angles = [step * math.pi / 60 for step in range(120)]
            shape(
                *(
                    (
                        math.sin(a) ** 3,
                        -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)) / 16,
                    )
                    for a in angles
                ),
                fill=colour,
            )
        case "triangle":
            shape((0, -0.9), (0.95, 0.95), (-0.95, 0.95), fill=colour)
        case "square":
            shape((-0.85, -0.8), (0.85, -0.8), (0.85, 0.95), (-0.85, 0.95), fill=colour)
        case _:
            oval(0, 0, 0.98, 0.98, colour)


def _draw_cat(oval: Any, shape: Any, draw: Any, at: Any, *, reach: float, colour: Colour) -> None:
    dark, light, ink = _mix(colour, (60, 30, 20), 0.28), _mix(colour, (255, 250, 240), 0.72), (58, 44, 44)
    oval(0.05, 1.06, 0.95, 0.1, (104, 148, 92))
    for step in range(60):  # The tail: a curve of overlapping discs, its tip darker.
        turn = step / 59
        tip = colour if turn < 0.75 else dark  # noqa: PLR2004 - the last quarter.
        oval(0.5 + 0.52 * math.sin(turn * 1.9), 0.94 - 0.62 * turn, 0.13 - 0.03 * turn, 0.13 - 0.03 * turn, tip)
    oval(0, 0.55, 0.56, 0.54, colour)
    oval(0, 0.66, 0.3, 0.4, light)
    for side in (-1, 1):
        oval(side * 0.36, 0.82, 0.27, 0.25, colour)
        oval(side * 0.17, 1.0, 0.18, 0.1, light)
        shape((side * 0.56, -0.36), (side * 0.52, -1.06), (side * 0.1, -0.74), fill=colour)
        shape((side * 0.49, -0.5), (side * 0.47, -0.9), (side * 0.22, -0.7), fill=_COLOURS["pink"][1])
    oval(0, -0.32, 0.62, 0.5, colour)
    for dx, length in ((-0.16, 0.2), (0, 0.27), (0.16, 0.2)):
        shape((dx - 0.045, -0.8), (dx + 0.045, -0.8), (dx, -0.8 + length), fill=dark)
    oval(0, -0.12, 0.28, 0.2, light)
    for side in (-1, 1):
        oval(side * 0.27, -0.36, 0.11, 0.13, ink)
        oval(side * 0.27 + 0.035, -0.41, 0.04, 0.045, (255, 255, 255))
        oval(side * 0.43, -0.15, 0.09, 0.06, _mix(colour, (250, 140, 150), 0.6))
        for tilt in (-0.07, 0.02, 0.11):
            draw.line(
                (*at(side * 0.24, -0.13), *at(side * 0.6, -0.15 + tilt)), fill=ink, width=max(1, round(reach / 90))
            )
        draw.arc(
            (*at(side * 0.08 - 0.08, -0.17), *at(side * 0.08 + 0.08, -0.02)), 10, 170, ink, max(1, round(reach / 60))
        )
    shape((-0.06, -0.2), (0.06, -0.2), (0, -0.12), fill=(214, 96, 100))


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(mine + (its - mine) * share) for mine, its in zip(colour, other, strict=True))
    return red, green, blue
