"""Traces and metrics as an exporter gets them: OpenTelemetry's SDK in memory, and OTLP over HTTP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import contextvars
import gc
import hashlib
import importlib
import importlib.metadata
import json
import logging
import os
import pickle
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from opentelemetry import context, trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import tutuclient
from tests.conftest import KEY, QUICK
from tests.images import png
from tutuclient import (
    AuthenticationError,
    BadRequestError,
    IncompleteStreamError,
    RateLimitError,
    Relay,
    TutuClient,
    TutuError,
    image,
    user,
)
from tutuclient.integrations import genai, otel
from tutuclient.integrations.otel import Tracing, TutuclientInstrumentor, instrument, traced, uninstrument
from tutuclient.testing import chunk, fails, says, sends, serve, streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from tutuclient.testing import Server

PROMPT = "the-words-of-the-prompt"
ASKED: dict[str, Any] = {"model": "gpt-4o", "messages": [user(PROMPT)]}
USED = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
WORDS: list[Any] = [
    chunk("a"),
    chunk("b", finish_reason="stop"),
    {"id": "c1", "model": "gpt-4o-1", "choices": [], "usage": USED},
]
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
LATEST = ("OTEL_SEMCONV_STABILITY_OPT_IN", "http,gen_ai_latest_experimental")


class Seen:
    """What was exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])

    @property
    def keywords(self) -> Any:
        return traced(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        spans: tuple[ReadableSpan, ...] = self.exporter.get_finished_spans()
        return spans

    @property
    def calls(self) -> list[ReadableSpan]:
        return [span for span in self.spans if "tutuclient.end" in (span.attributes or {})]

    @property
    def attempts(self) -> list[ReadableSpan]:
        return [span for span in self.spans if "url.full" in (span.attributes or {}) and span not in self.calls]

    @property
    def metrics(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        found = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return {metric.name: list(metric.data.data_points) for metric in found}

    def shutdown(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()


@pytest.fixture
def seen() -> Iterator[Seen]:
    seen = Seen()
    yield seen
    seen.shutdown()


@pytest.fixture(autouse=True)
def _nothing_is_left_current(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    before = context.get_current()
    yield
    assert context.get_current() == before
    # "Failed to detach context", with a traceback, is what async generators are known for.
    assert [record for record in caplog.get_records("call") if record.name.startswith("opentelemetry")] == []


@pytest.fixture
async def client(server: Server, seen: Seen) -> AsyncIterator[TutuClient]:
    async with TutuClient(KEY, server.base_url, retry=QUICK, **seen.keywords) as client:
        yield client


def of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def below(span: ReadableSpan) -> int:
    assert span.parent is not None
    return int(span.parent.span_id)


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110  (what happens is the relay's)
        await asyncio.sleep(0.005)


# --- spans -----------------------------------------------------------------------------------------------------------


async def test_a_call_has_a_span_and_each_attempt_one_below_it(server: Server, client: TutuClient, seen: Seen) -> None:
    server.answers(fails(503, "busy"), says("hello", usage=USED))
    await client.chat.completions.create(**ASKED, temperature=0.5, max_tokens=9, seed=3, stop=["."], n=1)
    [call], [first, second] = seen.calls, seen.attempts
    assert (call.name, call.kind, call.status.status_code) == ("chat gpt-4o", SpanKind.CLIENT, StatusCode.UNSET)
    attributes = of(call)
    assert attributes.pop("gen_ai.response.id").startswith("chatcmpl-")
    assert attributes.pop("tutuclient.request_id")
    attributes.pop("tutuclient.waited_s", None)
    assert attributes.pop("openai.response.system_fingerprint", "") is not None
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 3,
        "gen_ai.request.stop_sequences": (".",),
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "server.address": "127.0.0.1",
        "server.port": urlsplit(server.base_url).port,
        "tutuclient.attempts": 2,
        "tutuclient.call": "POST /chat/completions",
        "tutuclient.end": "answered",
    }
    assert [below(first), below(second)] == [call.context.span_id] * 2
    assert [each.name for each in (first, second)] == ["POST /chat/completions"] * 2
    assert [each.kind for each in (first, second)] == [SpanKind.CLIENT] * 2
    failed, good = of(first), of(second)
    assert failed["url.full"] == f"{server.base_url}/chat/completions"
    assert (failed["http.response.status_code"], failed["error.type"], failed["tutuclient.outcome"]) == (
        503,
        "503",
        "rejected",
    )
    assert first.status.status_code is StatusCode.ERROR
    assert (good["http.response.status_code"], good["http.request.resend_count"]) == (200, 1)
    assert "error.type" not in good
    assert call.start_time <= first.start_time
    assert second.end_time <= call.end_time
    assert call.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.41.1"


async def test_the_span_of_an_attempt_is_named_in_its_headers(server: Server, client: TutuClient, seen: Seen) -> None:
    tracer = seen.tracers.get_tracer("app")
    server.answers(fails(503, "busy"), says("hello"))
    with tracer.start_as_current_span("page") as page:
        await client.chat.completions.create(**ASKED)
        assert trace.get_current_span() is page
    sent = [request.headers["traceparent"] for request in server.requests]
    trace_id = f"{page.get_span_context().trace_id:032x}"
    assert [header.rpartition("-")[0] for header in sent] == [
        f"00-{trace_id}-{each.context.span_id:016x}" for each in seen.attempts
    ]
    assert below(seen.calls[0]) == page.get_span_context().span_id
    assert {request.headers["Authorization"] for request in server.requests} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("leave", "end"),
    [("read", "answered"), ("break", "closed"), ("aclose", "closed"), ("cancel", "cancelled"), ("lose", "dropped")],
)
async def test_the_span_of_a_stream_ends_once_and_without_an_error(
    server: Server, client: TutuClient, seen: Seen, leave: str, end: str
) -> None:
    server.answers(
        streams(
            WORDS if leave == "read" else [chunk("a")], done=leave == "read", then="end" if leave == "read" else "hang"
        )
    )
    stream = await client.chat.completions.create(**ASKED, stream=True)
    assert seen.spans == ()
    if leave == "read":
        await stream.completion()
    elif leave == "break":
        async for _ in stream:
            break
    elif leave == "aclose":
        await stream.aclose()
    elif leave == "cancel":
        reading = asyncio.create_task(stream.completion())
        await until(lambda: stream._reading._is_waiting)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    else:
        with pytest.warns(ResourceWarning, match="dropped"):
            del stream
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    [call], [attempt] = seen.calls, seen.attempts
    assert call.end_time >= attempt.end_time
    assert of(call)["tutuclient.end"] == end
    assert (call.status.status_code, attempt.status.status_code) == (StatusCode.UNSET, StatusCode.UNSET)
    assert of(call)["gen_ai.request.stream"] is True
    assert of(call)["gen_ai.response.time_to_first_chunk"] > 0
    if leave == "read":
        assert (of(call)["gen_ai.usage.input_tokens"], of(call)["gen_ai.response.finish_reasons"]) == (7, ("stop",))


async def test_a_stream_that_is_lost_is_told_by_the_loop_and_not_amid_whatever_runs(
    server: Server, client: TutuClient, seen: Seen
) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    stream = await client.chat.completions.create(**ASKED, stream=True)
    with pytest.warns(ResourceWarning, match="dropped"):
        del stream
    assert seen.spans == ()  # A processor may hold a lock of its own just then.
    await asyncio.sleep(0)
    assert len(seen.calls) == 1


async def test_errors_mark_both_spans_and_say_nothing_of_what_was_sent(
    server: Server, client: TutuClient, seen: Seen
) -> None:
    server.answers(fails(401, f"bad key {KEY} for {PROMPT}"), streams([chunk("a")], done=False, then="fin"))
    with pytest.raises(AuthenticationError):
        await client.chat.completions.create(**ASKED)
    with pytest.raises(IncompleteStreamError):
        await (await client.chat.completions.create(**ASKED, stream=True)).completion()
    with pytest.raises(TutuError):
        await TutuClient(KEY, "http://127.0.0.1:9", max_retries=0, **seen.keywords).models.list()
    assert [of(span)["error.type"] for span in seen.calls] == [
        "AuthenticationError",
        "IncompleteStreamError",
        "APIConnectionError",
    ]
    assert [of(span)["error.type"] for span in seen.attempts] == ["401", "IncompleteStreamError", "APIConnectionError"]
    assert {span.status.status_code for span in seen.spans} == {StatusCode.ERROR}
    exported = "".join(span.to_json() for span in seen.spans)
    assert KEY not in exported
    assert PROMPT not in exported
    assert not any(span.events for span in seen.spans)


async def test_a_cancelled_call_is_no_error(server: Server, client: TutuClient, seen: Seen) -> None:
    server.answers(says("late", delay=30))
    call = asyncio.create_task(client.chat.completions.create(**ASKED))
    await until(lambda: bool(server.requests))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert [of(span).get("tutuclient.end") for span in seen.spans] == [None, "cancelled"]
    assert of(seen.calls[0])["tutuclient.outcome"] == "unknown"
    assert {span.status.status_code for span in seen.spans} == {StatusCode.UNSET}
    assert "error.type" not in seen.metrics["gen_ai.client.operation.duration"][0].attributes


async def test_other_endpoints_have_names_too(server: Server, client: TutuClient, seen: Seen) -> None:
    server.answers(sends({"text": "words"}))
    wav = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\x08\0\0\0" + bytes(8)
    await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav))
    await client.embeddings.create(model="e", input="x", dimensions=8)
    await client.completions.create(model="t", prompt="x")
    await client.images.generate(model="i", prompt="x", n=2)
    await client.images.edit(model="i", prompt="x", image=png())
    await client.audio.speech.create(model="s", input="x", voice="alloy")
    await client.models.list()
    await client.models.retrieve("gpt-4o")
    assert [span.name for span in seen.calls] == [
        "generate_content whisper-1",
        "embeddings e",
        "text_completion t",
        "generate_content i",
        "generate_content i",
        "generate_content s",
        "GET /models",
        "GET",
    ]
    outputs = [of(span).get("gen_ai.output.type") for span in seen.calls]
    assert outputs == ["text", None, "text", "image", "image", "speech", None, None]
    assert of(seen.calls[1])["gen_ai.embeddings.dimension.count"] == 8
    assert of(seen.calls[3])["gen_ai.request.choice.count"] == 2
    assert of(seen.calls[6]).keys() >= {"http.request.method", "server.address"}
    assert not any(name.startswith("gen_ai") for name in of(seen.calls[6]))
    assert [span.name for span in seen.attempts][-1] == "GET"


async def test_rounds_of_tools_and_items_of_a_run_are_calls_below_the_span_that_was_current(
    server: Server, client: TutuClient, seen: Seen
) -> None:
    tracer = seen.tracers.get_tracer("app")
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}

    def add(a: int) -> int:
        """Add one."""
        return a + 1

    server.answers(
        streams([chunk(tool_calls=[{"index": 0, **call}]), chunk(finish_reason="tool_calls")]), streams(WORDS)
    )
    with tracer.start_as_current_span("page") as page:
        async with client.chat.completions.run_tools(**ASKED, tools=[add], stream=True) as run:
            async for _ in run:
                assert trace.get_current_span() is page
        async with client.map([png(), png(b"1"), png(b"2")], "what?", model="m") as answers:
            assert [answer.error async for answer in answers] == [None] * 3
    assert len(seen.calls) == 5
    assert {below(span) for span in seen.calls} == {page.get_span_context().span_id}


