"""Where bytes that are sent come from: a file, memory, a data URI, a stream. Each gives the same bytes at every pass.

A file is read a slice at a time: without a thread where the page cache has it and the system can tell so, in a thread
otherwise. A file that changes between two attempts, or while it is sent, is an error.
"""

from __future__ import annotations

import binascii
import contextlib
import inspect
import io
import os
import re
import stat
import threading
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from anyio.lowlevel import checkpoint

from tutuclient._descriptors import NO_DESCRIPTORS, out_of_descriptors
from tutuclient._threads import in_thread
from tutuclient.errors import MediaError, printable
from tutuclient.media import kinds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from contextlib import AbstractAsyncContextManager

PIECE_BYTES = 144 * 1024
"""Bytes that are read and encoded at a time; a multiple of 3, so that only the last piece of base64 is padded."""

MAX_STREAM_BYTES = 512 * 2**20
"""The most that is kept of a file object that cannot be read twice."""

_LONGEST_SHOWN = 200
_CHUNK_BYTES = 2**20
_NOUNS = {"audio": "audio", "file": "a file", "image": "an image"}
_ACCEPTED = {
    "audio": "a path, a data URI, bytes or a file opened with open(…, 'rb')",
    "file": "a path, a data URI, bytes or a file opened with open(…, 'rb')",
    "image": "a path, an http(s) URL, a data URI, bytes, a file opened with open(…, 'rb') or a Pillow image",
}
_SCHEMES = {
    "file": "pass the path itself, without file://.",
    "http": "a URL is not uploaded; pass it to image(), and the relay fetches it.",
    "https": "a URL is not uploaded; pass it to image(), and the relay fetches it.",
}
_DECODED = re.compile(
    r"[\x89\ufffd\udc89]PNG|(\xff\xd8\xff|\ufffd{3}|\udcff\udcd8\udcff)|GIF8[79]a|RIFF.{4}WEBP", re.DOTALL
)
"""How an image begins whose bytes were decoded as text: as Latin-1, with replacements, or with surrogate escapes."""

_BYTES_LITERAL = re.compile(r"""b(['"]).*\1""", re.DOTALL)
_IMAGE_NAME = re.compile(rf"\.(?:{kinds.IMAGE_ENDINGS}|svg)\Z", re.IGNORECASE)
_ROOTED = re.compile(r"(?:~|\.\.?|[A-Za-z]:|/[^/\n]+)[/\\][^\n]*\Z")
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)

What: TypeAlias = Literal["audio", "file", "image"]
Buffer: TypeAlias = bytes | bytearray | memoryview
Read: TypeAlias = "Callable[[int, int], Awaitable[Buffer]]"
_State: TypeAlias = tuple[int, int, int]
_T = TypeVar("_T")


class AsyncReadable(Protocol):
    """Something with an async ``read``, as starlette's ``UploadFile`` or aiohttp's ``StreamReader`` have it."""

    async def read(self, size: int = ..., /) -> bytes:
        """Return up to ``size`` bytes, and b"" at the end."""
        ...


