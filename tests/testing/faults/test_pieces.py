import asyncio
import zlib

import pytest

from tests.testing.faults.wire import line, meet, payload
from tutuclient.testing import Server


@pytest.mark.parametrize("name", ["endless_headers", "endless_body", "endless_line", "event_without_end", "flood"])
async def test_goes_on_for_as_long_as_someone_reads(server: Server, name: str) -> None:
    data, end = await meet(server, name)
    assert len(data) >= 2**22
    assert end == "open"
    assert (await server.wait_closed(timeout=10)).aborted


@pytest.mark.parametrize("name", ["endless_body", "endless_line", "event_without_end", "flood"])
async def test_ends_an_endless_answer_after_all(server: Server, name: str) -> None:
    data, _ = await meet(server, name, size=100_000)
    assert 100_000 < len(data) < 300_000


async def test_waits_for_a_slow_reader(server: Server) -> None:
    server.faults("endless_body")
    async with line(server.base_url) as wire:
        wire.ask()
        await asyncio.sleep(0.2)
        transport = next(iter(server._connections.values()))[1]
        assert transport.get_write_buffer_size() < 2**20


@pytest.mark.parametrize("name", ["gzip_bomb", "stream_gzip_bomb"])
async def test_sends_a_bomb_of_a_thousandth_of_its_size(server: Server, name: str) -> None:
    data, end = await meet(server, name, size=20_000_000)
    assert len(data) < 60_000
    assert len(zlib.decompress(payload(data), wbits=31)) >= 20_000_000
    assert end == "open"


@pytest.mark.parametrize("name", ["no_answer", "stalled_body", "stalled_stream", "bad_chunk_size", "silent_stream"])
async def test_silence_ends_when_asked(server: Server, name: str) -> None:
    _, end = await meet(server, name, seconds=0.01)
    server.faults(name, seconds=0.05)
    async with line(server.base_url) as wire:
        wire.ask()
        assert (await wire.read(seconds=10))[1] == "fin"
    assert end == "open"