async def test_aiohttps_own_instrumentation_puts_its_spans_below(server: Server, seen: Seen) -> None:
    watcher = AioHttpClientInstrumentor()
    watcher.instrument(tracer_provider=seen.tracers)
    try:
        async with TutuClient(KEY, server.base_url, **seen.keywords) as watched:
            server.answers(says("hello"), streams(WORDS))
            await watched.chat.completions.create(**ASKED)
            await (await watched.chat.completions.create(**ASKED, stream=True)).completion()
    finally:
        watcher.uninstrument()
    attempts = [span for span in seen.attempts if "aiohttp" not in span.instrumentation_scope.name]
    http = [span for span in seen.spans if "aiohttp" in span.instrumentation_scope.name]
    assert [below(span) for span in http] == [span.context.span_id for span in attempts]
    assert [request.headers["traceparent"].split("-")[2] for request in server.requests] == [
        f"{span.context.span_id:016x}" for span in http
    ]


async def test_a_coroutine_that_is_closed_in_another_context_leaves_no_traceback(server: Server, seen: Seen) -> None:
    async def key() -> str:
        await asyncio.get_running_loop().create_future()
        return KEY

    importlib.import_module("tutuclient.transport.attempts")  # Else that is the first wait.
    client = TutuClient(key, server.base_url, **seen.keywords)
    call = client.chat.completions.create(**ASKED)
    # Driven to its first wait, which is within an attempt, and closed elsewhere as a garbage collector may do it.
    contextvars.copy_context().run(call.send, None)
    contextvars.copy_context().run(call.close)
    assert [of(span).get("tutuclient.end") for span in seen.spans] == [None, "closed"]
    await client.aclose()


