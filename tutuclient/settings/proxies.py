"""The proxy of an address: one that was passed, or those of the environment with their exceptions.

The rules are those that curl, requests and httpx share. Where they differ, a comment says which was taken.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from tutuclient.errors import ConfigError
from tutuclient.settings.credentials import is_loopback
from tutuclient.settings.secret import Secret

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

_SCHEMES: Final = ("http", "https", "socks5", "socks5h", "socks4", "socks4a")
_PORTS: Final = {"http": 80, "https": 443}
_SOCKS_PORT: Final = 1080  # As curl has it, and IANA's registry.
_SOCKS_LOGIN_BYTES: Final = 255  # RFC 1929, section 2.
_ARGUMENT: Final = "proxy="
_SYSTEM: Final = "the system's settings"
_MISSING_SOCKS: Final = "is a SOCKS proxy, which needs another package: pip install 'tutuclient[socks]'"


class Proxy(msgspec.Struct, frozen=True):
    """One proxy.

    Attributes:
        address: Its address, without user name and password.
        source: Where the setting came from: the name of a variable, or ``proxy=``.
        login: The user name and the password, decoded, or None.
    """

    address: str
    source: str
    login: tuple[str, str] | None = None

    @property
    def scheme(self) -> str:
        """How it is spoken to, in lower case."""
        return self.address.partition(":")[0]

    @property
    def host(self) -> str:
        """Its host, in lower case."""
        return urlsplit(self.address).hostname or ""

    @property
    def port(self) -> int:
        """Its port."""
        return urlsplit(self.address).port or _PORTS.get(self.scheme, _SOCKS_PORT)

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS, where the others speak HTTP."""
        return self.scheme.startswith("socks")

    def __str__(self) -> str:
        return f"{self.address} ({self.source})"


class Proxies(msgspec.Struct, frozen=True):
    """Which proxy an address is reached through.

    Attributes:
        addresses: For a scheme, or "all", a proxy's address with its password, and where that came from.
        exceptions: The entries of NO_PROXY, in lower case.
        reads_environment: They are those of the environment, which an unpickled object reads anew: a proxy belongs to a
            machine, and its password does not travel.
        implied: Nobody asked for them: that is the default.
    """

    addresses: dict[str, tuple[Secret, str]] = {}
    exceptions: tuple[str, ...] = ()
    reads_environment: bool = False
    implied: bool = False

    def of(self, url: str) -> Proxy | None:
        """Return the proxy for an address, or None where it is reached directly.

        Raises:
            ConfigError: There is one for this address, and it cannot be used. Nothing goes past it in silence.
        """
        if not self.addresses:
            return None
        parts = urlsplit(url)
        found = self.addresses.get(parts.scheme) or self.addresses.get("all")
        if found is None or (self.reads_environment and self._excepts(parts, found[1])):
            return None
        return _parsed(*found)

    def _excepts(self, parts: SplitResult, source: str) -> bool:
        """Return whether an address is reached past the proxies of the environment."""
        host = (parts.hostname or "").rstrip(".")
        ip = _ip(host)
        # As Go's httpproxy has it: a proxy's own loopback is never meant. curl and httpx would send it there.
        if is_loopback(host) or host.endswith(".localhost"):
            return True
        if source == _SYSTEM:
            from urllib.request import proxy_bypass  # noqa: PLC0415  (Windows and macOS have exceptions of their own)

            return bool(proxy_bypass(host))
        port = parts.port or _PORTS.get(parts.scheme)
        return any(_matches(entry, parts.scheme, host, ip, port) for entry in self.exceptions)

    def without_password(self) -> Proxies:
        """Return them without the user name and the password in ``proxy=``, for what travels with an answer."""
        if self.reads_environment:
            return self
        kept = {scheme: (_without_login(text), source) for scheme, (text, source) in self.addresses.items()}
        return msgspec.structs.replace(self, addresses=kept)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.reads_environment:
            return environment_proxies, (self.implied,)
        return Proxies, (self.addresses,)


def clean_proxy(value: object, name: str = "proxy") -> Proxies:
    """Return the proxies that are meant by a setting: "env", one address, or None.

    Raises:
        ConfigError: It is not the address of a proxy that can be used.
    """
    if value is None:
        return Proxies()
    if isinstance(value, Proxies):
        return value
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be 'env', None or an address, not {type(value).__name__}")
    text = Secret(value.strip())
    if str(text) == "env":
        return environment_proxies()
    _parsed(text, f"{name}=")
    return Proxies({"all": (text, f"{name}=")})


