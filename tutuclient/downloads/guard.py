"""Which addresses may be fetched from: http and https, of the open internet, or of hosts that are trusted."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tutuclient.errors import ImageDownloadError, printable
from tutuclient.media.addresses import safe_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from yarl import URL

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


class Guard:
    """Lets pass what may be fetched.

    Args:
        allow_private: Fetch from private, loopback and other inside addresses as well.
        trusted_origins: ``https://host[:port]``, and any path, of hosts that may stand inside, such as the relay's.
    """

    def __init__(self, *, allow_private: bool, trusted_origins: Iterable[str]) -> None:
        self._allow_private = allow_private
        self._trusted = tuple(trusted_origins)

    def checked(self, target: URL) -> URL:
        """Return an address that may be fetched from.

        Raises:
            ImageDownloadError: It may not; ``reason`` is ``bad_address`` or ``blocked``.
        """
        shown = safe_url(str(target))
        if target.scheme not in {"http", "https"}:
            raise ImageDownloadError(f"{shown} is not fetched: only http and https addresses are", reason="bad_address")
        if target.raw_user is not None or target.raw_password is not None:
            raise ImageDownloadError(f"{shown} is not fetched: the address carries credentials", reason="blocked")
        if not target.raw_host:
            raise ImageDownloadError(f"{shown} is not fetched: the address names no host", reason="bad_address")
        if not self.trusts(target) and _names_inside(target.raw_host):
            raise blocked(shown, target.raw_host)
        return target

    def trusts(self, target: URL) -> bool:
        """Return whether the caller vouches for a host, wherever it stands."""
        host = (target.raw_host or "").lower()
        return self._allow_private or (target.scheme, host, target.port) in map(_origin, self._trusted)


class PublicSockets:
    """Makes the sockets of one hop, to public addresses only; keeps in mind what it refused.

    This is the one place every connection goes through, whether its address was
    resolved or written out, in whatever spelling.
    """

    def __init__(self) -> None:
        self.refused: list[str] = []

    def __call__(self, info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        """Create a socket for an address as ``getaddrinfo`` returns them; ``PermissionError`` where it is inside."""
        family, kind, proto, _, address = info
        if not is_public(str(address[0])):
            self.refused.append(str(address[0]))
            raise PermissionError(errno.EACCES, "not a public address")
        return socket.socket(family, kind, proto)


def parse(url: str, base: URL | None = None) -> URL:
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


def blocked(shown: str, where: str) -> ImageDownloadError:
    """Return the error of an address that leads inside, or may do so."""
    return ImageDownloadError(
        f"{shown} is not fetched: {printable(where, 80)} lies inside a private network, or may do so, "
        "where an answer has no business; allow_private_downloads=True allows it",
        reason="blocked",
    )
