"""How a proxy is told to aiohttp: as a connector for one that speaks SOCKS, by the request's keywords for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from tutuclient.errors import ConfigError

if TYPE_CHECKING:
    import ssl

    from tutuclient.settings import Proxy


def request_options(proxy: Proxy | None) -> dict[str, Any]:
    """Return the keywords of aiohttp's ``request`` for a proxy that speaks HTTP; none for others."""
    if proxy is None or proxy.is_socks:
        return {}
    url = URL(proxy.address)
    if proxy.login is not None:
        # aiohttp encodes a login as Latin-1, where proxies expect UTF-8 as curl sends it.
        user, password = (word.encode().decode("latin-1") for word in proxy.login)
        url = url.with_user(user).with_password(password)
    return {"proxy": url}


def connector_through(
    proxy: Proxy | None, verify: ssl.SSLContext | bool, **options: Any
) -> tuple[aiohttp.TCPConnector, dict[str, Any]]:
    """Return a connector without a cache of names, and the keywords for its requests.

    Args:
        proxy: What to connect through, or None.
        verify: As aiohttp's ``ssl=``.
        options: Those of ``TCPConnector``.

    Raises:
        ConfigError: It is a SOCKS proxy, and the package for that is missing.
    """
    if proxy is not None and proxy.is_socks:
        return socks()(proxy, ssl=verify, use_dns_cache=False, **options), {}
    return aiohttp.TCPConnector(ssl=verify, use_dns_cache=False, **options), request_options(proxy)


def socks(*, guarded: bool = False) -> Any:
    """Return the class of connectors for SOCKS proxies.

    Raises:
        ConfigError: Its package is not installed, as on a machine that a pickled client has come to.
    """
    try:
        from tutuclient.transport.socks import GuardedSocksConnector, SocksConnector  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ConfigError(f"SOCKS proxies need another package: pip install 'tutuclient[socks]' ({error})") from None
    return GuardedSocksConnector if guarded else SocksConnector
