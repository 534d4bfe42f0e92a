"""Fetching images from the addresses in an answer: redirects, retries, limits of time and size.

An address comes from a model's text, so nothing about it is trusted: not its
host, not where it redirects to, not how much it sends, not the content type. Each
request has a session and a connection of its own, so that neither the API key nor
cookies can reach such a host.
"""

from __future__ import annotations

import asyncio
import copy
import random
import ssl
import time
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import anyio

from tutuclient._descriptors import DESCRIPTOR_S, NO_DESCRIPTORS, out_of_descriptors
from tutuclient._threads import in_thread, running_loop
from tutuclient.downloads.exceptions import mapped_errors
from tutuclient.downloads.guard import Guard, PublicSockets, parse_address
from tutuclient.errors import ConfigError, ImageDownloadError
from tutuclient.media.addresses import safe_url
from tutuclient.media.endings import Ending
from tutuclient.media.image import image_type_of
from tutuclient.retry import retry_after_of
from tutuclient.settings import UNSET, Proxies, RetryPolicy, Timeout, Unset, clean_proxy, clean_timeout

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
    from typing import Self

    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
    from yarl import URL

    from tutuclient.media.image import TimeoutLike
    from tutuclient.settings import Settings

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# How hosts answer once a link has expired, which it does after an hour or so (WIRE.md 2.3, rule 10).
_EXPIRED = frozenset({401, 403, 404, 410})
# Of the server's errors all but those that a second request would meet again (501 Not Implemented, 505 HTTP Version Not
# Supported, 506 Variant Also Negotiates, 508 Loop Detected, 510 Not Extended, 511 Network Authentication Required).
_TRANSIENT = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505, 506, 508, 510, 511}
_INCOMPLETE = frozenset({"damaged", "timeout"})  # transient reasons that may leave a part of an image
_SCANNED_BYTES = 8192  # scanned for the image's end before the clock is looked at
_MAX_HOLD_S = 0.002  # that scanning may hold the event loop
_HEAD_BYTES = 64  # enough for every signature in ``media.kinds``, the brands of an AVIF included


