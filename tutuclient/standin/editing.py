"""Edits that the stand-in can read out of a prompt, in Chinese or English. It needs Pillow."""

import re
from collections import Counter
from typing import Any

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from tutuclient.standin.drawing import draw_sky
from tutuclient.standin.images import (
    COLOURS,
    MAX_SIDE,
    SKY,
    Colour,
    chinese,
    colour_in,
    decode,
    encode,
    mapped,
    png,
    resized,
    rgba,
    upright,
    where,
)

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


def edit(image: Image.Image, prompt: str, *, zh: bool, mask: Image.Image | None = None) -> tuple[bytes, str]:
    """Edit an image as far as the prompt can be read, and return a PNG and a note of what was done.

    Only where ``mask``, of the same size, is transparent is anything changed; with ``zh`` the note is in Chinese.
    """
    image = rgba(upright(image))
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    before = image.copy()
    image, done = _change_background(image, prompt)
    for change in (_change_tones, _change_place):
        image, more = change(image, prompt)
        done += more
    if not done:
        image = ImageOps.expand(image, max(4, min(image.size) // 24), (*COLOURS["orange"][1], 255))
        done = [("没看懂这个修改要求,只给图片加了画框", "I could not read that edit, so I only framed the image")]
    if mask is not None:
        # The rule of the API: where the mask is transparent, the image may change.
        kept = resized(upright(mask).getchannel("A"), before.size)
        changed = image if image.size == before.size else ImageOps.fit(image, before.size)
        image = Image.composite(before, changed, kept)
    if zh:
        return png(image), f"{'、'.join(note for note, _ in done)}。"
    notes = "; ".join(note for _, note in done)
    return png(image), f"{notes[0].upper()}{notes[1:]}."


Done = list[tuple[str, str]]


def _change_background(image: Image.Image, prompt: str) -> tuple[Image.Image, Done]:
    sky = SKY.search(prompt) is not None
    if not (sky or _BACKGROUND.search(prompt) or _TRANSPARENT.search(prompt)):
        return image, []
    colour = colour_in(SKY.sub("", prompt)) if not sky else None
    if sky:
        ground, done = draw_sky(image.size), ("把背景换成了蓝天白云", "put a blue sky with white clouds behind it")
    elif _TRANSPARENT.search(prompt):
        ground = Image.new("RGBA", image.size, (0, 0, 0, 0))
        done = ("把背景变成了透明", "made the background transparent")
    elif _BLUR.search(prompt):
        ground = image.filter(ImageFilter.GaussianBlur(max(4, max(image.size) / 80)))
        done = ("把背景模糊了", "blurred the background")
    elif colour is not None:
        ground = Image.new("RGBA", image.size, (*COLOURS[colour][1], 255))
        done = (f"把背景换成了{chinese(colour)}", f"made the background {colour}")
    else:
        return image, []
    mask = _background_mask(image)
    if mask is None:
        # Nothing flat to replace: the whole image stands before the new background.
        inset = resized(image, (max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)))
        ground.paste(inset, ((image.width - inset.width) // 2, (image.height - inset.height) // 2), inset)
        note = (
            "没找到平整的背景,所以整张图放在新背景前",
            "found no plain background, so all of it stands before a new one",
        )
        return ground, [note]
    flat = Image.new("RGBA", image.size, (0, 0, 0, 0))
    flat.paste(image, (0, 0))
    return Image.composite(ground, flat, mask), [done]


def _background_mask(image: Image.Image) -> Image.Image | None:
    """Find the background: what is transparent, or looks like the upper border and touches it.

    Returns:
        An "L" image of the same size, 255 where the background is; None when that is under 2 % of the area.
    """
    clear = where(image.getchannel("A"), range(128))
    rgb = image.convert("RGB")
    # What is connected is searched in a small copy: pixel by pixel in Python, a photo would take minutes.
    small = resized(rgb, (min(160, rgb.width), min(160, rgb.height)), Image.Resampling.NEAREST)
    width, height = small.size
    # Not the lower border: what the image shows mostly stands on it.
    rim = [(x, 0) for x in range(width)] + [(x, y) for y in range(height * 3 // 5) for x in (0, width - 1)]
    colours = _palette([small.getpixel(spot) for spot in rim])
    like = Image.new("L", rgb.size, 0)
    for colour in colours:
        difference = ImageChops.difference(rgb, Image.new("RGB", rgb.size, colour)).split()
        worst = ImageChops.lighter(ImageChops.lighter(difference[0], difference[1]), difference[2])
        like = ImageChops.lighter(like, where(worst, range(31)))
    # Only what touches the rim is background: a white cat keeps its colour before a white wall, unless it touches the
    # rim.
    reached = _connected(resized(like, small.size, Image.Resampling.NEAREST), rim)
    # The small mask is coarse: it is grown, and then cut to the pixels that really look like the border.
    near = resized(reached.filter(ImageFilter.MaxFilter(5)), rgb.size, Image.Resampling.BILINEAR)
    mask = ImageChops.darker(like, where(near, range(1, 256)))
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
    """Keep what is connected to the rim in a small mask."""
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
        number = _DEGREES.search(prompt)
        degrees = int(number[1]) % 360 if number else 90
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
    """Join images side by side, all as high as the first."""
    height = min(images[0].height, MAX_SIDE)
    fitted = [resized(rgba(upright(each)), (max(1, each.width * height // each.height), height)) for each in images]
    row = Image.new("RGBA", (sum(each.width for each in fitted), height))
    place = 0
    for each in fitted:
        row.paste(each, (place, 0))
        place += each.width
    return row


def vary(image: Image.Image, number: int) -> bytes:
    """Return an image like this one but not the same: its hues turned a little further with each number."""
    image = rgba(upright(image))
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    hue, saturation, value = image.convert("RGB").convert("HSV").split()
    turned = mapped(hue, [(shade + 21 * number) % 256 for shade in range(256)])
    rgb = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
    return png(Image.merge("RGBA", (*rgb.split(), image.getchannel("A"))))


def draft(data: bytes, steps: int, *, kind: str) -> bytes:
    """Blur a finished image like a draft that is so many steps from done."""
    image = decode(data).convert("RGBA")
    radius = max(image.size) / 64 * steps
    return encode(png(image.filter(ImageFilter.GaussianBlur(radius))), kind=kind)
