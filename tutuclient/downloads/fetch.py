"""The guarded downloader: fetches a picture that an answer names, from a host nobody here knows.

The address comes from a model's text, so nothing about it is trusted: not its
host, not where it redirects to, not how much it sends, not what it says it
sends. Knows nothing of the API and of its key, and has a connection of its own
for every hop, so that nothing of the client can reach a stranger.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import random
import ssl
import time
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from tutuclient._descriptors import DESCRIPTOR_S, NO_DESCRIPTORS, out_of_descriptors
from tutuclient._threads import in_thread
from tutuclient.downloads.exceptions import mapped_errors
from tutuclient.downloads.guard import Guard, PublicSockets, parse
from tutuclient.errors import ImageDownloadError
from tutuclient.media.addresses import safe_url
from tutuclient.media.endings import Ending
from tutuclient.media.image import must_be_picture
from tutuclient.retry import retry_after_of
from tutuclient.settings import UNSET, RetryPolicy, Timeout, Unset, clean_timeout

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
    from typing import Self

    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
    from yarl import URL

    from tutuclient.media.image import TimeoutLike
    from tutuclient.settings import Settings

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({401, 403, 404, 410})
# Statuses that may be gone next time; of those of servers, all but "not implemented" and its kin.
_PASSING = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505, 506, 508, 510, 511}
_BROKEN = frozenset({"damaged", "timeout"})  # reasons that leave a part of an image, and may be gone next time
_FOLLOWED = 8192  # bytes of an image whose end is looked for at a time
_HELD = 0.002  # seconds that the looking may hold the event loop
_HEAD_BYTES = 64  # enough for every signature below, the brands of an AVIF included


class Downloads:
    """Fetches pictures from strangers, with the care strangers deserve.

    Each hop of a download has a connection of its own, without keys, cookies or
    the environment's credentials; nothing is held between downloads. The
    settings pickle (but for an ``SSLContext``), and one object serves any number
    of event loops and of downloads at a time.

    The address a name resolves to is checked in the moment a socket to it is
    made, so a name that changes its mind between check and connection gains
    nothing. Through a proxy the name is resolved by the proxy: then only names
    (``localhost``, ``*.internal``…) and addresses written out are checked.

    A download that fails in a way that may have passed the next time is tried
    again: a GET costs nothing, and what it fetches is paid for.

    Args:
        max_bytes: The largest picture to accept.
        timeout: The limits of one download: ``total`` holds over everything, attempts, pauses, redirects and writing
            included; ``connect`` and ``idle`` for each hop. A number is the total, None takes it off.
        allow_private: Fetch from private, loopback and other inside addresses as well.
        trusted_origins: ``https://host[:port]``, and any path, of hosts that may stand inside, such as the relay's.
        proxy: ``http://host:port`` of a proxy to go through, or None.
        verify: False trusts any certificate; a text is the path of a file or folder of authorities to trust.
        retry: How often to try again, and how long to pause; None tries once.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 64 * 2**20,
        timeout: float | Timeout | Unset | None = UNSET,
        retry: RetryPolicy | None = None,
        allow_private: bool = False,
        trusted_origins: Iterable[str] = frozenset(),
        proxy: str | None = None,
        verify: bool | str | ssl.SSLContext = True,
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout = clean_timeout(timeout)
        self._retry = retry or RetryPolicy(max_retries=0)
        self._guard = Guard(allow_private=allow_private, trusted_origins=trusted_origins)
        self._proxy = proxy
        self._verify = verify

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Create what fetches the images of a client's answers, without its key and over connections of its own."""
        return cls(
            max_bytes=settings.max_response_bytes,
            allow_private=settings.allow_private_downloads,
            trusted_origins=(settings.base_url,),
            proxy=settings.proxy,
            verify=settings.verify,
            timeout=settings.timeout,
            retry=settings.retry,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Travel without secrets: answers keep this, and answers go into journals and to other machines.

        A proxy's password stays behind, and an ``ssl.SSLContext`` becomes True; where they are needed, a download
        fails after travelling and says so.
        """
        state = self.__dict__.copy()
        if self._proxy is not None and "@" in self._proxy:
            parts = urlsplit(self._proxy)
            state["_proxy"] = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        if isinstance(self._verify, ssl.SSLContext):
            state["_verify"] = True
        return state

    def limited(self, timeout: float | TimeoutLike | Unset | None, retry: RetryPolicy | None = None) -> Downloads:
        """Return the same with other limits; ``UNSET`` and None leave what is."""
        if timeout is UNSET and retry is None:
            return self
        other = copy.copy(self)
        limits = self._timeout if timeout is UNSET else clean_timeout(timeout)
        other.__dict__.update(_timeout=limits, _retry=retry or self._retry)
        return other

    async def fetch(self, url: str, second: str | None = None, *, damaged: bool = False) -> bytes:
        """Fetch a picture into memory. Arguments as for ``fetch_into``.

        Raises:
            ImageDownloadError: It could not be fetched, is too large, cut off, or no picture.
        """
        data = bytearray()

        async def begin() -> None:
            data.clear()

        async def keep(piece: bytes) -> None:
            data.extend(piece)

        await self.fetch_into(url, keep, begin=begin, second=second, damaged=damaged)
        return bytes(data)

    async def fetch_into(
        self,
        url: str,
        write: Callable[[bytes], Awaitable[None]],
        *,
        begin: Callable[[], Awaitable[None]] | None = None,
        second: str | None = None,
        damaged: bool = False,
    ) -> str:
        """Fetch a picture piece by piece; memory stays flat whatever its size.

        Nothing is written before the first bytes prove to be a picture's. What
        was written when an error is raised is no whole picture.

        Args:
            url: An http or https address, as an answer names it.
            write: Takes each piece, in order; the next is read after it returns. Its errors come out as they are.
            begin: Awaited before the first piece of each attempt: what was written before is to be forgotten. Without
                it only the first attempt may write, and there is none after it.
            second: Another address of the same picture, tried whenever the first fails.
            damaged: When no attempt brought it whole, what the last one to bring any wrote is good enough.

        Returns:
            The picture's type by its first bytes, such as ``image/png``.

        Raises:
            ImageDownloadError: As ``fetch``.
        """
        total = self._timeout.total
        download = _Download(url, second, write, begin)
        with anyio.move_on_after(total):
            try:
                return await self._try(download)
            except ImageDownloadError as error:
                if damaged and download.mime and error.reason != "too_large":
                    return download.mime
                raise
        if damaged and download.mime:
            return download.mime
        raise ImageDownloadError(
            f"{safe_url(url)} was not here within {total:g} s: try again, or allow more time",
            reason="timeout",
            attempts=download.attempts,
        )

    async def _try(self, download: _Download) -> str:
        """Try each address in turn, as often as the policy and the deadline allow."""
        until = anyio.current_effective_deadline()
        addresses = [download.url] if download.second is None else [download.url, download.second]
        last: dict[str, ImageDownloadError] = {}
        for attempt in itertools.count(1):
            download.attempts = attempt
            for url in list(addresses):
                try:
                    return await self._follow_with_descriptors(url, download)
                except ImageDownloadError as error:
                    last[url] = error
                    if error.reason == "damaged" and download.mime is not None:
                        download.cut = error
                    if not _may_pass(error, self._retry) or download.is_closed:
                        addresses.remove(url)
            pause = max((last[url].retry_after or 0.0 for url in addresses), default=0.0)
            pause += random.random() * min(self._retry.wait_max, self._retry.wait_initial * 2.0 ** min(attempt - 1, 60))
            if not addresses or attempt > self._retry.max_retries or anyio.current_time() + pause >= until:
                raise _failure(download, list(last.values()))
            await asyncio.sleep(pause)
        raise AssertionError  # pragma: no cover  (the loop has no end of its own)

    async def _follow_with_descriptors(self, url: str, download: _Download) -> str:
        """Follow an address; while there are no file descriptors, wait: nothing was asked, so that is no attempt."""
        waited = 0.0
        while True:
            try:
                return await self._follow(url, download)
            except ImageDownloadError as error:
                if error.reason != "unreachable" or waited >= DESCRIPTOR_S or not out_of_descriptors(error):
                    raise
            pause = random.uniform(0.01, 0.1)
            waited += pause
            if anyio.current_time() + pause >= anyio.current_effective_deadline():
                raise ImageDownloadError(
                    f"{safe_url(url)} could not be fetched: {NO_DESCRIPTORS}", reason="unreachable"
                )
            await asyncio.sleep(pause)

    async def _follow(self, url: str, download: _Download) -> str:
        target = self._guard.checked(parse(url))
        status = 0
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._opened(target) as response:
                status = response.status
                if status not in _REDIRECTS:
                    return await self._receive(response, download)
                location = response.headers.get("Location", "")
            if not location:
                raise ImageDownloadError(
                    f"{safe_url(str(target))} redirects ({status}) and does not say where to",
                    reason="unavailable",
                    status=status,
                )
            target = self._guard.checked(parse(location, target))
        raise ImageDownloadError(
            f"{safe_url(url)} redirects more than {_MAX_REDIRECTS} times", reason="unavailable", status=status
        )

    @asynccontextmanager
    async def _opened(self, target: URL) -> AsyncGenerator[ClientResponse, None]:
        import aiohttp  # noqa: PLC0415  (0.3 s that a client without pictures need not pay)

        shown = safe_url(str(target))
        verify = self._verify
        if isinstance(verify, str):
            with mapped_errors(shown):
                verify = await in_thread(_authorities, verify)
        # The proxy's own address is the caller's word; what lies behind it is beyond our sight.
        gate = None if self._proxy or self._guard.trusts(target) else PublicSockets()
        connector = aiohttp.TCPConnector(ssl=verify, use_dns_cache=False, force_close=True, socket_factory=gate)
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},  # pictures are compressed already; a bomb stays small
            timeout=aiohttp.ClientTimeout(total=None, connect=self._timeout.connect, sock_read=self._timeout.idle),
            trust_env=False,
            auto_decompress=False,
        ) as session:
            with mapped_errors(shown, gate):
                try:
                    response = await session.get(
                        target, allow_redirects=False, proxy=self._proxy, middlewares=(_only_once,)
                    )
                except _BrokenOnceError as broken:
                    raise broken.error from None
            with closing(response):
                yield response

    async def _receive(self, response: ClientResponse, download: _Download) -> str:
        shown, status = safe_url(str(response.url)), response.status
        _check_status(response, shown)
        too_large = ImageDownloadError(
            f"{shown} is larger than {self._max_bytes} bytes, the most that is accepted",
            reason="too_large",
            status=status,
        )
        if (response.content_length or 0) > self._max_bytes:
            raise too_large
        size, head, mime = 0, b"", None
        ending: Ending | None = None
        while True:
            with mapped_errors(shown, status=None if ending is None else status):
                piece = await response.content.readany()
            size += len(piece)
            if size > self._max_bytes:
                raise too_large
            if ending is None:
                head += piece
                if piece and len(head) < _HEAD_BYTES:
                    continue
                mime = must_be_picture(head, shown, response.headers.get("Content-Type"), status)
                ending = Ending(mime)
                await download.begin(mime)
                await download.write(head)
                await _followed(ending, head)
            elif piece:
                await download.write(piece)
                await _followed(ending, piece)
            if not piece and mime:
                if ending.is_whole:
                    return mime
                raise ImageDownloadError(
                    f"{shown} is damaged: the {mime.removeprefix('image/').upper()} does not go on to its end; "
                    "damaged=True keeps what came",
                    reason="damaged",
                    status=status,
                )


class _BrokenOnceError(Exception):
    """Carries an error of the connection past aiohttp, which would send a GET a second time on its own account."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


async def _only_once(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    import aiohttp  # noqa: PLC0415  (as above)

    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenOnceError(error) from None


class _Download:
    """One download, over all its attempts.

    Attributes:
        cut: The error of the last attempt that brought a part of the image, or None.
        mime: The type of what has been written, or None while nothing has.
        is_closed: Something was written that cannot be taken back.
    """

    def __init__(
        self,
        url: str,
        second: str | None,
        write: Callable[[bytes], Awaitable[None]],
        begin: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self.url = url
        self.second = second if second != url else None
        self.write = write
        self.attempts: int = 0
        self.cut: ImageDownloadError | None = None
        self.mime: str | None = None
        self._begin = begin

    @property
    def is_closed(self) -> bool:
        return self.mime is not None and self._begin is None

    async def begin(self, mime: str) -> None:
        """Forget what an earlier attempt wrote: an image begins."""
        if self._begin is not None:
            await self._begin()
        self.mime = mime


def _check_status(response: ClientResponse, shown: str) -> None:
    status = response.status
    if status in _GONE:
        raise ImageDownloadError(
            f"{shown} answered {status}: the link may have expired, save pictures soon", reason="expired", status=status
        )
    if not 200 <= status < 300:  # noqa: PLR2004  (the statuses of success, RFC 9110 section 15.3)
        asked = retry_after_of(response.headers, time.time())
        raise ImageDownloadError(f"{shown} answered {status}", reason="unavailable", status=status, retry_after=asked)


async def _followed(ending: Ending, piece: bytes) -> None:
    """Follow a piece to the image's end, and let the event loop go on where that takes longer than usual."""
    begun = time.perf_counter()
    for at in range(0, len(piece), _FOLLOWED):
        ending.feed(piece[at : at + _FOLLOWED])
        if time.perf_counter() - begun > _HELD:
            await asyncio.sleep(0)
            begun = time.perf_counter()


def _may_pass(error: ImageDownloadError, policy: RetryPolicy) -> bool:
    """Return whether another attempt may bring the image."""
    if error.retry_after is not None and error.retry_after > policy.retry_after_max:
        return False
    if error.reason in {"unavailable", "proxy"} and error.status is not None:
        return error.status in _PASSING
    return error.reason in _BROKEN or error.reason in {"unreachable", "proxy"}


def _failure(download: _Download, errors: list[ImageDownloadError]) -> ImageDownloadError:
    """Make one error of those that the addresses ended with."""
    error = errors[0]
    if len(errors) > 1:
        last = errors[-1]
        # What to branch on is the better of the two news: an image that is cut off, or a host that may come back.
        told = error if error.reason in _BROKEN or not _may_pass(last, RetryPolicy()) else last
        error = ImageDownloadError(
            f"{error.message}; and the second link: {last.message}",
            reason=told.reason,
            status=told.status,
            retry_after=told.retry_after,
        )
    cut = download.cut
    if cut is not None and error.reason not in _BROKEN and error.reason != "too_large":
        # What there was of it is better news than why there was no more.
        error = ImageDownloadError(
            f"{cut.message}; and when tried again: {error.message}", reason=cut.reason, status=cut.status
        )
    return error.with_details(attempts=download.attempts)


def _authorities(path: str) -> ssl.SSLContext:
    folder = Path(path).is_dir()
    return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