# --- metrics ---------------------------------------------------------------------------------------------------------


async def test_duration_tokens_and_times_of_chunks_are_measured(server: Server, client: TutuClient, seen: Seen) -> None:
    server.answers(says("hello", usage=USED), streams(WORDS, delay=0.01), fails(400, "no"))
    await client.chat.completions.create(**ASKED)
    await (await client.chat.completions.create(**ASKED, stream=True)).completion()
    with pytest.raises(TutuError):
        await client.chat.completions.create(**ASKED)
    await client.models.list()
    metrics = seen.metrics
    assert set(metrics) == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.operation.time_per_output_chunk",
    }
    assert set(metrics) <= {*re.findall(r"``([\w.]+)``", otel.__doc__ or "")}
    durations = metrics["gen_ai.client.operation.duration"]
    assert sum(point.count for point in durations) == 3
    assert [point.attributes["error.type"] for point in durations if "error.type" in point.attributes] == [
        "BadRequestError"
    ]
    assert durations[0].attributes["gen_ai.request.model"] == "gpt-4o"
    assert tuple(durations[0].explicit_bounds)[:3] == (0.01, 0.02, 0.04)
    tokens = {(point.attributes["gen_ai.token.type"], point.sum) for point in metrics["gen_ai.client.token.usage"]}
    assert {way for way, _ in tokens} == {"input", "output"}
    assert sum(point.sum for point in metrics["gen_ai.client.token.usage"]) == 24
    assert [point.count for point in metrics["gen_ai.client.operation.time_to_first_chunk"]] == [1]
    assert [point.count for point in metrics["gen_ai.client.operation.time_per_output_chunk"]] == [1]


