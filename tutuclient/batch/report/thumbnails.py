"""Thumbnails of a report: small images of files that are still there, drawn by Pillow in threads.

Nothing is ever fetched. Where there is no thumbnail, a mark says why: the page shows it in words.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tutuclient.batch.items import digest
from tutuclient.media.drawing import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    import PIL.Image

SIDE: Final = 400
"""The longer side of a thumbnail, in pixels: a card is at most 200 wide on the page, on a screen of double density."""

REMOTE: Final = "!remote"
GONE: Final = "!gone"
UNREADABLE: Final = "!unreadable"
NO_PILLOW: Final = "!pillow"
LIMIT: Final = "!limit"

_QUALITY: Final = 75
_MOST_THREADS: Final = 8
_REMOTE: Final = ("http://", "https://", "data:", "//", "\\\\")  # The last two are other machines' shares on Windows.


class Thumbnails:
    """The folder of a report's thumbnails, each named by a digest of its source's path, size and time.

    Args:
        folder: Where they are written.
        root: What names of files are relative to.
        earlier: Those of the report that is replaced: what has not changed is taken from there.
        most: How many are made; images beyond get none.

    Attributes:
        has_pillow: Whether Pillow is installed.
    """

    def __init__(self, folder: Path, root: Path, earlier: Path, most: int) -> None:
        self._folder = folder
        self._root = root
        self._earlier = earlier
        self._left = threading.Semaphore(most)
        self.has_pillow = find_spec("PIL") is not None
        # Pillow frees the interpreter while it decodes, scales and encodes.
        self._pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), "tutuclient-thumbnails")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def make(self, names: Iterable[str | Path]) -> list[str]:
        """Return the thumbnail of each file: its name, or a mark that begins with ``!``."""
        return list(self._pool.map(self._make, names))

    def _make(self, name: str | Path) -> str:
        if isinstance(name, str) and name.startswith(_REMOTE):
            return REMOTE
        try:
            path = self._root / Path(name).expanduser()
            status = path.stat()
        except (OSError, ValueError, RuntimeError):
            return GONE
        # Anything else, such as a pipe, may have no end.
        if not stat.S_ISREG(status.st_mode):
            return GONE
        if not self.has_pillow:
            return NO_PILLOW
        found = f"{digest(os.fsencode(path.absolute()), status.st_size, status.st_mtime_ns, SIDE):016x}"
        return self._file(path, found)

    def _file(self, path: Path, name: str) -> str:
        target = self._folder / address(name)
        if target.exists():
            return name
        if not self._left.acquire(blocking=False):
            return LIMIT
        target.parent.mkdir(parents=True, exist_ok=True)
        if _take_over(self._earlier / address(name), target):
            return name
        try:
            image = _drawn(path)
        except Exception:  # noqa: BLE001  (a broken image makes Pillow raise almost anything)
            return UNREADABLE
        # What cannot be written is no fault of the image, and ends the report.
        image.save(target, "WEBP", quality=_QUALITY, method=0)
        return name


def address(name: str) -> str:
    """Return where the thumbnail of a name is: folders of some hundred files, which every file system bears."""
    return f"{name[:2]}/{name}.webp"


def _take_over(there: Path, target: Path) -> bool:
    with contextlib.suppress(OSError):
        os.link(there, target)
        return True
    with contextlib.suppress(OSError):  # No hard links on this file system, or none between these two.
        shutil.copyfile(there, target)
        return True
    target.unlink(missing_ok=True)
    return False


def _drawn(path: Path) -> PIL.Image.Image:
    """Return an image made small, upright, in a mode that WebP has.

    Raises:
        ValueError: It declares more pixels than are decoded.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415  (an extra, and slow to import)

    with Image.open(path) as image:
        image.draft("RGB", (SIDE, SIDE))  # libjpeg decodes at an eighth, a quarter or a half; others ignore it.
        if image.width * image.height > MAX_PIXELS:
            raise ValueError("too many pixels")
        if image.mode.startswith("I"):
            drawn = image.convert("I").point(lambda value: value / 256).convert("L")
        else:
            drawn = image.convert("RGBA" if image.has_transparency_data else "RGB")
        drawn.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
        drawn = ImageOps.exif_transpose(drawn)
        drawn.info.clear()  # No place where it was taken, and no profile, goes into a report.
        return drawn
