"""Files of answers on the disk: named after what their bytes are, and written whole or not at all.

A file is written under another name in its own folder, synced, and then moved to
its name, so that nobody ever reads half of it there. ``named`` also names what is
sent in forms.
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

_COUNTED_NAMES = 100  # after so many taken names a random one is used, so that a full folder costs no long search
_KNOWN = frozenset(itertools.chain.from_iterable(kinds.EXTENSIONS.values()))


def named(name: str, mime: str) -> str:
    """Return a file's name with the extension that its bytes ask for, since programs and relays go by the name.

    ``sky`` becomes ``sky.png``, and ``sky.png`` becomes ``sky.jpg`` when it is a
    JPEG; ``v1.2`` becomes ``v1.2.jpg``. An unknown type changes nothing.

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

    Whatever happens in the block, cancelling included, nothing is left under the
    name that it has while it is written.

    Args:
        path: The file to write. In a folder (one that exists, or a text that ends with "/") it gets a name of its own,
            with a number where that name is taken.
        what: What it is, for messages: "the image".
        failed: Creates the error to raise from a message; ``__cause__`` is the error of the operating system.
        overwrite: Replace a file of this name; otherwise it is kept, and this is an error.
    """
    part = Part(os.fspath(path), overwrite=overwrite)
    try:
        with _reported(part.wanted, what, failed):
            await in_thread(part.open, opens=True)
            yield part
    finally:
        # Started before the first await: anyio's shield does not hold against ``Task.cancel``, of which anyio knows
        # nothing, and asyncio's keeps only what has been started.
        discarding = asyncio.get_running_loop().run_in_executor(None, part.discard)
        with anyio.CancelScope(shield=True):
            await asyncio.shield(discarding)


def write_over(path: str | os.PathLike[str], data: bytes, what: str, failed: Callable[[str], TutuError]) -> None:
    """Write a file at once, whole or not at all, under exactly this name and over a file that has it.

    Arguments and errors are those of ``writing``; the calling thread waits for the disk.
    """
    part = Part(os.fspath(path), overwrite=True)
    try:
        with _reported(part.wanted, what, failed):
            if Path(path).is_dir():
                raise OSError(errno.EISDIR, "a folder")
            part.open()
            part.write(data)
            part.publish("")
    finally:
        part.discard()


class Part:
    """A file being written under a temporary name in its final folder: only within a file system is a move atomic.

    Its methods run in threads. A cancelled task does not wait for its thread, so
    a lock keeps them apart, and nothing is opened or published after ``discard``.

    Attributes:
        wanted: The path that was asked for.
        size_bytes: How many bytes have been written.
        sha256: Their digest.
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
        """Create the file under its temporary name."""
        with self._lock:
            if self._gone:
                return
            path = Path(self.wanted)
            is_folder = self.wanted.endswith(("/", os.sep)) or path.is_dir()
            self._target = None if is_folder else path
            folder = path if is_folder else path.parent
            self._file = (folder / f".tutuclient-{secrets.token_hex(8)}.part").open("xb")

    def restart(self) -> None:
        """Drop what was written so far: a download broke off and begins anew."""
        with self._lock:
            file = self._opened()
            file.seek(0)
            file.truncate()
            self.size_bytes, self.sha256 = 0, hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Write the next piece."""
        with self._lock:
            self._opened().write(piece)
            self.size_bytes += len(piece)
            self.sha256.update(piece)

    def publish(self, mime: str, stem: str = "") -> Path:
        """Sync the file and move it to its final name.

        Args:
            mime: The type of its bytes, for the extension; see ``named``.
            stem: Its name in a folder, without extension; without one it is named after its type and digest.
        """
        with self._lock:
            file = self._opened()
            temporary = Path(file.name)
            file.flush()
            # Before the move: after a crash some file systems have the new name, and none of the bytes (fsync(2)).
            os.fsync(file.fileno())
            file.close()
            attempt = 1
            target = self._final(temporary.parent, mime, stem, attempt)
            while not _moved(temporary, target, overwrite=self._overwrite):
                if self._target is not None:
                    raise OSError(errno.EISDIR if target.is_dir() else errno.EEXIST, "taken", str(target))
                attempt += 1
                target = self._final(temporary.parent, mime, stem, attempt)
            # The name itself is in the folder, which has to be synced as well (fsync(2), "Description").
            with suppress(OSError):  # Windows opens no folders, and some file systems sync none.
                folder = os.open(temporary.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
            return target

    def discard(self) -> None:
        """Remove what is left under the temporary name; nothing can be written afterwards."""
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
        """Return the final path: the one that was asked for, or in a folder the name to try next."""
        if self._target is not None:
            return self._target.with_name(named(self._target.name, mime))
        stem = stem or f"{mime.partition('/')[0]}-{self.sha256.hexdigest()[:12]}"
        if attempt > 1:
            stem += f"-{attempt}" if attempt < _COUNTED_NAMES else f"-{secrets.token_hex(8)}"
        return folder / (stem + kinds.EXTENSIONS.get(mime, ("",))[0])


def _moved(source: Path, target: Path, *, overwrite: bool) -> bool:
    """Move a file to its final name; return False when that is taken.

    ``rename`` replaces without asking, and a check beforehand can be overtaken; ``link`` fails where the name is taken.
    """
    if overwrite:
        source.replace(target)
        return True
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:  # A file system without hard links: create the name first, which fails where it is taken.
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
def _reported(wanted: str, what: str, failed: Callable[[str], TutuError]) -> Generator[None]:
    try:
        yield
    except TutuError:  # Some of our own are an OSError or a ValueError too.
        raise
    except (OSError, ValueError) as error:
        raise failed(f"{what} could not be saved as {printable(wanted, 200)}: {_why(wanted, error)}") from error


_WORDS = {
    **dict.fromkeys((errno.EISDIR, errno.ENOTEMPTY), "there is a folder of this name: choose another name"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "its folder does not exist: create it first"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "the disk is full: nothing was left behind"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS), "its folder may not be written to: check its permissions"
    ),
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
