"""Connections through a SOCKS proxy, by aiohttp-socks: the extra ``socks``. It is imported only when one is used.

aiohttp-socks leans on a private name of aiohttp (``TCPConnector._wrap_create_connection``); none is touched here.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError, ProxyType

from tutuclient.transport.connection import Connector
from tutuclient.transport.exceptions import SocksError

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from tutuclient.settings import Proxy

_TYPES: Final = {"socks4": ProxyType.SOCKS4, "socks5": ProxyType.SOCKS5}


class SocksConnector(ProxyConnector):
    """A connector that reaches everything through a SOCKS proxy.

    As curl and requests have it, the proxy looks up names for ``socks5h`` and ``socks4a``; for ``socks5`` and
    ``socks4`` this machine does.

    Args:
        proxy: The proxy.
        options: Those of aiohttp's ``TCPConnector``.
    """

    def __init__(self, proxy: Proxy, **options: Any) -> None:
        remote = proxy.scheme[-1] in "ah"
        user, password = proxy.login or (None, None)
        super().__init__(
            proxy.host,
            proxy.port,
            _TYPES[proxy.scheme[:6]],
            user and str.__str__(user),
            password and str.__str__(password),
            rdns=remote,
            **options,
        )

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Return a connection.

        Raises:
            SocksError: The proxy cannot be reached, or does not connect.
            aiohttp.ClientConnectorError: TLS with the other side failed.
        """
        try:
            return await super().connect(req, traces, timeout)
        except (aiohttp.ClientError, TimeoutError):
            raise
        except ssl.CertificateError as error:
            raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
        except ssl.SSLError as error:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
        except ProxyTimeoutError as error:  # After a minute, where nobody has set a limit.
            raise TimeoutError(str(error)) from error
        except EOFError as error:  # asyncio's IncompleteReadError, which the package does not translate.
            raise SocksError("it closed the connection before its answer was whole") from error
        except (ProxyError, ProxyConnectionError, OSError, UnicodeDecodeError) as error:
            raise SocksError(str(error)) from error


class GuardedSocksConnector(Connector, SocksConnector):
    """The same, with all that ``Connector`` guards: what it connects is a stream of bytes like any other."""
