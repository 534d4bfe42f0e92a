"""Which addresses images may be fetched from: http and https ones, of the public internet or of trusted hosts.

Addresses come from the text of a model, which whoever writes the prompt, or a text
the model has read, can choose. Without this guard they could reach services of the
private network that the client runs in (server-side request forgery).

Source: OWASP, "Server-Side Request Forgery Prevention Cheat Sheet".
"""

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

_NOT_PUBLIC_IPV4 = tuple(
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
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_IPV6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them: its IPv4 address is hidden in it
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: its IPv4 address is hidden in it
        "3fff::/20",  # documentation, RFC 9637
    )
)
_IPV6_WITH_IPV4 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "::ffff:0:0/96",  # IPv4-mapped
        "64:ff9b::/96",  # NAT64, RFC 6052; 64:ff9b:1::/48 is for local use (RFC 8215) and not global at all
    )
)
# Names reserved for private use (RFC 2606, 6761, 6762 with its appendix G, 8375), those that clusters and routers
# assign, and public names that resolve to whatever address is written in them.
_PRIVATE_SUFFIXES = (
    *(".localhost", ".localdomain", ".local", ".internal", ".intranet", ".private", ".lan", ".home", ".home.arpa"),
    *(".localnet", ".loc", ".priv", ".intra", ".dmz", ".vpn", ".test", ".fritz.box", ".mshome.net", ".ts.net"),
    *(".cluster", ".default", ".consul", ".docker", ".k8s", ".vcap.me", ".traefik.me", ".lacolhost.com"),
    *(".corp", ".svc", ".domain", ".workgroup", ".nip.io", ".sslip.io", ".xip.io", ".localtest.me", ".lvh.me"),
)
_HOST = re.compile(r"[a-z0-9._-]+")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_NEEDS_NO_QUOTING = re.compile(r"[!#-;=?-\[\]_a-z~]*")  # RFC 3986, sections 2.2 and 2.3
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet.

    Private, loopback, link-local, shared, multicast, reserved and documentation
    addresses do not, nor does an IPv6 address in which one of them is embedded.

    Args:
        address: In its usual spelling; it may have a zone (``%eth0``).

    Raises:
        ValueError: It is not an IP address.

    Source: IANA's special-purpose address registries, RFC 6890.
    """
    # Not ``ip.is_global``: its tables differ between versions of Python (CVE-2024-4032), and it does not look at the
    # IPv4 address within a NAT64 address.
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if any(ip in network for network in _IPV6_WITH_IPV4):
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        else:
            return ip in _GLOBAL_IPV6 and not any(ip in network for network in _NOT_PUBLIC_IPV6)
    return not any(ip in network for network in _NOT_PUBLIC_IPV4)


class Guard:
    """Checks addresses, redirects included, before anything is sent to them.

    Args:
        allow_private: Allow private, loopback and other addresses that are not public.
        trusted_origins: ``https://host[:port]``, with any path, of hosts that may be private, such as the relay's.
    """

    def __init__(self, *, allow_private: bool, trusted_origins: Iterable[str]) -> None:
        self._allow_private = allow_private
        self._trusted = tuple(trusted_origins)

    def checked(self, target: URL) -> URL:
        """Return an address if it may be fetched from.

        Raises:
            ImageDownloadError: It may not be; ``reason`` is ``bad_address`` or ``blocked``.
        """
        shown = safe_url(str(target))
        if target.scheme not in {"http", "https"}:
            raise ImageDownloadError(f"{shown} is not fetched: only http and https addresses are", reason="bad_address")
        if target.raw_user is not None or target.raw_password is not None:
            raise ImageDownloadError(f"{shown} is not fetched: the address contains credentials", reason="blocked")
        if not target.raw_host:
            raise ImageDownloadError(f"{shown} is not fetched: the address has no host", reason="bad_address")
        if not self.trusts(target) and _may_be_private(target.raw_host):
            raise blocked(shown, target.raw_host)
        return target

    def trusts(self, target: URL) -> bool:
        """Return whether a host may have a private address."""
        host = (target.raw_host or "").lower()
        return self._allow_private or (target.scheme, host, target.port) in map(_origin, self._trusted)


class PublicSockets:
    """A ``socket_factory`` for aiohttp's connector that creates sockets to public addresses only.

    Every connection passes here with the address that is connected to, whether it
    was resolved or written out, in whatever spelling. So a name that resolves to
    another address the second time (DNS rebinding) passes no check that the
    connection does not.

    Attributes:
        blocked: The addresses that are not public, to which no socket was created.

    Source: https://docs.aiohttp.org/en/stable/client_reference.html, ``aiohttp.SocketFactoryType``.
    """

    def __init__(self) -> None:
        self.blocked: list[str] = []

    def __call__(self, info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        """Create a socket for an entry of ``getaddrinfo``, or raise ``PermissionError`` where it is not public."""
        family, kind, proto, _, address = info
        if not is_public(str(address[0])):
            self.blocked.append(str(address[0]))
            raise PermissionError(errno.EACCES, "not a public address")
        return socket.socket(family, kind, proto)


def parse_address(url: str, base: URL | None = None) -> URL:
    """Parse an address, or one relative to ``base``, without changing a character of a signed query.

    Raises:
        ImageDownloadError: It cannot be parsed; ``reason`` is ``bad_address``.
    """
    from yarl import URL  # noqa: PLC0415  (it comes with aiohttp, and is needed no sooner)

    url = url.strip()
    parsed: URL | None
    try:
        # yarl requotes an address that is not marked as encoded, and a signature over its query would no longer fit.
        parsed = URL(url, encoded=_NEEDS_NO_QUOTING.fullmatch(url) is not None)
        parsed = parsed if base is None else base.join(parsed)
        usable = parsed.port != 0 and not _CONTROLS.search(url)
    except (ValueError, IndexError):  # yarl documents ValueError, but "http://][[@" raises IndexError.
        parsed, usable = None, False
    if parsed is None or not usable:
        raise ImageDownloadError(f"{safe_url(url)} is not fetched: it is not a usable address", reason="bad_address")
    return parsed


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _may_be_private(host: str) -> bool:
    """Return whether a host's text may stand for a private address: by its name, or by some reading as a number.

    Through a proxy it is the proxy that interprets the host. So an address is
    accepted only in the one spelling that every program reads alike, and a name
    only if it consists of letters that names have.
    """
    # A dot at the end makes a name absolute, and would hide its suffix from the table below.
    host = host.rstrip(".").lower()
    if ":" in host:
        try:
            # A zone names an interface of this machine (RFC 4007, section 11), so the address is not a public one.
            return "%" in host or not is_public(host)
        except ValueError:
            return True
    if not _HOST.fullmatch(host):
        return True
    # A host whose last label is a number is an address and never a name: WHATWG URL, "ends in a number checker".
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return not is_public(host)  # Python accepts four decimal numbers without leading zeros only.
        except ValueError:
            return True
    # Resolvers complete a name without a dot by the search domains of their network: resolv.conf(5), "search".
    return "." not in host or f".{host}".endswith(_PRIVATE_SUFFIXES)


def blocked(shown: str, where: str) -> ImageDownloadError:
    """Create the error of an address that is private, or may be."""
    return ImageDownloadError(
        f"{shown} is not fetched: {printable(where, 80)} is, or may be, inside a private network; "
        "allow_private_downloads=True allows it",
        reason="blocked",
    )
