"""The guarded downloader: fetches a picture that an answer names, from a host nobody here knows.

The address comes from a model's text, so nothing about it is trusted: not its
host, not where it redirects to, not how much it sends, not what it says it
sends. Knows nothing of the API and of its key, and has a connection of its own
for every hop, so that nothing of the client can reach a stranger.
"""

from __future__ import annotations

import asyncio
import copy
import errno
import ipaddress
import itertools
import random
import re
import socket
import ssl
import time
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from tutuclient._descriptors import DESCRIPTOR_S, NO_DESCRIPTORS, out_of_descriptors
from tutuclient._threads import in_thread
from tutuclient.errors import ImageDownloadError, printable
from tutuclient.media import kinds
from tutuclient.media.endings import Ending
from tutuclient.retry import retry_after_of
from tutuclient.settings import UNSET, RetryPolicy, Timeout, Unset, clean_timeout

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable

    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
    from yarl import URL

    from tutuclient.errors import DownloadReason

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({401, 403, 404, 410})
# Statuses that may be gone next time; of those of servers, all but "not implemented" and its kin.
_PASSING = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505, 506, 508, 510, 511}
_BROKEN = frozenset({"damaged", "timeout"})  # reasons that leave a part of an image, and may be gone next time
_FOLLOWED = 8192  # bytes of an image whose end is looked for at a time
_HELD = 0.002  # seconds that the looking may hold the event loop
_HEAD_BYTES = 64  # enough for every signature below, the brands of an AVIF included

_IPV4_INSIDE = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this" network, RFC 791
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; the metadata services of clouds live here
        "172.16.0.0/12",  # private, RFC 1918
        "192.0.0.0/24",  # protocol assignments, RFC 6890
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # private, RFC 1918
        "198.18.0.0/15",  # benchmarks, RFC 2544
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast included
    )
)
_IPV6_GLOBAL = ipaddress.IPv6Network("2000::/3")
_IPV6_INSIDE = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them: its IPv4 address is hidden in it
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: its IPv4 address is hidden in it
        "3fff::/20",  # documentation, RFC 9637
    )
)
_IPV4_WITHIN_IPV6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "::ffff:0:0/96",  # IPv4-mapped
        "64:ff9b::/96",  # NAT64, RFC 6052; 64:ff9b:1::/48 is for local use (RFC 8215) and no global address at all
    )
)
# Reserved for use inside (RFC 2606, 6761, 6762 with its appendix G, 8375), the names that clusters and routers give
# out, and the public names that lead to whatever address stands in them.
_INSIDE_NAMES = (
    *(".localhost", ".localdomain", ".local", ".internal", ".intranet", ".private", ".lan", ".home", ".home.arpa"),
    *(".localnet", ".loc", ".priv", ".intra", ".dmz", ".vpn", ".test", ".fritz.box", ".mshome.net", ".ts.net"),
    *(".cluster", ".default", ".consul", ".docker", ".k8s", ".vcap.me", ".traefik.me", ".lacolhost.com"),
    *(".corp", ".svc", ".domain", ".workgroup", ".nip.io", ".sslip.io", ".xip.io", ".localtest.me", ".lvh.me"),
)
_HOST = re.compile(r"[a-z0-9._-]+")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_PLAIN_ADDRESS = re.compile(r"[!#-;=?-\[\]_a-z~]*")  # RFC 3986: nothing that would need quoting
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_WORDS: tuple[tuple[str, DownloadReason, str], ...] = (  # most specific first
    ("ClientConnectorDNSError", "unreachable", "the name of its host does not resolve"),
    ("ClientConnectorCertificateError", "untrusted", "its certificate cannot be trusted"),
    ("ClientSSLError", "unreachable", "TLS with its host failed"),
    ("ClientProxyConnectionError", "proxy", "the proxy cannot be reached"),
    ("ClientHttpProxyError", "proxy", "the proxy refuses to connect"),
    ("ConnectionTimeoutError", "timeout", "no connection to its host in time"),
    ("ServerTimeoutError", "timeout", "its host does not answer"),
    ("ClientConnectorError", "unreachable", "its host cannot be reached"),
    ("ClientPayloadError", "unreachable", "the connection broke before the picture was whole"),
    ("InvalidURL", "bad_address", "it is no usable address"),
    ("ClientError", "unreachable", "the connection broke"),
    ("ClientConnectionError", "unreachable", "the connection broke"),
)


