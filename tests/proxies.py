"""Proxies on loopback: one that speaks HTTP, one that speaks SOCKS. They keep what they were told."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from typing import Self


class _Proxy:
    """A server on a free port of loopback, whose connections end with it.

    Attributes:
        port: Its port.
        targets: Host and port of each connection it was asked for, as text.
        leads_to: Where it connects in place of what it is asked for, so that names need not exist.
    """

    def __init__(self, *, leads_to: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.targets: list[str] = []
        self.leads_to = leads_to
        self._tls = tls
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A cancellation too: until Python 3.12, asyncio logs one that a handler does not catch.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self.serve(reader, writer)
        writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        raise NotImplementedError

    async def reach(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to where a client wants to go."""
        self.targets.append(f"{host}:{port}")
        if self.leads_to:
            host, _, text = self.leads_to.rpartition("://")[2].partition("/")[0].rpartition(":")
            port = int(text)
        return await asyncio.open_connection(host, port)

    async def pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: asyncio.StreamReader,
        there: asyncio.StreamWriter,
    ) -> None:
        """Pass bytes both ways until both ends are closed."""
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._pump(reader, there), self._pump(upstream, writer))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(2**16):
                sink.write(piece)
                await sink.drain()
        finally:
            sink.close()


class HttpProxy(_Proxy):
    """A proxy that knows CONNECT and the absolute form.

    Attributes:
        heads: The head of the first request of each connection.
        says: What it answers to everything, in place of its work.
    """

    def __init__(self, *, says: bytes = b"", leads_to: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(leads_to=leads_to, tls=tls)
        self.heads: list[str] = []
        self.says = says

    @property
    def url(self) -> str:
        """Its address, with a login."""
        return f"http{'s' if self._tls else ''}://proxyuser:proxypw@127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if self.says:
            writer.write(self.says)
            return
        method, target, _ = head.split(" ", 2)
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            upstream, there = await self.reach(host.strip("[]"), int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            place = target.removeprefix("http://").partition("/")[0]
            host, _, port = place.rpartition(":") if ":" in place else (place, "", "80")
            upstream, there = await self.reach(host, int(port))
            there.write(head.replace(f"http://{place}", "", 1).encode())
        await self.pass_on(reader, writer, upstream, there)


class SocksProxy(_Proxy):
    """A proxy that knows SOCKS 4, 4a and 5, with a login or without.

    Attributes:
        login: User name and password that it wants, or None.
        logins: Those that it was told.
        kinds: "name" or "address" for each connection, by how it was asked for.
        refuses: The code of its refusal, or 0.
    """

    def __init__(self, *, login: tuple[str, str] | None = None, refuses: int = 0, leads_to: str = "") -> None:
        super().__init__(leads_to=leads_to)
        self.login = login
        self.logins: list[tuple[str, str]] = []
        self.kinds: list[str] = []
        self.refuses = refuses

    def url(self, scheme: str, login: str = "") -> str:
        """Return its address."""
        return f"{scheme}://{login}{'@' if login else ''}127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        version = (await reader.readexactly(1))[0]
        host, port = await (self._ask4(reader) if version == 4 else self._ask5(reader, writer))
        if not host:
            return
        if self.refuses:
            writer.write(
                bytes((0, self.refuses)) + bytes(6) if version == 4 else bytes((5, self.refuses, 0, 1)) + bytes(6)
            )
            return
        upstream, there = await self.reach(host, port)
        writer.write(bytes((0, 0x5A)) + bytes(6) if version == 4 else bytes((5, 0, 0, 1)) + bytes(6))
        await self.pass_on(reader, writer, upstream, there)

    async def _ask4(self, reader: asyncio.StreamReader) -> tuple[str, int]:
        _, port, address = struct.unpack("!BH4s", await reader.readexactly(7))
        await reader.readuntil(b"\0")
        named = address[:3] == bytes(3)
        self.kinds.append("name" if named else "address")
        return ((await reader.readuntil(b"\0"))[:-1].decode() if named else socket.inet_ntoa(address)), port

    async def _ask5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        offered = await reader.readexactly((await reader.readexactly(1))[0])
        wanted = 0 if self.login is None else 2
        writer.write(bytes((5, wanted if wanted in offered else 0xFF)))
        if wanted == 2:
            if 2 not in offered:
                return "", 0
            await reader.readexactly(1)
            told = [(await reader.readexactly((await reader.readexactly(1))[0])).decode() for _ in range(2)]
            self.logins.append((told[0], told[1]))
            writer.write(bytes((1, 0 if self.logins[-1] == self.login else 1)))
        kind = (await reader.readexactly(4))[3]
        self.kinds.append("name" if kind == 3 else "address")
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        return host, int.from_bytes(await reader.readexactly(2))
