"""Real servers: browsers that leave are seen by the relay, those that stay are answered, and no log has a traceback."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived

from tests.integrations.web.leaving import KINDS, Waits, app_server, scene, tracebacks
from tutuclient.testing import says

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.testing import Server

pytestmark = pytest.mark.slow
app = contextmanager(app_server)


@pytest.mark.parametrize(("kind", "endpoint"), KINDS)
async def test_leavers_are_seen_and_the_others_are_answered(
    server: Server, tmp_path: Path, kind: str, endpoint: str
) -> None:
    log = tmp_path / "log"
    with app(kind, server, log) as origin:
        await scene(server, origin, endpoint, 10)
    assert tracebacks(log) == []


@pytest.mark.parametrize(
    ("kind", "endpoint"), [("uvicorn", "fastapi-json"), ("hypercorn", "fastapi-json"), ("aiohttp", "aiohttp-json")]
)
async def test_a_body_that_comes_slowly_is_whole(server: Server, tmp_path: Path, kind: str, endpoint: str) -> None:
    async def slowly() -> object:
        for number in range(5):
            yield b"%d" % number
            await asyncio.sleep(0.02)

    server.answers(*[says("hi", delay=0.05)] * 3)
    with app(kind, server, tmp_path / "log") as origin:
        async with httpx.AsyncClient(base_url=origin) as http:
            for _ in range(3):  # on one connection, kept alive
                answer = await http.post(f"/{endpoint}?q=x", content=slowly())
                assert answer.json() == {"text": "hi", "body": "01234"}
    assert tracebacks(tmp_path / "log") == []


class Http2:
    """A browser that speaks HTTP/2; httpx does not reset the streams that it leaves."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._connection = H2Connection(H2Configuration())
        self._connection.initiate_connection()

    def ask(self, path: str) -> int:
        stream = self._connection.get_next_available_stream_id()
        headers = [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", "localhost")]
        self._connection.send_headers(stream, headers, end_stream=True)
        self._send()
        return int(stream)

    def leave(self, stream: int) -> None:
        self._connection.reset_stream(stream)
        self._send()

    async def read(self, stream: int) -> bytes:
        """Return the first piece of an answer."""
        while True:
            for event in self._connection.receive_data(await self._reader.read(2**16)):
                if isinstance(event, DataReceived) and event.stream_id == stream:
                    return event.data
            self._send()

    def _send(self) -> None:
        self._writer.write(self._connection.data_to_send())


async def test_a_stream_of_http2_is_left_and_its_connection_stays(server: Server, tmp_path: Path) -> None:
    server.answers(Waits(), Waits(), says("hi"))
    with app("hypercorn", server, tmp_path / "log") as origin:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(origin.rpartition(":")[2]))
        browser = Http2(reader, writer)
        one = browser.ask("/fastapi-json?q=one")
        await server.wait_requests(1)
        browser.leave(one)
        await server.wait_closed(0)
        two = browser.ask("/starlette-stream?q=two")
        assert b"token0" in await browser.read(two)
        browser.leave(two)
        await server.wait_closed(1)
        three = browser.ask("/fastapi-json?q=three")
        assert b'"hi"' in await browser.read(three)
        writer.close()
    assert tracebacks(tmp_path / "log") == []
