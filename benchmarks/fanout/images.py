"""Image files to measure with: many small ones that nobody decodes, and large JPEGs that are decoded."""

from __future__ import annotations

import random
from pathlib import Path

_JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_SMALL_BYTES = 2048
_MEGAPIXELS_12 = (4000, 3000)
_DIFFERENT = 4


def small_files(folder: str, number: int) -> list[Path]:
    """Write so many files that begin as JPEGs do, 2 KiB each, all different."""
    body = random.Random(7).randbytes(_SMALL_BYTES - len(_JPEG) - 8)
    paths = [Path(folder, f"{place:07}.jpg") for place in range(number)]
    for place, path in enumerate(paths):
        path.write_bytes(_JPEG + place.to_bytes(8, "big") + body)
    return paths


def photographs(folder: str, number: int) -> list[Path]:
    """Write JPEGs of 12 megapixels and some 2 MB, as a telephone makes them, under so many names. Needs Pillow."""
    from PIL import Image  # noqa: PLC0415  (only who resizes needs it)

    noise = Image.effect_noise(_MEGAPIXELS_12, 24)
    ramp = Image.linear_gradient("L").resize(_MEGAPIXELS_12)
    paths = [Path(folder, f"photograph{place:05}.jpg") for place in range(number)]
    for place, path in enumerate(paths):
        if place >= _DIFFERENT:
            path.hardlink_to(paths[place % _DIFFERENT])
            continue
        turned = ramp.rotate(90 * place).resize(_MEGAPIXELS_12)
        Image.merge("RGB", (Image.blend(noise, turned, 0.7), turned, noise)).save(path, quality=85)
    return paths