def environment_proxies(implied: bool = False) -> Proxies:
    """Return the proxies of the environment; without any, on Windows and macOS, those of the system's settings.

    ``urllib.request`` reads them: lower case comes before upper case, and ``HTTP_PROXY`` is not believed within CGI,
    where a header could have set it (CVE-2016-1000110).
    """
    named = any(name.lower().endswith("_proxy") for name in os.environ)
    if not named and sys.platform not in {"win32", "darwin"}:
        return Proxies(reads_environment=True, implied=implied)
    from urllib.request import getproxies, getproxies_environment  # noqa: PLC0415  (50 ms, and aiohttp needs it anyway)

    system = not getproxies_environment()
    found = {scheme: Secret(value.strip()) for scheme, value in getproxies().items()}
    exceptions = tuple(entry for entry in re.split(r"[,\s]+", str(found.get("no", ""))) if entry)
    addresses = {
        scheme: (_with_scheme(found[scheme]), _SYSTEM if system else _variable(scheme))
        for scheme in ("http", "https", "all")
        if found.get(scheme)
    }
    return Proxies(addresses, tuple(map(str.lower, exceptions)), reads_environment=True, implied=implied)


def _variable(scheme: str) -> str:
    """Return the name, as it is written, of the variable that says the proxy of a scheme."""
    names = [name for name in os.environ if name.lower() == f"{scheme}_proxy" and os.environ[name]]
    return max(names, key=str.islower)


def _with_scheme(text: Secret) -> Secret:
    return text if "://" in text else Secret(f"http://{text!s}")


def _without_login(text: Secret) -> Secret:
    parts = urlsplit(text)
    return Secret(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())


def _parsed(text: Secret, source: str) -> Proxy:
    """Return a proxy by its address.

    Raises:
        ConfigError: It cannot be used; the message shows nothing of it, as it may hold a password.
    """
    name = source.removesuffix("=")
    usable, login = _read(text)
    if not usable:
        kinds = ", ".join(f"{scheme}://" for scheme in _SCHEMES[:4])
        encoded = "; in a user name and a password / ? # @ : are written as %2F %3F %23 %40 %3A" if "@" in text else ""
        raise ConfigError(
            f"{name} must be the address of a proxy ({kinds}…), such as http://proxy.example:3128{encoded}"
        )
    # A name ends at the first colon: RFC 7617, section 2.
    if login is not None and ":" in login[0]:
        raise ConfigError(f"{name} has a user name with a colon in it, which no proxy can read")
    address = _without_login(text).rstrip("/")
    scheme, _, rest = address.partition(":")
    proxy = Proxy(f"{scheme.lower()}:{rest}", source, login)
    if proxy.is_socks:
        if not all(word.isascii() and len(word) <= _SOCKS_LOGIN_BYTES for word in login or ()):
            raise ConfigError(
                f"{name} has a user name or a password beyond ASCII or 255 bytes, which SOCKS cannot send"
            )
        if find_spec("aiohttp_socks") is None:
            raise ConfigError(f"{name} {_MISSING_SOCKS}")
    return proxy


def _read(text: Secret) -> tuple[bool, tuple[str, str] | None]:
    """Return whether an address can be a proxy's, and its login. No frame that raises has its parts, unmasked."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False, None
    # A "/", "?" or "#" of a password would end the host here, and the rest of the password be shown as its path.
    if not usable or not text.isprintable() or " " in text or "@" in parts.path + parts.query + parts.fragment:
        return False, None
    if parts.username is None:
        return True, None
    return True, (Secret(unquote(parts.username)), Secret(unquote(parts.password or "")))


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _matches(entry: str, scheme: str, host: str, ip: IPv4Address | IPv6Address | None, port: int | None) -> bool:
    """Return whether an entry of NO_PROXY excepts a host.

    An entry is ``*``; a domain, which excepts those below it too, with or without a dot before it (as for curl and
    requests; httpx and Go take a dot to leave the domain itself out); an IP address; or a network as CIDR. A scheme
    before it and a port behind it are regarded.
    """
    if entry == "*":
        return True
    wanted, _, rest = entry.rpartition("://")
    if wanted not in {"", "all", scheme}:
        return False
    name, wanted_port = _split_port(rest)
    if wanted_port and wanted_port != str(port):
        return False
    if ip is not None:
        try:
            return ip in ip_network(name, strict=False)
        except ValueError:
            return False
    name = name.removeprefix("*").strip(".")
    return host == name or (bool(name) and host.endswith(f".{name}"))


def _split_port(entry: str) -> tuple[str, str]:
    """Return host and port of an entry; an IPv6 address may have brackets, and must have them before a port."""
    if entry.startswith("["):
        inner, _, rest = entry[1:].partition("]")
        return (f"{inner}{rest}", "") if rest.startswith("/") else (inner, rest.removeprefix(":"))
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""
