"""Programs that watch aiohttp, each the real one: a client on the fast path would pass them by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp

from tests.conftest import KEY
from tutuclient import TutuClient, user
from tutuclient.testing import chunk, says, streams

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tutuclient.testing import Server

MESSAGES = [user("hi")]


async def ask(client: TutuClient) -> str:
    return (await client.chat.completions.create(model="m", messages=MESSAGES)).text


async def test_opentelemetry_sees_a_span_for_each_call_and_sends_its_header(server: Server) -> None:
    from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415

    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    watcher = AioHttpClientInstrumentor()
    watcher.instrument(tracer_provider=provider)
    try:
        async with TutuClient(KEY, server.base_url) as client:
            for _ in range(7):
                await ask(client)
            server.answers(streams([chunk("a"), chunk(finish_reason="stop")]))
            async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
                assert (await stream.completion()).text == "a"
    finally:
        watcher.uninstrument()
        provider.shutdown()
    assert len(spans.get_finished_spans()) == 8
    assert len({seen.headers["traceparent"] for seen in server.requests}) == 8


async def test_vcrpy_records_each_call_and_plays_it_again(server: Server, tmp_path: Path) -> None:
    import vcr  # noqa: PLC0415

    recorder = vcr.VCR(record_mode="once", match_on=["method", "uri"])
    cassette = str(tmp_path / "calls.yaml")
    server.answers(says("one"), says("two"), says("three"))
    for _ in range(2):
        with recorder.use_cassette(cassette, allow_playback_repeats=False) as tape:
            async with TutuClient(KEY, server.base_url, max_retries=0) as client:
                assert [await ask(client) for _ in range(3)] == ["one", "two", "three"]
        assert len(tape) == 3
    assert len(server.requests) == 3


async def test_a_watcher_may_come_and_go_while_the_client_is_in_use(
    server: Server, client: TutuClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    inner: Any = vars(aiohttp.ClientSession)["_request"]

    async def request(self: aiohttp.ClientSession, method: str, url: Any, **options: Any) -> Any:
        seen.append(method)
        return await inner(self, method, url, **options)

    await ask(client)
    with monkeypatch.context() as patch:
        patch.setattr(aiohttp.ClientSession, "_request", request)
        await ask(client)
        await ask(client)
    await ask(client)
    assert seen == ["POST", "POST"]
    assert len({each.connection for each in server.requests}) == 1