class Content(Protocol):
    """Where bytes come from. ``label`` is its name in messages."""

    label: str

    async def look(self) -> tuple[int, bytes]:
        """Return the size and the first bytes; raise when it is not what it was at the first look."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Read]:
        """Begin a pass: the function within the block reads a slice by offset and length, valid until the next one."""
        ...

    def whole(self) -> BinaryIO:
        """Return all of it as a file, to be closed. Called in a thread, for Pillow."""
        ...

    def held(self) -> Buffer | None:
        """Return all of it when that takes no reading, else None."""
        ...


class _File:
    """A file on the disk, by its path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.label = printable(path, 120)
        self.state: _State | None = None

    def _place(self) -> str:
        """Return its path: ``~`` is the home folder, as in a shell, unless there is a file of just this name."""
        if not self.path.startswith("~") or os.path.lexists(self.path):
            return self.path
        return os.path.expanduser(self.path)  # noqa: PTH111  (Path's raises where there is no such user)

    async def look(self) -> tuple[int, bytes]:
        return await in_thread(self._look, abandon_on_cancel=True)

    def _look(self) -> tuple[int, bytes]:
        with self.whole() as file, _readable(self.label):
            if self.state is None:
                self.state = _state(file.fileno())
            return self.state[0], file.read(kinds.HEAD_BYTES)

    def whole(self) -> io.FileIO:
        with _readable(self.label, self.path):
            path = self._place()
            mode = Path(path).stat().st_mode
            if stat.S_ISDIR(mode):
                raise MediaError(f"{self.label} is a directory. Pass the files in it, one by one.")
            if not stat.S_ISREG(mode):
                raise MediaError(
                    f"{self.label} is a pipe, a socket or a device, which cannot be measured and read again."
                    " Pass it as open(…, 'rb'): then it is read once and kept."
                )
            # Unbuffered: a pass reads into its own buffer, and BufferedReader would copy everything once more.
            file = io.FileIO(path, opener=_without_waiting)
        try:
            self.check(file)
        except MediaError:
            file.close()
            raise
        return file

    def check(self, file: io.FileIO) -> None:
        if self.state is not None and self.state != (now := _state(file.fileno())):
            raise changed(self.label, self.state[0], now[0])

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncGenerator[Read, None]:
        one_pass = _Pass(self)
        try:
            await one_pass.lease.work(one_pass.open)
            yield one_pass.read
        finally:
            one_pass.lease.end()

    def held(self) -> None:
        """Nothing of it is in memory."""


class Lease:
    """The use of a file by one pass and the threads that read for it.

    Ending it never waits. asyncio cancels a task but not the thread that works for it
    (https://docs.python.org/3/library/concurrent.futures.html#concurrent.futures.Future.cancel),
    so a thread that is reading at that moment ends the lease when it is done.
    """

    def __init__(self, in_use: threading.Lock, give_back: Callable[[], object]) -> None:
        self._in_use = in_use
        self._give_back = give_back
        self._over = False

    async def work(self, do: Callable[[], _T]) -> _T:
        """Return what a function returns, run in a thread; one at a time."""
        return await in_thread(self._work, do, abandon_on_cancel=True)

    def _work(self, do: Callable[[], _T]) -> _T:
        try:
            with self._in_use:
                return do()
        finally:
            if self._over:
                self.end()

    def end(self) -> None:
        """End the use, now or once the thread that is reading is done."""
        self._over = True
        if self._in_use.acquire(blocking=False):
            try:
                self._give_back()
            finally:
                self._in_use.release()


class _Pass:
    """A file that is read once from its beginning, into one buffer."""

    file: io.FileIO

    def __init__(self, source: _File) -> None:
        self._source = source
        self._files = contextlib.ExitStack()
        self._buffer = memoryview(b"")
        self._nowait = getattr(os, "RWF_NOWAIT", 0)  # Linux 4.14 and later; elsewhere every slice is read in a thread.
        self.lease = Lease(threading.Lock(), self._files.close)

    def open(self) -> None:
        self.file = self._files.enter_context(self._source.whole())
        self._buffer = memoryview(bytearray(min(PIECE_BYTES, _state(self.file.fileno())[0])))

    async def read(self, offset: int, length: int) -> memoryview:
        done = 0
        while done < length:
            into, at = self._buffer[done:length], offset + done
            count = self._from_cache(into, at)
            if count is None:
                count = await self.lease.work(partial(self._from_disk, into, at))
            done += count
        return self._buffer[:length]

    def _from_cache(self, into: memoryview, at: int) -> int | None:
        """Read what the page cache has; return None where that would wait.

        Most files that are sent have just been written or read, and a thread for each slice costs more than the copy.

        Source: https://man7.org/linux/man-pages/man2/preadv2.2.html, ``RWF_NOWAIT``.
        """
        if not self._nowait:
            return None
        try:
            count = os.preadv(self.file.fileno(), [into], at, self._nowait)
        except BlockingIOError:
            return None
        except OSError:
            self._nowait = 0  # Not every file system supports it. A true error of the disk is met in the thread.
            return None
        return self._checked(count)

    def _from_disk(self, into: memoryview, at: int) -> int:
        with _readable(self._source.label):
            self.file.seek(at)
            return self._checked(self.file.readinto(into))

    def _checked(self, count: int) -> int:
        # After each slice, since the length that was announced has been sent: bytes of two versions would pass as one.
        self._source.check(self.file)
        if not count:
            raise changed(self._source.label)
        return count