def safe_url(url: str) -> str:
    """Show an address without what may be secret in it: credentials, query and fragment. It is short, one line."""
    if not url.lower().startswith(("http://", "https://")):
        return printable(url, 30)
    address, cut, _ = re.sub(r"(?<=//)[^/?#]*@", "…@", url[:2048]).replace("#", "?").partition("?")
    return printable(address, 200) + ("?…" if cut else "")


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the open internet.

    Private, loopback, link-local, shared, multicast, reserved and documentation
    addresses are not, nor is an IPv6 address that carries one of them inside.

    Args:
        address: In plain spelling, a zone (``%eth0``) allowed.

    Raises:
        ValueError: It is no IP address.

    Source: IANA's special-purpose address registries, RFC 6890.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if any(ip in network for network in _IPV4_WITHIN_IPV6):
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        else:
            return ip in _IPV6_GLOBAL and not any(ip in network for network in _IPV6_INSIDE)
    return not any(ip in network for network in _IPV4_INSIDE)


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
        self._allow_private = allow_private
        self._trusted = tuple(trusted_origins)
        self._proxy = proxy
        self._verify = verify

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

    def limited(self, timeout: float | Timeout | Unset | None, retry: RetryPolicy | None = None) -> Downloads:
        """Return the same with other limits; ``UNSET`` and None leave what is."""
        if timeout is UNSET and retry is None:
            return self
        other = copy.copy(self)
        limits = self._timeout if timeout is UNSET else clean_timeout(timeout)
        other.__dict__.update(_timeout=limits, _retry=retry or self._retry)
        return other

    async def aclose(self) -> None:
        """Do nothing: a download closes what it opened. Here so that an owner need not know that."""

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
        target = self._checked(_parse(url))
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
            target = self._checked(_parse(location, target))
        raise ImageDownloadError(
            f"{safe_url(url)} redirects more than {_MAX_REDIRECTS} times", reason="unavailable", status=status
        )

    def _checked(self, target: URL) -> URL:
        shown = safe_url(str(target))
        if target.scheme not in {"http", "https"}:
            raise ImageDownloadError(f"{shown} is not fetched: only http and https addresses are", reason="bad_address")
        if target.raw_user is not None or target.raw_password is not None:
            raise ImageDownloadError(f"{shown} is not fetched: the address carries credentials", reason="blocked")
        if not target.raw_host:
            raise ImageDownloadError(f"{shown} is not fetched: the address names no host", reason="bad_address")
        if not self._trusts(target) and _names_inside(target.raw_host):
            raise _refused(shown, target.raw_host)
        return target

    def _trusts(self, target: URL) -> bool:
        host = (target.raw_host or "").lower()
        return self._allow_private or (target.scheme, host, target.port) in map(_origin, self._trusted)

    @asynccontextmanager
    async def _opened(self, target: URL) -> AsyncGenerator[ClientResponse, None]:
        import aiohttp  # noqa: PLC0415  (0.3 s that a client without pictures need not pay)

        shown = safe_url(str(target))
        verify = self._verify
        if isinstance(verify, str):
            with _told(shown):
                verify = await in_thread(_authorities, verify)
        # The proxy's own address is the caller's word; what lies behind it is beyond our sight.
        gate = None if self._proxy or self._trusts(target) else _Gate()
        connector = aiohttp.TCPConnector(ssl=verify, use_dns_cache=False, force_close=True, socket_factory=gate)
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},  # pictures are compressed already; a bomb stays small
            timeout=aiohttp.ClientTimeout(total=None, connect=self._timeout.connect, sock_read=self._timeout.idle),
            trust_env=False,
            auto_decompress=False,
        ) as session:
            with _told(shown, gate):
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
            with _told(shown, status=None if ending is None else status):
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


