"""Files of object stores, by URL: ``s3://``, ``gs://``, ``az://``, ``oss://``, ``hf://``, and fsspec's ``memory://``.

fsspec opens them, where it and its package for the store are installed, with the credentials that these find by
themselves. A file is read in threads, in pieces, through fsspec's own buffer of some megabytes, and never held whole.
Only what a caller passes comes here: an address within a message, or in an answer, is never opened. Stores alone: what
has a host in its URL (ftp, sftp, smb…) would connect to wherever a list of images says.

Source: https://filesystem-spec.readthedocs.io/en/latest/api.html.
"""

from __future__ import annotations

import contextlib
import re
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from tutuclient._threads import in_thread
from tutuclient.errors import MediaError, printable
from tutuclient.media import kinds
from tutuclient.media.sources import Lease, changed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import TracebackType

    from tutuclient.media.sources import Read

VERSIONS: Final = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
"""What file systems of fsspec call the state of a file, the surest first: s3fs, gcsfs, adlfs, local, memory."""

_URL: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://(.+)", re.DOTALL)
_STORES: Final = frozenset(
    {"abfs", "abfss", "adl", "az", "gcs", "gs", "hf", "memory", "oci", "oss", "s3", "s3a", "tos", "tosfs"}
)


def is_remote(source: object) -> bool:
    """Return whether a source is the URL of a store."""
    return isinstance(source, str) and _scheme(source) is not None


def remote_file(url: str) -> tuple[RemoteFile, str]:
    """Return the file of a URL, and its name. Nothing is opened yet.

    Raises:
        MediaError: What opens it is not installed.
    """
    url = url.strip()
    _check(url, _scheme(url) or "")
    return RemoteFile(url), url.rstrip("/").rpartition("/")[2]


def waiting_file(url: str) -> Any:
    """Return fsspec's ``OpenFile`` of a URL, for what has to know the file's state; raises as ``remote_file``."""
    _check(url.strip(), _scheme(url) or "")
    return _fsspec("core").open(url.strip(), "rb")


def _scheme(text: str) -> str | None:
    if "://" not in text[:40]:  # Also so that a data URI of megabytes is not copied.
        return None
    found = _URL.match(text.strip())
    # "s3://b/a.png::file:///c" opens one file system within another, which may be this machine's.
    if found is None or "::" in text or (scheme := found[1].lower()) not in _STORES:
        return None
    return scheme


def _check(url: str, scheme: str) -> None:
    """Raise an error when a package is missing; none is imported yet, since some take a second."""
    try:
        registry = _fsspec("registry")
    except ImportError:
        lacking = "fsspec"
    else:
        known: Any = registry.known_implementations.get(scheme, {})
        lacking = str(known.get("class", "")).partition(".")[0]
        if scheme in registry.registry or not lacking or find_spec(lacking) is not None:
            return
    raise MediaError(
        f"{_label(url)} is not opened here: install what opens it (pip install {lacking}), or fetch it"
        " and pass its bytes"
    )


def _fsspec(module: str) -> Any:
    return import_module(f"fsspec.{module}")  # Optional, and without types.


def _label(url: str) -> str:
    return printable(re.sub(r"(?<=://)[^/?#]*@", "…@", url), 120)


class RemoteFile:
    """A file of a store. Each pass opens it anew; one that has changed since the first look is an error."""

    def __init__(self, url: str) -> None:
        self.label = _label(url)
        self._url = url
        self._state: tuple[int, str] | None = None

    async def look(self) -> tuple[int, bytes]:
        """Return its size and first bytes; raise when it is not what it was at the first look."""
        return await in_thread(self._look, abandon_on_cancel=True)

    def _look(self) -> tuple[int, bytes]:
        with _Readable(self.label):
            fs, path = self._place()
            info: Any = fs.info(path)
            if info.get("type") == "directory":
                raise MediaError(f"{self.label} is a directory. Pass the files in it, one by one.")
            size = info.get("size")
            if not isinstance(size, int):
                raise MediaError(f"{self.label} has a size that its store does not tell. Fetch it and pass its bytes.")
            state = size, next((str(info[name]) for name in VERSIONS if info.get(name)), "")
            if self._state is None:
                self._state = state
            elif self._state != state:
                raise changed(self.label, self._state[0], size)
            return size, bytes(fs.cat_file(path, start=0, end=min(kinds.HEAD_BYTES, size)))

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncGenerator[Read, None]:
        """Begin a pass over it."""
        files = contextlib.ExitStack()
        lease = Lease(threading.Lock(), files.close)

        def read(offset: int, length: int) -> bytes:
            with _Readable(self.label):
                if file.tell() != offset:
                    file.seek(offset)
                data = b""
                while len(data) < length and (more := file.read(length - len(data))):
                    data = data + more if data else more
            if len(data) != length:
                raise changed(self.label)
            return data

        async def from_thread(offset: int, length: int) -> bytes:
            def work() -> bytes:
                return read(offset, length)

            return await lease.work(work)

        try:
            file = await lease.work(lambda: files.enter_context(self.whole()))
            yield from_thread
        finally:
            lease.end()

    def whole(self) -> BinaryIO:
        """Return it as a file, to be closed. Called in a thread."""
        with _Readable(self.label):
            fs, path = self._place()
            file: BinaryIO = fs.open(path, "rb")
            return file

    def held(self) -> None:
        """Nothing of it is in memory."""

    def _place(self) -> tuple[Any, str]:
        found: tuple[Any, str] = _fsspec("core").url_to_fs(self._url)
        return found


class _Readable:
    """Raises whatever a store raises as a MediaError: each has errors of its own."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not isinstance(error, Exception) or isinstance(error, MediaError):
            return
        if isinstance(error, FileNotFoundError):
            raise MediaError(f"There is no file {self._label}.") from error
        why = printable(str(error) or type(error).__name__, 200)
        raise MediaError(f"{self._label} cannot be read: {why}") from error