class Memory:
    """Bytes that are there already."""

    def __init__(self, data: Buffer, label: str) -> None:
        self.label = label
        self._data = data
        self._size: int | None = None

    async def look(self) -> tuple[int, bytes]:
        """Return its size and first bytes."""
        with self._view() as view:
            self._size = len(view)
            return self._size, bytes(view[: kinds.HEAD_BYTES])

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncGenerator[Read, None]:
        """Read slices of it, which are no copies."""
        with self._view() as view:

            async def read(offset: int, length: int) -> memoryview:
                return view[offset : offset + length]

            yield read

    def whole(self) -> io.BytesIO:
        """Return it as a file."""
        return io.BytesIO(self._data)

    def held(self) -> Buffer:
        """Return it."""
        return self._data

    def _view(self) -> memoryview:
        view = memoryview(self._data)
        if self._size is not None and self._size != len(view):
            raise changed(self.label, self._size, len(view))
        return view


class Made(Memory, ABC):
    """Bytes that the first look brings into memory."""

    def __init__(self, label: str) -> None:
        super().__init__(b"", label)

    async def look(self) -> tuple[int, bytes]:
        """Return its size and first bytes; the first time it is brought into memory."""
        if self._size is None:
            self._data = await self._make()
        return await super().look()

    @abstractmethod
    async def _make(self) -> Buffer:
        """Read, decode or draw it."""


