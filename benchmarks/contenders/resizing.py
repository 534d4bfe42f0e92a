"""Images made smaller by hand, as people do without ``max_side``: Pillow in ``to_thread``, sent by tutuclient."""

from __future__ import annotations

import asyncio
import hashlib
import io
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import KEY, MODEL, QUESTION
from tutuclient import TutuClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_AT_ONCE = 8
_QUALITY = 92
_HASHED_TIMES = 30
_SENT_BYTES = 200_000


class Thumbnail:
    """``thumbnail``, which has the decoder skip what it need not decode."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    async def answer(self, paths: Sequence[Path], done: Callable[[], None], limit: Mapping[str, Any]) -> None:
        left = iter(paths)

        async def work(client: TutuClient) -> None:
            for path in left:
                data = await asyncio.to_thread(self.smaller, path, limit["max_side"])
                if (await client.analyze(data, QUESTION, model=MODEL)).text:
                    done()

        async with TutuClient(KEY, self._base_url) as client, asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work(client))

    def smaller(self, path: Path, side: int) -> bytes:
        """Return an image made smaller, as JPEG."""
        from PIL import Image, ImageOps  # noqa: PLC0415  (the floor needs none)

        with Image.open(path) as image:
            image.thumbnail((side, side))
            return self.written(ImageOps.exif_transpose(image))

    @staticmethod
    def written(image: Any) -> bytes:
        """Return an image as JPEG."""
        file = io.BytesIO()
        image.save(file, "JPEG", quality=_QUALITY)
        return file.getvalue()


class Whole(Thumbnail):
    """``resize`` of all pixels."""

    def smaller(self, path: Path, side: int) -> bytes:
        from PIL import Image, ImageOps  # noqa: PLC0415  (the floor needs none)

        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            scale = side / max(upright.size)
            width, height = (round(length * scale) for length in upright.size)
            return self.written(upright.resize((width, height), Image.Resampling.LANCZOS))


class Floor(Thumbnail):
    """Hashing in place of drawing: threads as busy, and none of them holds Python's lock."""

    def smaller(self, path: Path, side: int) -> bytes:  # noqa: ARG002  (the others')
        data = path.read_bytes()
        hashed = hashlib.sha256()
        for _ in range(_HASHED_TIMES):
            hashed.update(data)
        return data[:_SENT_BYTES]