class Downloads:
    """Fetches images from hosts that are not trusted.

    Each request of a download, redirects included, has a connection of its own,
    without keys, cookies or credentials of the environment; nothing stays open
    between downloads. An object can be used by any number of event loops and
    downloads at a time, and can be pickled.

    The IP address that a name resolves to is checked when a socket to it is
    created; see ``guard.PublicSockets``. Through a proxy, the proxy resolves names:
    then only names (``localhost``, ``*.internal``…) and addresses written out as
    numbers are checked, and what a name leads to is up to the proxy's own rules.

    A download that fails for a transient reason is tried again: a GET costs
    nothing, and the image is paid for.

    Args:
        max_bytes: The largest image to accept.
        timeout: The limits of one download: ``total`` is the deadline of all of it, attempts, pauses, redirects and
            writing included; ``connect`` and ``idle`` are limits of each request. A number is the total, None removes
            it.
        allow_private: Also fetch from private, loopback and other addresses that are not public.
        trusted_origins: ``https://host[:port]``, with any path, of hosts that may be private, such as the relay's.
        proxy: The address of a proxy to use, "env" or None, as for ``TutuClient``.
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
        proxy: Proxies | str | None = None,
        verify: bool | str | ssl.SSLContext = True,
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout = clean_timeout(timeout)
        self._retry = retry or RetryPolicy(max_retries=0)
        self._guard = Guard(allow_private=allow_private, trusted_origins=trusted_origins)
        self._proxy = clean_proxy(proxy)
        self._verify = verify

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Create the downloader for the answers of a client with these settings."""
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
        """Return the state without secrets: answers refer to it, and are pickled into files and to other machines.

        A proxy's password is removed, and an ``ssl.SSLContext``, which cannot be pickled, becomes True. Where they are
        needed, downloads of the unpickled object fail, with ``reason`` ``proxy`` or ``untrusted``.
        """
        state = self.__dict__.copy()
        state["_proxy"] = self._proxy.without_password()
        if isinstance(self._verify, ssl.SSLContext):
            state["_verify"] = True
        return state

    def limited(self, timeout: float | TimeoutLike | Unset | None, retry: RetryPolicy | None = None) -> Downloads:
        """Return a copy with other limits; ``UNSET`` and None leave them as they are."""
        if timeout is UNSET and retry is None:
            return self
        other = copy.copy(self)
        limits = self._timeout if timeout is UNSET else clean_timeout(timeout)
        other.__dict__.update(_timeout=limits, _retry=retry or self._retry)
        return other

    async def fetch(self, url: str, second: str | None = None, *, damaged: bool = False) -> bytes:
        """Fetch an image into memory. Arguments as for ``fetch_into``.

        Raises:
            ImageDownloadError: It could not be fetched, is too large or damaged, or is not an image; see ``reason``.
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
        """Fetch an image piece by piece; memory does not grow with its size.

        Nothing is written before the first bytes are known to be an image's. What
        was written when an error is raised is not a whole image.

        Args:
            url: An http or https address, as it is in the answer.
            write: Called with each piece, in order; the next is read after it returns. Its errors are not caught.
            begin: Called before the first piece of each attempt, to drop what an earlier one wrote. Without it there
                is no attempt after one that has written.
            second: Another address of the same image, tried whenever the first fails.
            damaged: Return where no attempt brought the whole image, but the last that wrote brought a part.

        Returns:
            The image's media type by its first bytes, such as ``image/png``.

        Raises:
            ImageDownloadError: As ``fetch``.
        """
        running_loop()  # Under trio, aiohttp would fail in words of its own.
        total = self._timeout.total
        download = _Download(url, second, write, begin)
        with anyio.move_on_after(total):
            try:
                return await self._attempt(download)
            except ImageDownloadError as error:
                if damaged and download.mime and error.reason != "too_large":
                    return download.mime
                raise
        if damaged and download.mime:
            return download.mime
        raise ImageDownloadError(
            f"{safe_url(url)} could not be fetched within {total:g} s: try again, or allow more time (timeout=)",
            reason="timeout",
            attempts=download.attempts,
        )

    async def _attempt(self, download: _Download) -> str:
        """Try each address in turn, as often as the policy and the deadline allow; return the image's type."""
        until = anyio.current_effective_deadline()
        addresses = [download.url] if download.second is None else [download.url, download.second]
        last: dict[str, ImageDownloadError] = {}
        while True:
            attempt = download.attempts = download.attempts + 1
            # A copy, since an address that cannot work is removed within the loop.
            for url in list(addresses):
                try:
                    return await self._follow_with_descriptors(url, download)
                except ImageDownloadError as error:
                    last[url] = error
                    if error.reason == "damaged" and download.mime is not None:
                        download.incomplete = error
                    if not _is_transient(error, self._retry) or download.cannot_restart:
                        addresses.remove(url)
            pause = max((last[url].retry_after or 0.0 for url in addresses), default=0.0)
            # Jitter is added to what a host asks for and never subtracted. The exponent is bounded because 2.0 ** 1024
            # raises an OverflowError.
            pause += random.random() * min(self._retry.wait_max, self._retry.wait_initial * 2.0 ** min(attempt - 1, 60))
            if not addresses or attempt > self._retry.max_retries or anyio.current_time() + pause >= until:
                raise _failure(download, list(last.values()))
            await asyncio.sleep(pause)

    async def _follow_with_descriptors(self, url: str, download: _Download) -> str:
        """Follow an address. Wait while there are no file descriptors: nothing was sent, so it does not count."""
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
        target = self._guard.checked(parse_address(url))
        status = 0
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._open(target) as response:
                status = response.status
                if status not in _REDIRECTS:
                    return await self._receive(response, download)
                location = response.headers.get("Location", "")
            if not location:
                raise ImageDownloadError(
                    f"{safe_url(str(target))} redirects (status {status}) without saying where to",
                    reason="unavailable",
                    status=status,
                )
            target = self._guard.checked(parse_address(location, target))
        raise ImageDownloadError(
            f"{safe_url(url)} redirects more than {_MAX_REDIRECTS} times", reason="unavailable", status=status
        )

    @asynccontextmanager
    async def _open(self, target: URL) -> AsyncGenerator[ClientResponse, None]:
        import aiohttp  # noqa: PLC0415  (0.3 s that a client without images need not spend)

        from tutuclient.transport.certificates import context_of  # noqa: PLC0415  (likewise)
        from tutuclient.transport.tunnels import connector_through  # noqa: PLC0415  (likewise)

        shown = safe_url(str(target))
        verify = self._verify
        if not isinstance(verify, ssl.SSLContext) and verify is not False:  # The call itself has warned of that.
            try:
                verify = await in_thread(context_of, verify)
            except ConfigError as error:
                raise ImageDownloadError(f"{shown} could not be fetched: {error}", reason="untrusted") from None
        try:
            proxy = self._proxy.of(str(target))
        except ConfigError as error:
            raise ImageDownloadError(f"{shown} could not be fetched: {error}", reason="proxy") from None
        # The proxy's own address may be private: the caller chose it. What the proxy connects to cannot be seen here.
        sockets = None if proxy is not None or self._guard.trusts(target) else PublicSockets()
        # A cached name could be older than the check of its address, and a reused connection would skip it.
        connector, options = connector_through(proxy, verify, force_close=True, socket_factory=sockets)
        # A session for each request: nothing of one host, be it a cookie or a kept connection, is there for the next.
        async with aiohttp.ClientSession(
            connector=connector,
            # The hosts are strangers to each other: no cookie of one may reach another.
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},  # images are compressed already, and a gzip bomb stays small
            # aiohttp's own total is 300 s by default, and would begin anew with each redirect and attempt;
            # ``fetch_into`` has one deadline over all of them.
            timeout=aiohttp.ClientTimeout(total=None, connect=self._timeout.connect, sock_read=self._timeout.idle),
            # True would also send the credentials of ~/.netrc, to whatever host an answer names:
            # https://docs.aiohttp.org/en/stable/client_reference.html.
            trust_env=False,
            auto_decompress=False,
        ) as session:
            with mapped_errors(shown, sockets, proxy=proxy):
                try:
                    # Redirects are followed by ``_follow``: each target has to pass the guard before anything is sent
                    # there.
                    response = await session.get(target, allow_redirects=False, middlewares=(_send_once,), **options)
                except _BrokenOnceError as broken:
                    raise broken.error from None  # Mapped by the block around it.
            with closing(response):
                yield response

    async def _receive(self, response: ClientResponse, download: _Download) -> str:
        shown, status = safe_url(str(response.url)), response.status
        _check_status(response, shown)
        too_large = ImageDownloadError(
            f"{shown} is larger than {self._max_bytes} bytes (max_response_bytes= raises the limit)",
            reason="too_large",
            status=status,
        )
        # A length that is declared saves the download; a chunked body has none, so what comes is counted below all the
        # same.
        if (response.content_length or 0) > self._max_bytes:
            raise too_large
        size, head, mime = 0, b"", None
        ending: Ending | None = None
        while True:
            with mapped_errors(shown, status=None if ending is None else status):
                # Not by lines: base64 and images have none, and aiohttp stops at a line of 512 KiB (WIRE.md 3.2).
                piece = await response.content.readany()
            size += len(piece)
            if size > self._max_bytes:
                raise too_large
            if ending is None:
                head += piece
                if piece and len(head) < _HEAD_BYTES:
                    continue
                # The bytes decide, not the Content-Type or the extension: they can disagree (WIRE.md 2.3, rule 11).
                mime = image_type_of(head, shown, response.headers.get("Content-Type"), status)
                ending = Ending(mime)
                await download.begin(mime)
                await download.write(head)
                await _scan(ending, head)
            elif piece:
                await download.write(piece)
                await _scan(ending, piece)
            if not piece and mime:
                if ending.is_whole:
                    return mime
                raise ImageDownloadError(
                    f"{shown} is damaged: the {mime.removeprefix('image/').upper()} is incomplete; "
                    "damaged=True keeps what came",
                    reason="damaged",
                    status=status,
                )