class _Gate:
    """Makes the sockets of one hop, to public addresses only; keeps in mind what it refused.

    This is the one place every connection goes through, whether its address was
    resolved or written out, in whatever spelling.
    """

    def __init__(self) -> None:
        self.refused: list[str] = []

    def __call__(self, info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, proto, _, address = info
        if not is_public(str(address[0])):
            self.refused.append(str(address[0]))
            raise PermissionError(errno.EACCES, "not a public address")
        return socket.socket(family, kind, proto)


def must_be_picture(head: bytes, shown: str, content_type: str | None = None, status: int | None = None) -> str:
    """Return the type of the picture that begins with these bytes; see ``kinds.picture_mime``.

    Args:
        head: The first bytes, 64 or more where there are as many.
        shown: What to call it in the error.
        content_type: What its sender says it is, for the error alone.
        status: The HTTP status it came with, for the error alone.

    Raises:
        ImageDownloadError: It is no picture; the message says what it is instead.
    """
    mime = kinds.picture_mime(head)
    if mime is None:
        claim = "" if content_type is None else f" (sent as {printable(content_type, 60)})"
        # Nothing at all may be an image that was cut off before it began.
        reason: DownloadReason = "not_an_image" if head else "damaged"
        seems = f"it seems to be {kinds.seems(head).partition(';')[0]}" if head else "it is empty"
        raise ImageDownloadError(f"{shown} is not an image: {seems}{claim}", reason=reason, status=status)
    return mime


def _parse(url: str, base: URL | None = None) -> URL:
    """Read an address, one relative to ``base`` too, without changing a letter of a signed query."""
    from yarl import URL  # noqa: PLC0415  (it comes with aiohttp, and is needed no sooner)

    url = url.strip()
    parsed: URL | None
    try:
        parsed = URL(url, encoded=_PLAIN_ADDRESS.fullmatch(url) is not None)
        parsed = parsed if base is None else base.join(parsed)
        usable = parsed.port != 0 and not _CONTROLS.search(url)
    except (ValueError, IndexError):  # yarl means the former.
        parsed, usable = None, False
    if parsed is None or not usable:
        raise ImageDownloadError(f"{safe_url(url)} is not fetched: it is no usable address", reason="bad_address")
    return parsed


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _names_inside(host: str) -> bool:
    """Return whether a host's very text may point inside: an inside name, or an address by any reading.

    Behind a proxy somebody else reads the host, so an address counts only in the
    one spelling that all read alike, and a name only with the letters of names.
    """
    host = host.rstrip(".").lower()
    if ":" in host:
        try:
            return "%" in host or not is_public(host)
        except ValueError:
            return True
    if not _HOST.fullmatch(host):
        return True
    # A host whose last label is a number is an address, and nothing else: WHATWG URL, "ends in a number checker".
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return not is_public(host)  # Python reads four decimal numbers without leading zeros, and nothing else.
        except ValueError:
            return True
    return "." not in host or f".{host}".endswith(_INSIDE_NAMES)


def _refused(shown: str, where: str) -> ImageDownloadError:
    return ImageDownloadError(
        f"{shown} is not fetched: {printable(where, 80)} lies inside a private network, or may do so, "
        "where an answer has no business; allow_private_downloads=True allows it",
        reason="blocked",
    )


def _authorities(path: str) -> ssl.SSLContext:
    folder = Path(path).is_dir()
    return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)


@contextmanager
def _told(shown: str, gate: _Gate | None = None, *, status: int | None = None) -> Generator[None, None, None]:
    """Turn what the network raises into our error; a stranger's address and the proxy's stay out of it.

    Args:
        shown: The address, as errors show it.
        gate: What was refused, if anything was.
        status: That of an answer of which an image has begun to come.
    """
    import aiohttp  # noqa: PLC0415  (as above)

    try:
        yield
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if gate is not None and gate.refused:
            raise _refused(shown, gate.refused[0]) from None
        unknown: tuple[DownloadReason, str] = ("bad_address", "it cannot be asked")
        if isinstance(error, OSError):
            unknown = ("unreachable", "it cannot be asked")
        known: list[tuple[DownloadReason, str]]
        known = [(why, words) for name, why, words in _WORDS if isinstance(error, getattr(aiohttp, name))]
        reason: DownloadReason
        reason, words = known[0] if known else unknown
        kept = ""
        if status is not None and reason == "unreachable":
            reason, kept = "damaged", "; damaged=True keeps what came"
        said = getattr(error, "strerror", None)
        if reason == "unreachable" and out_of_descriptors(error):
            words, said = NO_DESCRIPTORS, None
        raise ImageDownloadError(
            f"{shown} could not be fetched: {words}{f' ({printable(str(said), 200)})' if said else ''}{kept}",
            reason=reason,
            status=getattr(error, "status", None) if reason == "proxy" else status,
        ) from None