async def test_the_latest_conventions_are_there_for_who_asks(
    server: Server, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*LATEST)
    server.answers(says("hello", usage=USED), streams([chunk("a")], done=False, then="hang"))
    async with TutuClient(KEY, server.base_url, **seen.keywords) as client:
        await client.chat.completions.create(**ASKED, reasoning_effort="low")
        async with client.chat.completions.stream(**ASKED):
            pass
        await client.embeddings.create(model="e", input="x")
    assert of(seen.calls[0])["gen_ai.request.reasoning.level"] == "low"
    assert of(seen.calls[1])["gen_ai.response.finish_reasons"] == ("error",)
    assert seen.calls[0].instrumentation_scope.schema_url == ""
    metrics = seen.metrics
    assert set(metrics) == {
        "gen_ai.client.inference.duration",
        "gen_ai.client.inference.time_to_first_chunk",
        "gen_ai.client.inference.operation.input_tokens",
        "gen_ai.client.inference.operation.output_tokens",
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
        "gen_ai.client.embeddings.duration",
        "gen_ai.client.embeddings.operation.input_tokens",
    }
    [total] = metrics["gen_ai.client.inference.usage.input_tokens"]
    assert (total.value, total.attributes["gen_ai.token.modality"]) == (7, "unknown")


# --- content ---------------------------------------------------------------------------------------------------------