class _BrokenOnceError(Exception):
    """Carries an error of the connection past aiohttp, which would send the GET again uncounted.

    ``ClientSession._request`` repeats an idempotent request once when a ``ClientOSError`` or a
    ``ServerDisconnectedError`` ends it, on new connections too, and no public option turns that off.

    Source: ``retry_persistent_connection`` in https://github.com/aio-libs/aiohttp/blob/v3.14.0/aiohttp/client.py.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


async def _send_once(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """Send a request; a middleware of aiohttp's."""
    import aiohttp  # noqa: PLC0415  (as above)

    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenOnceError(error) from None


class _Download:
    """The state of one download over all its attempts.

    Attributes:
        incomplete: The error of the last attempt that brought a part of the image, or None.
        mime: The type of what has been written, or None while nothing has.
        cannot_restart: Whether something was written that cannot be taken back.
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
        self.incomplete: ImageDownloadError | None = None
        self.mime: str | None = None
        self._begin = begin

    @property
    def cannot_restart(self) -> bool:
        return self.mime is not None and self._begin is None

    async def begin(self, mime: str) -> None:
        """Drop what an earlier attempt wrote: an image begins."""
        if self._begin is not None:
            await self._begin()
        self.mime = mime


def _check_status(response: ClientResponse, shown: str) -> None:
    status = response.status
    if status in _EXPIRED:
        raise ImageDownloadError(
            f"{shown} answered {status}: the link may have expired; save images soon after they are made",
            reason="expired",
            status=status,
        )
    if not 200 <= status < 300:  # noqa: PLR2004  (the statuses of success, RFC 9110 section 15.3)
        asked = retry_after_of(response.headers, time.time())
        raise ImageDownloadError(f"{shown} answered {status}", reason="unavailable", status=status, retry_after=asked)


async def _scan(ending: Ending, piece: bytes) -> None:
    """Follow the image in a piece to see whether it ends there, and let other tasks run where that takes long."""
    begun = time.perf_counter()
    for at in range(0, len(piece), _SCANNED_BYTES):
        ending.feed(piece[at : at + _SCANNED_BYTES])
        if time.perf_counter() - begun > _MAX_HOLD_S:
            await asyncio.sleep(0)
            begun = time.perf_counter()


def _is_transient(error: ImageDownloadError, policy: RetryPolicy) -> bool:
    """Return whether another attempt may succeed."""
    # The host would only repeat itself before that time, and the caller does not want to wait so long.
    if error.retry_after is not None and error.retry_after > policy.retry_after_max:
        return False
    if error.reason in {"unavailable", "proxy"} and error.status is not None:
        return error.status in _TRANSIENT
    return error.reason in _INCOMPLETE or error.reason in {"unreachable", "proxy"}


def _failure(download: _Download, errors: list[ImageDownloadError]) -> ImageDownloadError:
    """Combine the errors of the addresses into the one to raise."""
    error = errors[0]
    if len(errors) > 1:
        last = errors[-1]
        # To branch on, the error with more hope: an image that is incomplete, or a host that may come back.
        chosen = error if error.reason in _INCOMPLETE or not _is_transient(last, RetryPolicy()) else last
        error = ImageDownloadError(
            f"{error.message}; and the second address: {last.message}",
            reason=chosen.reason,
            status=chosen.status,
            retry_after=chosen.retry_after,
        )
    incomplete = download.incomplete
    if incomplete is not None and error.reason not in _INCOMPLETE and error.reason != "too_large":
        # That a part has come, and can be kept, matters more than why there was no more.
        error = ImageDownloadError(
            f"{incomplete.message}; and when tried again: {error.message}",
            reason=incomplete.reason,
            status=incomplete.status,
        )
    return error.with_details(attempts=download.attempts)
