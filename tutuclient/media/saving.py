"""Files: called by what their bytes are, and written whole or not at all.

Pure disk, for whatever an answer brings: pictures and speech come through here
on their way out, and ``wire`` asks here what a file that is sent should be
called. Glad not to know where the bytes come from.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import itertools
import os
import secrets
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from tutuclient._descriptors import NO_DESCRIPTORS
from tutuclient._threads import in_thread
from tutuclient.errors import TutuError, printable
from tutuclient.media import kinds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from io import BufferedWriter

_COUNTED_NAMES = 100  # from here on a name in a folder gets a random end, so that a full folder costs no long search
_KNOWN = frozenset(itertools.chain.from_iterable(kinds.EXTENSIONS.values()))


def named(name: str, mime: str) -> str:
    """Give a file's name the extension that its bytes ask for, since programs and relays go by the name.

    ``sky`` becomes ``sky.png``, and ``sky.png`` becomes ``sky.jpg`` when it is a
    JPEG; ``v1.2`` becomes ``v1.2.jpg``. A type that is not known here changes
    nothing.

    Args:
        name: The name, without folders.
        mime: The media type, by the bytes.
    """
    fitting = kinds.EXTENSIONS.get(mime)
    stem, dot, suffix = name.rpartition(".")
    extension = f"{dot}{suffix.lower()}" if stem else ""
    if fitting is None or extension in fitting:
        return name
    return (stem if extension in _KNOWN else name) + fitting[0]


@asynccontextmanager
async def writing(
    path: str | os.PathLike[str], what: str, failed: Callable[[str], TutuError], *, overwrite: bool
) -> AsyncGenerator[Part, None]:
    """Write a file within a block: ``part.write`` in threads, and ``part.publish`` at its end.

    It is written beside its final place under another name and moved there when
    it is complete and on the disk. Whatever happens in the block, cancelling
    included, nothing is left under the other name.

    Args:
        path: The file to write. A folder (one that exists, or a text that ends with "/") gives the file a name of its
            own within it, and a number where that name is taken.
        what: What it is, for messages: "the picture".
        failed: Makes the error of a disk that will not have it; ``__cause__`` is what the system said.
        overwrite: Replace what stands there; otherwise it is kept, and it is an error.
    """
    part = Part(os.fspath(path), overwrite=overwrite)
    try:
        with _told(part.wanted, what, failed):
            await in_thread(part.open, opens=True)
            yield part
    finally:
        # Begun before anything is waited for, since anyio's shield does not hold against ``Task.cancel``.
        discarding = asyncio.get_running_loop().run_in_executor(None, part.discard)
        with anyio.CancelScope(shield=True):
            await asyncio.shield(discarding)


def write_over(path: str | os.PathLike[str], data: bytes, what: str, failed: Callable[[str], TutuError]) -> None:
    """Write a file here and now, whole or not at all, under just this name and over what stands there.

    Arguments and errors as for ``writing``; the thread that calls it waits for the disk.
    """
    part = Part(os.fspath(path), overwrite=True)
    try:
        with _told(part.wanted, what, failed):
            if Path(path).is_dir():
                raise OSError(errno.EISDIR, "a folder")
            part.open()
            part.write(data)
            part.publish("")
    finally:
        part.discard()


class Part:
    """A file being written under a passing name in the folder it belongs to.

    Its methods run in threads. A cancelled task does not wait for its thread, so
    a lock keeps them apart, and nothing is opened or published after ``discard``.

    Attributes:
        wanted: Where it is to be.
        size_bytes: How much has been written.
        sha256: The digest of that.
    """

    def __init__(self, wanted: str, *, overwrite: bool) -> None:
        self.wanted = wanted
        self.size_bytes: int = 0
        self.sha256 = hashlib.sha256()
        self._overwrite = overwrite
        self._lock = threading.Lock()
        self._gone = False
        self._file: BufferedWriter | None = None
        self._target: Path | None = None

    def open(self) -> None:
        """Make the file. Without a target, it is to have a name of its own."""
        with self._lock:
            if self._gone:
                return
            path = Path(self.wanted)
            is_folder = self.wanted.endswith(("/", os.sep)) or path.is_dir()
            self._target = None if is_folder else path
            folder = path if is_folder else path.parent
            self._file = (folder / f".tutuclient-{secrets.token_hex(8)}.part").open("xb")

    def restart(self) -> None:
        """Begin anew: what was written so far was nothing whole."""
        with self._lock:
            file = self._opened()
            file.seek(0)
            file.truncate()
            self.size_bytes, self.sha256 = 0, hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Add a piece."""
        with self._lock:
            self._opened().write(piece)
            self.size_bytes += len(piece)
            self.sha256.update(piece)

    def publish(self, mime: str, stem: str = "") -> Path:
        """Bring the whole file to its final name.

        Args:
            mime: What its bytes are, for its extension; see ``named``.
            stem: What to call it in a folder; without one it is called by its kind and digest.
        """
        with self._lock:
            file = self._opened()
            passing = Path(file.name)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            attempt = 1
            target = self._final(passing.parent, mime, stem, attempt)
            while not _moved(passing, target, overwrite=self._overwrite):
                if self._target is not None:
                    raise OSError(errno.EISDIR if target.is_dir() else errno.EEXIST, "taken", str(target))
                attempt += 1
                target = self._final(passing.parent, mime, stem, attempt)
            with suppress(OSError):  # Windows opens no folders, and some file systems sync none.
                folder = os.open(passing.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
            return target

    def discard(self) -> None:
        """Remove what is left under the passing name; nothing can be written afterwards."""
        with self._lock:
            self._gone = True
            if self._file is not None:
                with suppress(OSError):  # Closing writes what is buffered, and the disk may be full.
                    self._file.close()
                with suppress(OSError):  # It is gone already when it was moved.
                    Path(self._file.name).unlink()

    def _opened(self) -> BufferedWriter:
        if self._file is None:
            raise ValueError("no file is open")
        return self._file

    def _final(self, folder: Path, mime: str, stem: str, attempt: int) -> Path:
        """Say what the file is to be called in the end: as the caller says, or in a folder by a name still free."""
        if self._target is not None:
            return self._target.with_name(named(self._target.name, mime))
        stem = stem or f"{mime.partition('/')[0]}-{self.sha256.hexdigest()[:12]}"
        if attempt > 1:
            stem += f"-{attempt}" if attempt < _COUNTED_NAMES else f"-{secrets.token_hex(8)}"
        return folder / (stem + kinds.EXTENSIONS.get(mime, ("",))[0])


def _moved(source: Path, target: Path, *, overwrite: bool) -> bool:
    """Give a file its final name; say False when that is taken, which even a race cannot hide."""
    if overwrite:
        source.replace(target)
        return True
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:  # A file system without hard links: take the name first, then fill it.
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        try:
            source.replace(target)
        except OSError:
            target.unlink()
            raise
    return True


@contextmanager
def _told(wanted: str, what: str, failed: Callable[[str], TutuError]) -> Generator[None]:
    try:
        yield
    except TutuError:  # Some of ours are an OSError or a ValueError too.
        raise
    except (OSError, ValueError) as error:
        raise failed(f"{what} could not be saved as {printable(wanted, 200)}: {_why(wanted, error)}") from error


_WORDS = {
    **dict.fromkeys((errno.EISDIR, errno.ENOTEMPTY), "a folder is in the way: choose another name"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "its folder does not exist: make it first"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "the disk is full: nothing was left behind"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "its folder may not be written to"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), NO_DESCRIPTORS),
}


def _why(wanted: str, error: OSError | ValueError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EEXIST:
        taken = printable(str(getattr(error, "filename", None) or wanted), 200)
        return f"{taken} exists already: choose another name, or pass overwrite=True"
    if number in _WORDS:
        return _WORDS[number]
    return printable(getattr(error, "strerror", None) or str(error), 200)