async def test_content_is_recorded_only_where_the_variable_says_so(
    server: Server, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", "false", "no_content", "event_only"):
        monkeypatch.setenv(CONTENT, value)
        async with TutuClient(KEY, server.base_url, **seen.keywords) as client:
            await client.chat.completions.create(**ASKED)
    assert PROMPT not in "".join(span.to_json() for span in seen.spans)
    monkeypatch.setenv(CONTENT, "True")
    drawn, answered = png(), png(b"other")
    data = f"data:image/png;base64,{base64.b64encode(answered).decode()}"
    server.answers(says(f"![x]({data}) and {KEY}", usage=USED))
    parts = [PROMPT, image(drawn), image("https://img.example/a.png?sig=secret-of-the-query")]
    async with TutuClient(KEY, server.base_url, **seen.keywords, default_query={"token": KEY}) as client:
        await client.chat.completions.create(model="gpt-4o", messages=[user(*parts)])
    call = of(seen.calls[-1])
    [message] = json.loads(call["gen_ai.input.messages"])
    digest = hashlib.sha256(drawn).hexdigest()[:12]
    assert message == {
        "role": "user",
        "parts": [
            {"type": "text", "content": PROMPT},
            {
                "type": "blob",
                "modality": "image",
                "mime_type": "image/png",
                "content": f"<image/png {len(drawn)} B sha256:{digest}…>",
            },
            {"type": "uri", "modality": "image", "uri": "https://img.example/a.png"},
        ],
    }
    [said] = json.loads(call["gen_ai.output.messages"])
    digest = hashlib.sha256(answered).hexdigest()[:12]
    text = f"![x](<image/png {len(answered)} B sha256:{digest}…>) and ***"
    assert said == {"role": "assistant", "parts": [{"type": "text", "content": text}], "finish_reason": "stop"}
    exported = "".join(span.to_json() for span in seen.spans)
    for secret in (KEY, "secret-of-the-query", "token=", base64.b64encode(drawn).decode()[:40]):
        assert secret not in exported


async def test_a_span_ends_and_is_measured_though_its_content_cannot_be_told(
    server: Server, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise KeyError("a mistake")

    monkeypatch.setenv(CONTENT, "true")
    monkeypatch.setattr(genai, "content_attributes", fail)
    async with TutuClient(KEY, server.base_url, **seen.keywords) as client:
        await client.chat.completions.create(**ASKED)
    [call] = seen.calls
    assert of(call)["tutuclient.end"] == "answered"
    assert call.end_time is not None
    assert len(seen.metrics["gen_ai.client.operation.duration"]) == 1


async def test_a_request_id_of_any_bytes_is_one_that_exporters_can_encode(seen: Seen) -> None:
    body = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
    head = b"HTTP/1.1 200 OK\r\nx-request-id: a\xffb\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    left = asyncio.Event()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head % len(body) + body)
        await reader.read()
        writer.close()
        left.set()

    listener = await asyncio.start_server(relay, "127.0.0.1", 0)
    place = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    async with listener:
        async with TutuClient(KEY, place, **seen.keywords) as client:
            await client.chat.completions.create(**ASKED)
        await left.wait()
    assert [of(span)["tutuclient.request_id"] for span in seen.spans] == ["a\\udcffb"] * 2


async def test_a_value_that_is_not_known_records_nothing_and_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(CONTENT, "yes please")
    assert Tracing().content is False
    assert caplog.messages == [f'{CONTENT}="yes please" is not known: write true or false; no content is recorded']


# --- all clients -----------------------------------------------------------------------------------------------------


async def test_one_call_traces_all_clients_and_another_undoes_it(server: Server, seen: Seen) -> None:
    instrument(tracer_provider=seen.tracers, meter_provider=seen.meters)
    instrument(tracer_provider=seen.tracers, meter_provider=seen.meters)
    try:
        kinds: tuple[Any, ...] = ({}, seen.keywords)
        for keywords in kinds:
            async with TutuClient(KEY, server.base_url, **keywords) as client:
                await client.chat.completions.create(**ASKED)
    finally:
        uninstrument()
    async with TutuClient(KEY, server.base_url) as client:
        await client.chat.completions.create(**ASKED)
    assert len(seen.calls) == 2
    assert "traceparent" not in server.requests[-1].headers


async def test_opentelemetry_instrument_finds_it_by_its_entry_point(server: Server, seen: Seen) -> None:
    assert TutuclientInstrumentor.__name__ in (Path(tutuclient.__file__).parents[1] / "pyproject.toml").read_text()
    name = f"{TutuclientInstrumentor.__module__}:{TutuclientInstrumentor.__name__}"
    found = importlib.metadata.EntryPoint("tutuclient", name, "opentelemetry_instrumentor").load()()
    found.instrument(tracer_provider=seen.tracers, meter_provider=seen.meters, skip_dep_check=True)
    try:
        async with TutuClient(KEY, server.base_url) as client:
            await client.models.list()
    finally:
        found.uninstrument()
    assert len(seen.calls) == 1


async def test_without_an_sdk_a_traced_client_works_and_sends_no_header(server: Server) -> None:
    async with TutuClient(KEY, server.base_url, **traced()) as client:
        await client.chat.completions.create(**ASKED)
    assert "traceparent" not in server.requests[-1].headers


def test_a_traced_client_can_be_pickled(seen: Seen) -> None:
    client = TutuClient(KEY, **seen.keywords)
    [tracing] = pickle.loads(pickle.dumps(client))._settings.observers  # noqa: S301  (our own)
    assert isinstance(tracing, Tracing)
    assert traced(observers=[print])["observers"][0] is print


def python(code: str) -> str:
    path = str(Path(tutuclient.__file__).parents[1])
    done = subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    return done.stdout + done.stderr


def test_nothing_of_opentelemetry_is_imported_when_unused() -> None:
    code = "import sys, tutuclient\ntutuclient.TutuClient('k')\nprint([n for n in sys.modules if 'opentelemetry' in n])"
    assert python(code) == "[]\n"


def test_a_missing_extra_says_what_to_install() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None\nimport tutuclient.integrations.otel"
    assert "ImportError: traces need OpenTelemetry's API: pip install 'tutuclient[otel]'" in python(code)


# --- over the wire ---------------------------------------------------------------------------------------------------


class _Receiver(BaseHTTPRequestHandler):
    """An OTLP receiver: keeps what is posted, by path."""

    received: dict[str, list[bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.setdefault(self.path, []).append(body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


async def test_a_key_that_the_relay_echoes_is_in_no_name_of_an_answer(
    client: TutuClient, server: Server, seen: Seen
) -> None:
    server.answers(says("x", id=f"chatcmpl-{KEY}", model=f"m ({KEY})", finish_reason=KEY, system_fingerprint=KEY))
    await client.chat.completions.create(model="m", messages=[user("hi")])
    [span] = seen.calls
    assert of(span)["gen_ai.response.model"] == "m (***)"
    assert of(span)["gen_ai.response.finish_reasons"] == ("***",)
    assert KEY not in str(of(span))
    assert KEY not in str(seen.reader.get_metrics_data())


@pytest.fixture
def receiver() -> Iterator[tuple[str, dict[str, list[bytes]]]]:
    kept: dict[str, list[bytes]] = {}
    with HTTPServer(("127.0.0.1", 0), type("Receiver", (_Receiver,), {"received": kept})) as listening:
        thread = Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", kept
        listening.shutdown()
        thread.join()


async def test_spans_and_metrics_arrive_over_otlp(server: Server, receiver: tuple[str, dict[str, list[bytes]]]) -> None:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415
        ExportMetricsServiceRequest,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    url, kept = receiver
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"), 3_600_000)])
    server.answers(fails(429, "slow down"), streams(WORDS))
    keywords = traced(tracer_provider=tracers, meter_provider=meters)
    async with TutuClient(KEY, server.base_url, retry=QUICK, **keywords) as client:
        await (await client.chat.completions.create(**ASKED, stream=True)).completion()
    await asyncio.to_thread(tracers.shutdown)
    await asyncio.to_thread(meters.shutdown)
    spans = [
        span
        for body in kept["/v1/traces"]
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert [span.name for span in spans] == ["POST /chat/completions", "POST /chat/completions", "chat gpt-4o"]
    metrics = {
        metric.name
        for body in kept["/v1/metrics"]
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"} <= metrics


async def test_the_log_is_written_within_the_span(client: TutuClient, caplog: pytest.LogCaptureFixture) -> None:
    current: list[bool] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            del record
            current.append(trace.get_current_span().get_span_context().is_valid)

    handler = Handler()
    logging.getLogger("tutuclient").addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, "tutuclient"):
            await client.chat.completions.create(**ASKED)
    finally:
        logging.getLogger("tutuclient").removeHandler(handler)
    assert current == [True]


async def test_a_call_that_was_refused_is_measured_once(server: Server, seen: Seen) -> None:
    server.answers(fails(429, "no"))
    async with TutuClient(KEY, server.base_url, max_retries=0, **seen.keywords) as client:
        with pytest.raises(RateLimitError):
            await client.chat.completions.create(**ASKED)
    [point] = seen.metrics["gen_ai.client.operation.duration"]
    assert (point.count, point.attributes["error.type"]) == (1, "RateLimitError")


# --- several relays ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ends", ["answered", "failed"])
async def test_each_attempt_is_at_its_own_relay_and_the_call_at_the_one_it_came_to(
    seen: Seen, server: Server, stream: bool, ends: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "tutuclient")
    async with serve() as other:
        server.answers(fails(503, "busy"))
        if ends == "failed":
            other.answers(fails(400, "no"))
        relays = [
            Relay(server.base_url.replace("127.0.0.1", "localhost"), f"{KEY}-a", name="a"),
            Relay(other.base_url, f"{KEY}-b", name="b"),
        ]
        async with TutuClient(relays=relays, retry=QUICK, **seen.keywords) as client:
            with contextlib.suppress(BadRequestError):
                answer: Any = await client.chat.completions.create(**ASKED, stream=stream)
                if stream:
                    await answer.completion()
        ports = [urlsplit(each.origin).port for each in (server, other)]
    first, second = (span.attributes or {} for span in seen.attempts)
    [call] = [span.attributes or {} for span in seen.calls]
    assert [each["server.port"] for each in (first, second, call)] == [*ports, ports[1]]
    assert [each["server.address"] for each in (first, second, call)] == ["localhost", "127.0.0.1", "127.0.0.1"]
    assert [each["tutuclient.relay"] for each in (first, second, call)] == ["a", "b", "b"]
    assert (call["tutuclient.end"], call["tutuclient.attempts"]) == (ends, 2)
    [measured] = seen.metrics["gen_ai.client.operation.duration"]
    assert (measured.attributes["server.port"], measured.count) == (ports[1], 1)
    told = [line for line in caplog.messages if " relay=" in line]
    assert [line.partition(" relay=")[2].partition(" ")[0] for line in told] == ["a", "b", "b"]
    assert KEY not in str([span.attributes for span in seen.spans]) + caplog.text