class _DataURI(Made):
    """A data URI. Its media type is not trusted, as the extension of a file is not."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"The data URI ({amount(len(uri))})")
        # A data URI may also be percent-encoded text (RFC 2397), but relays know base64 alone, by Go's StdEncoding
        # (.github/WIRE.md, section 2.1).
        header, comma, _ = uri[: kinds.HEAD_BYTES].partition(",")
        if not comma or not header.lower().endswith(";base64"):
            raise MediaError(f"{self.label} does not begin like 'data:image/png;base64,'; only base64 can be sent.")
        self._uri = uri
        self._start = len(header) + 1

    async def _make(self) -> bytearray:
        data = bytearray()
        characters = PIECE_BYTES // 3 * 4
        for start in range(self._start, len(self._uri), characters):
            # Padding ends a piece; the next one would be decoded as if it began a new file.
            if len(data) % 3:
                raise self._broken("there is padding ('=') in the middle of it")
            data += self._decode(self._uri[start : start + characters])
            await checkpoint()
        return data

    def _decode(self, text: str) -> bytes:
        try:
            # By default a2b_base64 passes over what is not base64, and relays would get another file than was meant.
            return binascii.a2b_base64(text, strict_mode=True)
        except ValueError as error:
            # At new-api these are 500 count_token_messages_failed, which tells nothing of the cause (.github/WIRE.md,
            # section 2.1).
            if "-" in text or "_" in text:
                raise self._broken("it is written in the URL-safe alphabet; use base64.b64encode") from error
            if "%" in text:
                raise self._broken("it is percent-encoded; use urllib.parse.unquote") from error
            if re.search(r"\s", text):
                raise self._broken("there are spaces or line breaks in it; take them out") from error
            if len(text) % 4:
                raise self._broken("it is cut short, or its padding ('=') is missing") from error
            raise self._broken(printable(str(error), 120)) from error

    def _broken(self, why: str) -> MediaError:
        return MediaError(f"{self.label} is not the base64 that relays decode: {why}.")


class _Stream:
    """A file object that can be read again and again, from where it stood at the first look."""

    def __init__(self, file: IO[bytes], label: str) -> None:
        self.label = label
        self._file = file
        self._in_use = threading.Lock()
        self._start = -1
        self._state: _State = (0, 0, 0)

    async def look(self) -> tuple[int, bytes]:
        return await self._lease().work(self._look)

    def _look(self) -> tuple[int, bytes]:
        with _readable(self.label):
            start = self._file.tell() if self._start < 0 else self._start
            self._file.seek(0, os.SEEK_END)
            # The end is the only length that every seekable object has: fstat() knows nothing of BytesIO or of what
            # gzip unpacks.
            state = (self._file.tell() - start, *self._stamp())
            if self._start < 0:
                self._start, self._state = start, state
            try:
                if self._state != state:
                    raise changed(self.label, self._state[0], state[0])
                if state[0] <= 0:
                    raise MediaError(f"{self.label} has nothing after its position. Was it read before? Then seek(0).")
                return state[0], self._take(0, min(kinds.HEAD_BYTES, state[0]))
            finally:
                self._put_back()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncGenerator[Read, None]:
        lease = self._lease()

        async def read(offset: int, length: int) -> bytes:
            return await lease.work(partial(self._take, offset, length))

        try:
            yield read
        finally:
            lease.end()

    def whole(self) -> io.BytesIO:
        with self._in_use:
            try:
                return io.BytesIO(self._take(0, self._state[0]))
            finally:
                self._put_back()

    def held(self) -> None:
        """Nothing of it is in our memory."""

    def _lease(self) -> Lease:
        return Lease(self._in_use, self._put_back)

    def _put_back(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # The caller may have closed it in the meantime.
            self._file.seek(self._start)

    def _take(self, offset: int, length: int) -> bytes:
        with _readable(self.label):
            at = self._start + offset
            if self._file.tell() != at:  # In a compressed file a seek may read all from the beginning.
                self._file.seek(at)
            data = b""
            while len(data) < length and (more := _binary(self._file.read(length - len(data)), self.label)):
                data = data + more if data else more
            if len(data) != length or self._stamp() != self._state[1:]:
                raise changed(self.label)
            return data

    def _stamp(self) -> tuple[int, int]:
        """Return modification time and inode of a file on the disk; zeros for others, which have none."""
        raw = getattr(self._file, "raw", self._file)
        return _state(raw.fileno())[1:] if isinstance(raw, io.FileIO) else (0, 0)


class _Flow(Made):
    """A file object that can be read only once, or one with an async ``read``."""

    def __init__(self, file: IO[bytes] | AsyncReadable, label: str) -> None:
        super().__init__(label)
        self._file = file
        self._begun = False

    async def _make(self) -> bytearray:
        if self._begun:
            raise MediaError(
                f"{self.label} can be read only once, and a call that failed or was cancelled has begun it."
                " Pass its bytes, or a file that can seek."
            )
        self._begun = True
        data = bytearray()
        with _readable(self.label):
            while more := _binary(await self._next(), self.label):
                data += more
                if len(data) > MAX_STREAM_BYTES:
                    raise MediaError(
                        f"{self.label} has more than {amount(MAX_STREAM_BYTES)}, and what can be read only once has"
                        " to be kept. Save it to a file and pass the path."
                    )
        return data

    async def _next(self) -> object:
        if inspect.iscoroutinefunction(self._file.read):
            return await self._file.read(_CHUNK_BYTES)
        return await in_thread(self._file.read, _CHUNK_BYTES, abandon_on_cancel=True)


def content_of(source: object, what: What) -> tuple[Content, str | None]:
    """Return the content that a source stands for, and the name of its file.

    Raises:
        MediaError: It is of no kind that can be sent.
    """
    if isinstance(source, str):
        text = source.strip()
        if not text:
            raise MediaError(f"An empty text ({source[:20]!r}) is not {_NOUNS[what]}: pass {_ACCEPTED[what]}.")
        _check_decoded(source, what)
        if text[:5].lower() == "data:":
            return _DataURI(text), None
        if scheme := re.match(r"([a-zA-Z][a-zA-Z0-9+.-]+)://", text):
            known = _SCHEMES if what == "image" or scheme[1].lower() == "file" else {}
            only = "only http and https URLs can be sent. " if what == "image" else ""
            hint = known.get(scheme[1].lower(), f"{only}Fetch it and pass its bytes.")
            raise MediaError(f"{printable(text, 120)} is not opened here: {hint}")
    if isinstance(source, str | os.PathLike):
        # A path may be bytes (PEP 519); those that cannot be decoded become surrogates, and the same bytes again when
        # it is opened (PEP 383).
        path = os.fsdecode(cast("str | os.PathLike[str]", source))
        return _File(path), Path(path).name
    if isinstance(source, bytes | bytearray):
        return Memory(source, f"The {what} passed as bytes"), None
    if isinstance(source, memoryview):
        # Only what stands in a row in memory can be read in slices without a copy.
        view = source.cast("B") if source.c_contiguous else source.tobytes()
        return Memory(view, f"The {what} passed as bytes"), None
    return _file_object(source, what)


def _check_decoded(text: str, what: What) -> None:
    """Raise for bytes of a file that somebody turned into text."""
    shown = printable(text, 40)
    if _BYTES_LITERAL.fullmatch(text):
        raise MediaError(
            f"{shown} is the text of a bytes object (str(…) of it): pass the bytes themselves as the {what};"
            " of base64, what .decode() returns, behind 'data:image/png;base64,'."
        )
    if _DECODED.match(text):
        raise MediaError(
            f"{shown} is the {what} itself, decoded as text, which damages it: pass its bytes, as open(…, 'rb').read()"
            " and response.content return them."
        )


def _file_object(source: Any, what: What) -> tuple[Content, str | None]:
    read = getattr(source, "read", None)
    if not callable(read):
        hint = ""
        if hasattr(source, "__array_interface__"):
            hint = " PIL.Image.fromarray(…) makes an image of an array."
        elif hasattr(source, "__iter__"):
            hint = " Several are passed as a list, where a call takes several: list(…)."
        shown = "" if isinstance(source, type) or hasattr(source, "__iter__") else f" ({printable(repr(source), 60)})"
        raise MediaError(
            f"A {type(source).__name__} is not {_NOUNS[what]} that can be sent{shown}: pass {_ACCEPTED[what]}.{hint}"
        )
    named = getattr(source, "filename", None) or getattr(source, "name", None)  # open(3).name is a number.
    name = Path(named).name if isinstance(named, str) else None
    label = printable(name, 120) if name else "The file object"
    if isinstance(source, io.TextIOBase):
        raise _in_text_mode(label)
    if inspect.iscoroutinefunction(read):
        # The file inside can seek, so that another attempt reads it again without a copy of it in memory.
        inner = getattr(source, "file", None) or getattr(source, "wrapped", None)  # starlette's and anyio's names
        if not hasattr(inner, "read"):
            return _Flow(source, label), name
        source = inner
    with _readable(label):
        seekable = hasattr(source, "seekable") and source.seekable()
    return (_Stream if seekable else _Flow)(source, label), name


def names_image(text: object) -> bool:
    """Return whether text is the address, the data URI or the path of an image, and nothing else.

    A path with spaces counts only when it begins as paths do ("~/my photos/cat.png"): prompts mention files, too.
    """
    if not isinstance(text, str):
        return False
    text = text.strip()
    if re.match(r"https?://\S+\Z|data:image/", text, re.IGNORECASE):
        return True
    return _IMAGE_NAME.search(text) is not None and (re.search(r"\s", text) is None or _ROOTED.match(text) is not None)


def web_address(text: str) -> str | None:
    """Return an http(s) URL without the space around it, None for other text.

    Raises:
        MediaError: It is a URL that nobody can fetch.
    """
    url = text.strip()
    if not re.match(r"https?://", url, re.IGNORECASE):
        return None
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host or " " in url or not url.isprintable():
        raise MediaError(
            f"{printable(url, 120)} is not a URL that can be fetched: it needs a host,"
            " and spaces and control characters must be percent-encoded."
        )
    return url


def _binary(piece: object, label: str) -> bytes:
    if isinstance(piece, str):
        raise _in_text_mode(label)
    return piece or b""  # type: ignore[return-value]  # Else a file's read returns bytes, or None for no more.


def _in_text_mode(label: str) -> MediaError:
    return MediaError(f"{label} is open in text mode, and its bytes are needed: open it with open(…, 'rb').")


def changed(label: str, before: int | None = None, now: int | None = None) -> MediaError:
    """Return the error of a source that changed on the way, with its sizes where they differ."""
    sizes = "" if before is None or before == now else f" (it had {before} bytes, and now {now})"
    return MediaError(f"{label} changed while it was being sent{sizes}. Try again when nobody writes to it.")


def amount(size: int) -> str:
    """Return a number of bytes in decimal units: 512 B, 1.2 MB."""
    if size < 1000:  # noqa: PLR2004  (a thousand is what a kilo is)
        return f"{size} B"
    return f"{size / 1e3:.1f} kB" if size < 999_950 else f"{size / 1e6:.1f} MB"  # noqa: PLR2004  (where kB rounds up)


def _state(descriptor: int) -> _State:
    status = os.fstat(descriptor)
    # The inode too: a file that another was moved over may have its size and, from ``cp -p`` or rsync, its time.
    return status.st_size, status.st_mtime_ns, status.st_ino


def _without_waiting(path: str, flags: int) -> int:
    """Open a file. A pipe that took its place since ``stat`` must not hold the thread until somebody writes to it."""
    return os.open(path, flags | _NONBLOCK)


@contextlib.contextmanager
def _readable(label: str, path: str = "") -> Generator[None]:
    """Raise the errors of the operating system, and the ValueError of a closed file, as MediaError."""
    try:
        yield
    except MediaError:
        raise
    except FileNotFoundError as error:
        raise MediaError(f"There is no file {label}.{_path_hint(path)}") from error
    except PermissionError as error:
        raise MediaError(
            f"{label} may not be read. Check its permissions, and those of the folders above it."
        ) from error
    except (OSError, ValueError) as error:
        why = printable(getattr(error, "strerror", None) or str(error), 200)
        if out_of_descriptors(error):
            why = NO_DESCRIPTORS
        raise MediaError(f"{label} cannot be read: {why}.{_path_hint(path)}") from error


def _path_hint(path: str) -> str:
    if not path:
        return ""
    if re.match(r"https?:[/\\]", path):
        return " A URL is passed as a str, not as a Path."
    if kinds.BASE64.fullmatch(path[:200]):
        return " It looks like base64: pass base64.b64decode(…) of it, or write 'data:image/png;base64,' before it."
    if "\0" in path or "\ufffd" in path:
        return " It is not a path but bytes decoded as text: pass the bytes themselves."
    hint = ""
    if re.search(r"\s|[?？。!！]\Z", path) and not re.search(r"\.\w{1,5}\Z", path):
        hint = " If it is the prompt: the image comes first, then the prompt."
    if Path(path).is_absolute() or len(path) > _LONGEST_SHOWN:
        return hint
    with contextlib.suppress(OSError):  # The folder may be gone.
        hint = f" Looked in {printable(os.getcwd(), 200)}.{hint}"  # noqa: PTH109  (a str is all that is shown)
    return hint
