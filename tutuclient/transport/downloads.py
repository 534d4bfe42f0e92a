"""The guarded downloader: fetches a picture that an answer names, from a host nobody here knows.

The address comes from a model's text, so nothing about it is trusted: not its
host, not where it redirects to, not how much it sends, not what it says it
sends. Knows nothing of the API and of its key, and has a connection of its own
for every hop, so that nothing of the client can reach a stranger.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import ssl
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from tutuclient.errors import ImageDownloadError, printable
from tutuclient.limits import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable

    from aiohttp import ClientResponse
    from yarl import URL

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({401, 403, 404, 410})
_CONNECT_TIMEOUT = 30.0
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
_INSIDE_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")

_PLAIN_ADDRESS = re.compile(r"[!#-;=?-\[\]_a-z~]*")  # RFC 3986: nothing that would need quoting
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
}
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
)
_OTHER_SIGNATURES = (  # in lower case, as the bytes they are compared with
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<svg", "an SVG drawing, which is no bitmap"),
    (b"<?xml", "XML"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b"%pdf", "a PDF"),
    (b"\x1f\x8b", "gzip data"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1ae\xdf\xa3", "a video"),  # Matroska and WebM
)
_WORDS = (  # most specific first
    ("ClientConnectorDNSError", "the name of its host does not resolve"),
    ("ClientConnectorCertificateError", "its certificate cannot be trusted"),
    ("ClientSSLError", "TLS with its host failed"),
    ("ClientProxyConnectionError", "the proxy cannot be reached"),
    ("ClientHttpProxyError", "the proxy refuses to connect"),
    ("ServerTimeoutError", "its host does not answer"),
    ("ClientConnectorError", "its host cannot be reached"),
    ("ClientPayloadError", "the connection broke before the picture was whole"),
    ("InvalidURL", "it is no usable address"),
    ("ClientError", "the connection broke"),
    ("ClientConnectionError", "the connection broke"),
)


def picture_mime(head: bytes) -> str | None:
    """Say what kind of picture begins with these bytes.

    Args:
        head: The first bytes, 64 or more where there are as many.

    Returns:
        The type of a PNG, JPEG, GIF, WebP, BMP, TIFF, AVIF, HEIC or ICO, else None. An SVG is none: it is a
        program, not pixels.

    Source: the signatures of the WHATWG MIME Sniffing standard, section 6.1, and of ISO/IEC 14496-12.
    """
    for signature, mime in _SIGNATURES:
        if head.startswith(signature):
            return mime
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "image/bmp"
    if head[4:8] == b"ftyp":
        brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(len(head), int.from_bytes(head[:4])), 4))]
        known = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        return min(known, default=None, key=lambda mime: mime == "image/heif")
    return None


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

    Args:
        max_bytes: The largest picture to accept.
        timeout: Seconds for one download, redirects and writing included; None is no limit.
        allow_private: Fetch from private, loopback and other inside addresses as well.
        trusted_origins: ``https://host[:port]``, and any path, of hosts that may stand inside, such as the relay's.
        proxy: ``http://host:port`` of a proxy to go through, or None.
        verify: False trusts any certificate; a text is the path of a file or folder of authorities to trust.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 64 * 2**20,
        timeout: float | None = 120.0,
        allow_private: bool = False,
        trusted_origins: Iterable[str] = frozenset(),
        proxy: str | None = None,
        verify: bool | str | ssl.SSLContext = True,
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout = timeout
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

    async def aclose(self) -> None:
        """Do nothing: a download closes what it opened. Here so that an owner need not know that."""

    async def fetch(self, url: str) -> bytes:
        """Fetch a picture into memory.

        Raises:
            ImageDownloadError: It could not be fetched, is too large, or is no picture.
        """
        data = bytearray()

        async def keep(piece: bytes) -> None:
            data.extend(piece)

        await self.fetch_into(url, keep)
        return bytes(data)

    async def fetch_into(self, url: str, write: Callable[[bytes], Awaitable[None]]) -> str:
        """Fetch a picture piece by piece; memory stays flat whatever its size.

        Nothing is written before the first bytes prove to be a picture's. What
        was written when an error is raised is no whole picture.

        Args:
            url: An http or https address, as an answer names it.
            write: Takes each piece, in order; the next is read after it returns. Its errors come out as they are.

        Returns:
            The picture's type by its first bytes, such as ``image/png``.

        Raises:
            ImageDownloadError: As ``fetch``.
        """
        with anyio.move_on_after(self._timeout):
            return await self._follow(url, write)
        raise ImageDownloadError(
            f"{safe_url(url)} was not here within {self._timeout:g} s: try again, or allow more time"
        )

    async def _follow(self, url: str, write: Callable[[bytes], Awaitable[None]]) -> str:
        target = self._checked(_parse(url))
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._opened(target) as response:
                if response.status not in _REDIRECTS:
                    return await self._receive(response, write)
                location = response.headers.get("Location", "")
            if not location:
                raise ImageDownloadError(
                    f"{safe_url(str(target))} redirects ({response.status}) and does not say where to"
                )
            target = self._checked(_parse(location, target))
        raise ImageDownloadError(f"{safe_url(url)} redirects more than {_MAX_REDIRECTS} times")

    def _checked(self, target: URL) -> URL:
        shown = safe_url(str(target))
        if target.scheme not in {"http", "https"}:
            raise ImageDownloadError(f"{shown} is not fetched: only http and https addresses are")
        if target.raw_user is not None or target.raw_password is not None:
            raise ImageDownloadError(f"{shown} is not fetched: the address carries credentials")
        if not target.raw_host:
            raise ImageDownloadError(f"{shown} is not fetched: the address names no host")
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
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT),
            trust_env=False,
            auto_decompress=False,
        ) as session:
            with _told(shown, gate):
                response = await session.get(target, allow_redirects=False, proxy=self._proxy)
            with closing(response):
                yield response

    async def _receive(self, response: ClientResponse, write: Callable[[bytes], Awaitable[None]]) -> str:
        shown = safe_url(str(response.url))
        if response.status in _GONE:
            raise ImageDownloadError(
                f"{shown} answered {response.status}: the link may have expired, save pictures soon"
            )
        if not 200 <= response.status < 300:  # noqa: PLR2004  (the statuses of success, RFC 9110 section 15.3)
            raise ImageDownloadError(f"{shown} answered {response.status}")
        too_large = ImageDownloadError(f"{shown} is larger than {self._max_bytes} bytes, the most that is accepted")
        if (response.content_length or 0) > self._max_bytes:
            raise too_large
        size, head, mime = 0, b"", None
        while True:
            with _told(shown):
                piece = await response.content.readany()
            size += len(piece)
            if size > self._max_bytes:
                raise too_large
            if mime is None:
                head += piece
                if piece and len(head) < _HEAD_BYTES:
                    continue
                mime = must_be_picture(head, shown, response.headers.get("Content-Type"))
                await write(head)
            elif piece:
                await write(piece)
            if not piece:
                return mime


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


def must_be_picture(head: bytes, shown: str, content_type: str | None = None) -> str:
    """Give the type of the picture that begins with these bytes; see ``picture_mime``.

    Args:
        head: The first bytes, 64 or more where there are as many.
        shown: What to call it in the error.
        content_type: What its sender says it is, for the error alone.

    Raises:
        ImageDownloadError: It is no picture; the message says what it is instead.
    """
    mime = picture_mime(head)
    if mime is None:
        claim = "" if content_type is None else f" (sent as {printable(content_type, 60)})"
        raise ImageDownloadError(f"{shown} is no picture but {_what_it_is(head)}{claim}")
    return mime


def _what_it_is(head: bytes) -> str:
    if not head:
        return "empty"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for signature, words in _OTHER_SIGNATURES:
        if start.startswith(signature):
            return words
    if head[4:8] == b"ftyp":
        return "a video"
    return "text" if re.fullmatch(rb"[\t\n\r -~\x80-\xff]*", head) else "data of no kind known here"


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
        raise ImageDownloadError(f"{safe_url(url)} is not fetched: it is no usable address")
    return parsed


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _names_inside(host: str) -> bool:
    """Say whether a host's very text points inside: a name of the house, or an address, however it is spelled."""
    host = host.rstrip(".").lower()
    try:
        if ":" in host:
            return not is_public(host.replace("%25", "%"))
        # The C library's own reading, since its is the one that counts: 127.1, 0x7f000001, 0177.0.0.1, 2130706433.
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))
    except (OSError, ValueError):
        return "." not in host or host.endswith(_INSIDE_NAMES)


def _refused(shown: str, where: str) -> ImageDownloadError:
    return ImageDownloadError(
        f"{shown} is not fetched: {printable(where, 80)} lies inside a private network, "
        "where an answer has no business; allow_private_downloads=True allows it"
    )


def _authorities(path: str) -> ssl.SSLContext:
    folder = Path(path).is_dir()
    return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)


@contextmanager
def _told(shown: str, gate: _Gate | None = None) -> Generator[None, None, None]:
    """Turn what the network raises into our error; a stranger's address and the proxy's stay out of it."""
    import aiohttp  # noqa: PLC0415  (as above)

    try:
        yield
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if gate is not None and gate.refused:
            raise _refused(shown, gate.refused[0]) from None
        words = next(
            (words for name, words in _WORDS if isinstance(error, getattr(aiohttp, name))), "it cannot be asked"
        )
        reason = getattr(error, "strerror", None)
        raise ImageDownloadError(
            f"{shown} could not be fetched: {words}{f' ({printable(str(reason), 200)})' if reason else ''}"
        ) from None
