"""Faults of connecting: they need no HTTP, and are played by ``raw_server``."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator
from typing import Self

from tutuclient.testing.exchange import reset
from tutuclient.testing.faults.registry import FAULTS, Fault, known


class RawServer:
    """A server that listens (or does not) and speaks no HTTP; ``raw_server`` creates one.

    Attributes:
        connections: How many connections were accepted so far.
    """

    def __init__(self, name: str, ssl_context: ssl.SSLContext | None = None) -> None:
        self.connections: int = 0
        self.base_url: str = ""
        self._name = name
        self._tls = ssl_context
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fillers: list[socket.socket] = []

    async def __aenter__(self) -> Self:
        if self._name == "dns_failure":
            self.base_url = "http://relay.invalid/v1"  # RFC 6761 promises that it never resolves.
            return self
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0 if self._name == "syn_unanswered" else 128)
        port = self._listener.getsockname()[1]
        scheme = "https" if self._name.startswith("tls_") else "http"
        self.base_url = f"{scheme}://127.0.0.1:{port}/v1"
        self._server: asyncio.Server | None = None
        if self._name == "refused":
            self._listener.close()  # Its port was free a moment ago, so nobody else listens there.
        elif self._name == "syn_unanswered":
            await self._fill(port)
        else:
            self._server = await asyncio.start_server(self._accepted, sock=self._listener, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._name == "dns_failure":
            return
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        for filler in self._fillers:
            filler.close()
        self._listener.close()
        # ``Server.wait_closed`` waits for no handlers in Python 3.11, and a task that is left warns when its loop
        # closes.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # The transports' sockets close one turn of the loop after them.

    async def _fill(self, port: int) -> None:
        """Fill the queue of connections nobody accepts, so that the kernel leaves further SYNs unanswered.

        Linux drops a SYN while the accept queue is full (net.ipv4.tcp_abort_on_overflow is 0), and a backlog of 0 still
        queues one or two: listen(2), tcp(7).
        """
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            # Without waiting: the last of them are never accepted, and a connect that waits would hang.
            filler.connect_ex(("127.0.0.1", port))
            self._fillers.append(filler)
        await asyncio.sleep(0.01)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(ConnectionError):
            match self._name:
                case "accept_reset":
                    reset(writer.transport)
                case "accept_garbage" | "tls_garbage":
                    writer.write(b"\x00\xff\x13\x37 welcome to nowhere\r\n")
                    await writer.drain()
                # After the first byte of the handshake, or the client might see the answer before it has sent anything.
                case "tls_plain_http":
                    await reader.read(1)
                    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    await writer.drain()
                case "tls_reset":
                    await reader.read(1)
                    reset(writer.transport)
                case "accept_silent" | "tls_stall" | "tls_self_signed":
                    while await reader.read(2**16):
                        pass
                case _:  # "accept_close" sends nothing.
                    pass
        self._open.discard(writer)
        writer.close()


_CONNECTING = {
    "refused": "Nobody listens: RST to the SYN.",
    "dns_failure": "The host is ``relay.invalid``, which has no address.",
    "syn_unanswered": "The SYN gets no answer, because the queue of connections is full (Linux).",
    "accept_close": "Accepted, and FIN at once.",
    "accept_reset": "Accepted, and RST at once.",
    "accept_silent": "Accepted, whatever is sent is read, and nothing is ever sent.",
    "accept_garbage": "Accepted, greeted with bytes that are not HTTP, FIN.",
    "tls_stall": "An https address where the handshake is never answered.",
    "tls_reset": "An https address where the handshake's first bytes meet RST.",
    "tls_plain_http": "An https address where the server speaks plain HTTP.",
    "tls_self_signed": "An https address with a certificate of an unknown authority; who goes on gets no answer.",
    "tls_garbage": "An https address where the handshake is answered with garbage, FIN.",
}
for _name, _description in _CONNECTING.items():
    FAULTS[_name] = Fault(_name, "connecting", _description)


@contextlib.asynccontextmanager
async def raw_server(name: str, ssl_context: ssl.SSLContext | None = None) -> AsyncGenerator[RawServer, None]:
    """Run a server that fails at connecting, in the running event loop until the block ends.

    Args:
        name: A fault of the group "connecting".
        ssl_context: What ``tls_self_signed`` shows its certificate with, which the client must not trust; the other
            faults have no use for it. None has trustme issue one.

    Raises:
        ValueError: There is no such fault, ``server.faults`` plays it, or it needs ``ssl_context``, as trustme is not
            installed.
    """
    if known(name, {}).group != "connecting":
        raise ValueError(f"the fault {name!r} needs a request first: queue it with server.faults({name!r})")
    tls = None if name != "tls_self_signed" else ssl_context or _untrusted_context()
    async with RawServer(name, tls) as server:
        yield server


def _untrusted_context() -> ssl.SSLContext:
    """Return a context with a certificate of an authority that nobody knows."""
    try:
        import trustme  # noqa: PLC0415  (it need not be installed, and only this fault uses it)
    except ImportError as error:
        raise ValueError(
            "the fault 'tls_self_signed' needs a certificate: pass raw_server(…, ssl_context=…), or pip install trustme"
        ) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Its stub names pyOpenSSL's context too, which need not be installed.
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context
