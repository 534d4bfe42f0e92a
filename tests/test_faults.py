"""Every fault by name: what a caller sees of it, how often the relay was asked, and that nothing is left behind.

The tables say what must come of a fault that stays, after the fault model and the promises "truth" and "money" of
.github/DESIGN.md: the class, the outcome, the attempts, whether the relay's name for the call is known, and the text
that had come. Each is met by a question over a new connection, by one over a connection used before, and by an
order of a picture; whole and streamed.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import pytest

from tests.certificates import self_signed
from tests.conftest import KEY, QUICK
from tests.leftovers import bad_idle, closed, nothing_left, until
from tutuclient import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    FirstTokenTimeoutError,
    ImageTaskError,
    IncompleteStreamError,
    InsufficientQuotaError,
    InternalServerError,
    OutcomeUnknownError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    StreamIdleTimeoutError,
    Timeout,
    TutuClient,
    UnexpectedResponseError,
    user,
)
from tutuclient.testing import FAULTS, Exchange, RawServer, Server, chunk, raw_server, says, serve
from tutuclient.testing.answers import encode_frame
from tutuclient.testing.faults import TEXT

if TYPE_CHECKING:
    from aiohttp import web

    from tutuclient import ChatCompletion, ChatStream
    from tutuclient.errors import Outcome

# How long a fault that is silence is borne, in seconds.
SHORT = 0.1
LONG = Timeout(total=20)
MOST_BYTES = 2**20


# --- The tables ------------------------------------------------------------------------------------------------------


# Attempts of a call that the relay refused for as long as it may be refused: that costs time, not attempts.
IN_ITS_TIME = 0


class End(NamedTuple):
    """How a call ends: with ``said`` as its text, or with an error and ``said`` as the text that had come."""

    raised: type[APIError] | None = None
    outcome: Outcome | None = None
    attempts: int = 1
    has_id: bool = True
    said: str | None = None


class Met(NamedTuple):
    """How a question ends and how an order of a picture, with limits that make silence short."""

    question: End
    order: End
    limits: Timeout = LONG


def same(*end: Any, limits: Timeout = LONG) -> Met:
    return Met(End(*end), End(*end), limits)


def good(text: str = TEXT) -> Met:
    return same(None, None, 1, True, text)


def refused(cls: type[APIError], attempts: int, said: str | None = None) -> Met:
    """The relay said that it did not do it: questions and orders are asked again alike."""
    return same(cls, "rejected", attempts, True, said)


def unknown(
    cls: type[APIError], attempts: int, *, has_id: bool = True, said: str | None = None, **limits: float
) -> Met:
    """The relay may have done it: questions may be asked again, orders never."""
    one = End(OutcomeUnknownError if cls is APIConnectionError else cls, "unknown", 1, has_id, said)
    return Met(End(cls, "unknown", attempts, has_id, said), one, Timeout(**{"total": 20, **limits}))


GOOD = good()
LOST = unknown(APIConnectionError, 3, has_id=False)
BROKEN_OFF = unknown(APIConnectionError, 3)
NO_ANSWER = unknown(UnexpectedResponseError, 1)
# The head of a whole answer has come: from there on only the deadline counts.
LATE = unknown(APITimeoutError, 1, total=3 * SHORT, first_token=1.5 * SHORT)
NO_FIRST_TOKEN = unknown(FirstTokenTimeoutError, 3, first_token=SHORT)
CAME = "one two three"
CUT = unknown(IncompleteStreamError, 1, said=CAME)
ERROR_WITHIN = unknown(InternalServerError, 1, said=CAME)
NO_CHUNK = unknown(UnexpectedResponseError, 1, said=CAME)
# An error in a stream that was not asked for: a question may be asked again, since nothing of it was handed on.
ERROR_WITHIN_UNASKED = unknown(InternalServerError, 3, said=CAME)

_MANY = encode_frame(chunk("word ")) * 256
FLOOD = 2**18
# 500, 502, 503, of which the second may have been done.
BURST = Met(End(InternalServerError, "unknown", 3), End(InternalServerError, "unknown", 2))
# By its seed: 503, and two bodies that are short.
BROWNOUT = Met(End(APIConnectionError, "unknown", 3), End(OutcomeUnknownError, "unknown", 2))

# (whole, streamed), or one for both.
TABLE: dict[str, Met | tuple[Met, Met]] = {
    # Before the answer
    "no_answer": unknown(FirstTokenTimeoutError, 3, has_id=False, first_token=SHORT),
    "reset_after_request": LOST,
    "fin_after_request": LOST,
    "half_status_line": LOST,
    "half_headers": LOST,
    "garbage": LOST,
    "two_lengths": LOST,
    "bad_chunk_size": BROKEN_OFF,
    "slow_headers": unknown(APITimeoutError, 1, has_id=False, total=SHORT),
    "endless_headers": unknown(UnexpectedResponseError, 1, has_id=False),
    "huge_headers": unknown(UnexpectedResponseError, 1, has_id=False),
    "early_413": refused(PayloadTooLargeError, 1),
    # The body
    "short_body": BROKEN_OFF,
    "whole_json_but_short": BROKEN_OFF,
    "chunked_without_end": BROKEN_OFF,
    "reset_mid_body": BROKEN_OFF,
    "stalled_body": (LATE, NO_FIRST_TOKEN),
    "gzip_cut": BROKEN_OFF,
    "gzip_label_on_plain": NO_ANSWER,
    "gzip_bomb": NO_ANSWER,
    "endless_body": NO_ANSWER,
    "huge_error_body": refused(InternalServerError, 3),
    "html": NO_ANSWER,
    "sse_unasked": GOOD,
    "json_for_stream": GOOD,
    "empty_body": NO_ANSWER,
    "plain_text": NO_ANSWER,
    "json_null": NO_ANSWER,
    "json_list": NO_ANSWER,
    "json_string": NO_ANSWER,
    "broken_json": NO_ANSWER,
    "two_objects": GOOD,
    "error_behind_answer": GOOD,
    "enveloped": GOOD,
    "wrong_types": NO_ANSWER,
    "choices_missing": NO_ANSWER,
    "choices_null": NO_ANSWER,
    "choices_not_list": NO_ANSWER,
    "choices_empty": NO_ANSWER,
    "invalid_utf8": good("caf\ufffd"),
    "lone_surrogate": good("half \ufffd"),
    "number_1e999": GOOD,
    "nan": GOOD,
    "ok_with_error_object": refused(InternalServerError, 3),
    "ok_with_error_string": refused(APIStatusError, 1),
    "ok_with_code_msg": refused(APIStatusError, 1),
    "ok_with_detail": refused(APIStatusError, 1),
    "success_false": refused(APIStatusError, 1),
    "ok_with_base_resp": refused(InsufficientQuotaError, 1),
    "ok_with_error_list": refused(InternalServerError, 3),
    # A task is waited for: here the relay forgets it. A stream is not, and has its task in the error.
    "ok_with_task": (NO_ANSWER._replace(order=End(ImageTaskError, "unknown")), NO_ANSWER),
    "error_in_choice": unknown(InternalServerError, 3, said="one"),
    "empty_account": refused(InsufficientQuotaError, 1),
    "page_in_gbk": refused(PermissionDeniedError, 1),
    "deep_nesting": NO_ANSWER,
    "huge_integer": GOOD,
    # Streams
    "reset_mid_stream": (BROKEN_OFF, CUT),
    "fin_mid_stream": (BROKEN_OFF, CUT),
    "cut_in_event": (BROKEN_OFF, CUT),
    "stalled_stream": (LATE, unknown(StreamIdleTimeoutError, 1, said=CAME, idle=SHORT)),
    "silent_stream": (LATE, NO_FIRST_TOKEN),
    "done_then_silence": (LATE, GOOD),
    "pings_forever": (LATE, NO_FIRST_TOKEN),
    "clean_end_without_finish": (unknown(IncompleteStreamError, 3, said=CAME), CUT),
    "finish_without_done": GOOD,
    "done_without_finish": GOOD,
    "done_unterminated": GOOD,
    "done_twice": GOOD,
    "done_then_data": GOOD,
    "error_frame_first": refused(InternalServerError, 3),
    "error_frame_middle": (ERROR_WITHIN_UNASKED, ERROR_WITHIN),
    "error_event": (ERROR_WITHIN_UNASKED, ERROR_WITHIN),
    "error_string_frame": unknown(APIStatusError, 1, said=CAME),
    "error_without_data_prefix": refused(InternalServerError, 3),
    "error_finish": (ERROR_WITHIN_UNASKED, ERROR_WITHIN),
    "error_in_choice_frame": (ERROR_WITHIN_UNASKED, ERROR_WITHIN),
    "error_list_frame": (ERROR_WITHIN_UNASKED, ERROR_WITHIN),
    "message_event": GOOD,
    "error_object_vllm": (ERROR_WITHIN_UNASKED, ERROR_WITHIN),
    "enveloped_frames": GOOD,
    "broken_json_frame": NO_CHUNK,
    "plain_text_frame": NO_CHUNK,
    "deep_frame": NO_CHUNK,
    "ignorable_frames": GOOD,
    "bom": GOOD,
    "byte_by_byte": good(f"{TEXT} 你好🙂"),
    "wrong_content_type": GOOD,
    "wrong_charset": good(f"{TEXT} 你好"),
    "empty_stream": (NO_ANSWER, unknown(IncompleteStreamError, 3)),
    "done_only": unknown(IncompleteStreamError, 3),
    "cr": GOOD,
    "crlf": GOOD,
    "json_lines": GOOD,
    "json_lines_cut": (unknown(IncompleteStreamError, 3, said=CAME), CUT),
    "reason_is_the_word_null": (unknown(IncompleteStreamError, 3, said=CAME), CUT),
    "done_glued": GOOD,
    "done_bare": GOOD,
    "junk_behind_end": GOOD,
    "message_repeats": GOOD,
    "endless_line": NO_ANSWER,
    "event_without_end": NO_ANSWER,
    "stream_gzip_bomb": NO_ANSWER,
    "flood": good("word " * 256 * math.ceil(FLOOD / len(_MANY))),
    # Statuses
    "status": refused(InternalServerError, 3),
    "empty_429": refused(RateLimitError, IN_ITS_TIME),
    "burst": BURST,
    "brownout": BROWNOUT,
    # Interim answers and framing
    "interim_answers": GOOD,
    "interim_then_fin": LOST,
    "interim_then_reset": LOST,
    "endless_interim": unknown(UnexpectedResponseError, 1, has_id=False),
    "one_http_chunk": GOOD,
    "encoding_none": GOOD,
    # Connections used again: the call itself is well, see the next one
    "idle_close": GOOD,
    "close_at_reuse": GOOD,
    "reset_at_reuse": GOOD,
    "half_close": GOOD,
    "lying_keep_alive": GOOD,
    "surplus_bytes": GOOD,
    "unasked_answer": GOOD,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "brownout": {"share": 1.0, "seed": 25},
    "gzip_bomb": {"size": 2**24},
    "stream_gzip_bomb": {"size": 2**24},
    "huge_error_body": {"size": 2**22},
    "flood": {"size": FLOOD},
}

NOT_SENT = End(APIConnectionError, "not_sent", 3, has_id=False)
NO_CONNECTION = End(APITimeoutError, "not_sent", 3, has_id=False)
IN_TIME = Timeout(total=20, connect=SHORT)
# With how many connections were accepted for each attempt.
CONNECTING: dict[str, tuple[Met, int]] = {
    "refused": (Met(NOT_SENT, NOT_SENT), 0),
    "dns_failure": (Met(NOT_SENT, NOT_SENT), 0),
    "syn_unanswered": (Met(NO_CONNECTION, NO_CONNECTION, IN_TIME), 0),
    # From the client's end, accepting and closing is the same as reading the request and closing.
    "accept_close": (LOST, 1),
    "accept_reset": (LOST, 1),
    "accept_silent": (unknown(FirstTokenTimeoutError, 3, has_id=False, first_token=SHORT), 1),
    "accept_garbage": (LOST, 1),
    "tls_stall": (Met(NO_CONNECTION, NO_CONNECTION, IN_TIME), 1),
    "tls_reset": (Met(NOT_SENT, NOT_SENT), 1),
    "tls_plain_http": (Met(NOT_SENT, NOT_SENT), 1),
    "tls_self_signed": (same(APIConnectionError, "not_sent", 1, False), 0),
    "tls_garbage": (Met(NOT_SENT, NOT_SENT), 1),
}


def row(name: str, *, streamed: bool) -> Met:
    found = TABLE[name]
    return found if isinstance(found, Met) else found[streamed]


def test_every_fault_stands_in_a_table() -> None:
    assert {*TABLE, *CONNECTING} == set(FAULTS)


# --- Meeting them ----------------------------------------------------------------------------------------------------


async def call(client: TutuClient, *, order: bool, streamed: bool, timeout: Timeout, **fields: Any) -> ChatCompletion:
    """Ask a question or order a picture; whole, or folded from its stream."""
    got: ChatCompletion | ChatStream
    if order:
        got = await client.generate("a red panda", stream=streamed or None, timeout=timeout)
    else:
        got = await client.chat.completions.create(
            model="m", messages=[user("hi")], stream=streamed or None, timeout=timeout, **fields
        )
    if not streamed:
        return got  # type: ignore[return-value]  # it is whole
    async with got as stream:  # type: ignore[union-attr]  # it is a stream
        completion: ChatCompletion = await stream.completion()
    return completion


async def ends(client: TutuClient, limits: Timeout, *, order: bool = False, streamed: bool, **fields: Any) -> End:
    """Make the call and say how it ended."""
    try:
        answer = await call(client, order=order, streamed=streamed, timeout=limits, **fields)
    except APIError as error:
        said = None if error.partial is None else error.partial.text
        return End(type(error), error.outcome, error.attempts, error.request_id is not None, said)
    return End(None, None, answer.meta.attempts, answer.meta.request_id is not None, answer.text)


async def is_well(client: TutuClient, server: Server) -> None:
    """Assert that nothing is left behind, and that the same client makes a good call and leaves nothing either."""
    assert await nothing_left(client) == []
    assert await closed(client, server) == []
    server.reset()
    # A connection that dies in this very moment costs an attempt.
    server.answers(*[says("mine")] * 3)
    # A relay that refused everything is asked again after a second only.
    patient = client.with_options(retry=RetryPolicy(refused_max=5))
    answer = await patient.chat.completions.create(model="m", messages=[user("hi")])
    assert answer.text == "mine"
    assert len(server.requests) <= answer.meta.attempts
    server.reset()
    assert await nothing_left(client) == []
    assert await closed(client, server) == []


@pytest.fixture
async def client(server: Server) -> Any:
    async with TutuClient(KEY, server.base_url, retry=QUICK, max_response_bytes=MOST_BYTES) as client:
        yield client


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("way", ["cold", "warm", "order"])
@pytest.mark.parametrize("name", TABLE)
async def test_a_fault_is_told_as_what_it_is_and_leaves_nothing_behind(
    client: TutuClient, server: Server, name: str, way: str, streamed: bool
) -> None:
    met, order = row(name, streamed=streamed), way == "order"
    if way == "warm":
        await call(client, order=False, streamed=False, timeout=LONG)
        server.reset()
    expected = met.order if order else met.question
    server.faults(name, times=5 if expected.attempts else 500, **OPTIONS.get(name, {}))
    end = await ends(client, met.limits, order=order, streamed=streamed)
    assert len([seen for seen in server.requests if seen.method == "POST"]) == end.attempts
    assert end._replace(attempts=end.attempts if expected.attempts else IN_ITS_TIME) == expected
    await is_well(client, server)
    assert bad_idle(client) == []


@pytest.mark.parametrize("fault", ["idle_close", "half_close", "lying_keep_alive", "surplus_bytes", "unasked_answer"])
async def test_an_idle_connection_that_went_bad_is_not_used_again(
    client: TutuClient, server: Server, fault: str
) -> None:
    server.faults(fault)
    await call(client, order=False, streamed=False, timeout=LONG)
    await until(lambda: bad_idle(client))
    assert bad_idle(client)
    server.answers(says("mine"))
    answer = await call(client, order=False, streamed=False, timeout=LONG)
    assert (answer.text, answer.meta.attempts) == ("mine", 1)
    assert len({seen.connection for seen in server.requests}) == 2
    await is_well(client, server)
    assert bad_idle(client) == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", ["close_at_reuse", "reset_at_reuse"])
async def test_a_connection_that_dies_at_reuse_costs_an_attempt_and_no_error(
    client: TutuClient, server: Server, fault: str, streamed: bool
) -> None:
    server.faults(fault)
    await call(client, order=False, streamed=False, timeout=LONG)
    server.answers(says("mine"))
    answer = await call(client, order=False, streamed=streamed, timeout=LONG)
    assert (answer.text, answer.meta.attempts) == ("mine", 2)
    await is_well(client, server)


@pytest.mark.parametrize("fault", [name for name in TABLE if FAULTS[name].group == "reuse"])
async def test_an_order_after_a_bad_connection_is_made_once(client: TutuClient, server: Server, fault: str) -> None:
    server.faults(fault, times=2)
    await call(client, order=True, streamed=False, timeout=LONG)
    answer = await call(client, order=True, streamed=False, timeout=LONG)
    assert answer.meta.attempts == 1
    assert len(server.requests) == 2


@pytest.mark.parametrize("order", [False, True], ids=["question", "order"])
async def test_a_413_is_told_while_a_picture_is_still_being_sent(
    client: TutuClient, server: Server, order: bool
) -> None:
    server.faults("early_413", times=3)
    send = client.edit if order else client.analyze
    with pytest.raises(PayloadTooLargeError) as caught:
        await send(b"\x89PNG\r\n\x1a\n" + bytes(3 * 2**20), "a hat")
    assert (caught.value.outcome, caught.value.attempts) == ("rejected", 1)
    assert len(server.requests) == 1
    assert server.requests[0].size_bytes < 2**21
    await is_well(client, server)


@dataclass(frozen=True)
class CutUpload:
    """Reads the beginning of a request's body, and ends the connection."""

    reset: bool
    reads_body = False

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.request.content.readany()
        return exchange.reset() if self.reset else exchange.fin()


@pytest.mark.parametrize("order", [False, True], ids=["question", "order"])
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
async def test_half_a_request_cannot_have_been_worked_on_and_is_sent_again(
    client: TutuClient, server: Server, order: bool, reset: bool
) -> None:
    server.answers(*[CutUpload(reset)] * 3)
    send = client.edit if order else client.analyze
    with pytest.raises(APIConnectionError, match="before the request was sent to its end") as caught:
        await send(b"\x89PNG\r\n\x1a\n" + bytes(2**24), "a hat")
    assert (caught.value.outcome, caught.value.attempts, len(server.requests)) == ("not_sent", 3, 3)
    await is_well(client, server)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("html", "New API.*ends? in /v1"),
        ("empty_body", "an empty body"),
        ("plain_text", "upstream is busy, come back later"),
        ("json_list", "list: \\[1, 2, 3\\]"),
        ("huge_headers", "headers are too long"),
        ("gzip_bomb", "more than 1,048,576 bytes"),
        ("ok_with_error_object", "No candidates returned"),
        ("ok_with_error_string", "upstream gave up"),
        ("ok_with_code_msg", "balance too low"),
        ("ok_with_detail", "bad"),
        ("success_false", "无权进行此操作"),
        ("ok_with_base_resp", "insufficient balance.*top it up"),
        ("ok_with_task", "任务已提交.*before you order again"),
        ("error_in_choice", "Provider returned error"),
        ("page_in_gbk", "您的请求被拦截"),
        ("error_event", "upstream overloaded"),
        ("error_string_frame", "upstream gave up"),
        ("error_finish", "provider failed"),
        ("error_object_vllm", "out of memory"),
        ("plain_text_frame", "upstream hiccup"),
    ],
)
async def test_what_came_instead_is_said(client: TutuClient, server: Server, fault: str, words: str) -> None:
    server.faults(fault, times=3, **OPTIONS.get(fault, {}))
    with pytest.raises(APIError, match=words) as caught:
        await call(client, order=False, streamed=FAULTS[fault].group == "stream", timeout=LONG)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


@dataclass(frozen=True)
class BadChunkLater:
    """A good head, and when that has been read a chunk size that is none; the connection stays open."""

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.send(b"HTTP/1.1 200 OK\r\nX-Request-Id: 7\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.sleep(SHORT / 2)
        await exchange.send(b"zz\r\n{}\r\n")
        await exchange.silence()
        return exchange.fin()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_a_broken_chunk_size_behind_the_head_ends_the_call(
    client: TutuClient, server: Server, warm: bool, streamed: bool
) -> None:
    if warm:
        await client.models.list()
        server.reset()
    server.answers(*[BadChunkLater()] * 3)
    async with asyncio.timeout(15):
        assert await ends(client, LONG, streamed=streamed) == BROKEN_OFF.question
    await is_well(client, server)


async def test_a_stream_is_over_with_its_done_though_the_connection_is_not(client: TutuClient, server: Server) -> None:
    server.faults("done_then_silence")
    async with asyncio.timeout(15):
        answer = await call(client, order=False, streamed=True, timeout=LONG)
    assert answer.text == TEXT


# --- Connecting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("order", [False, True], ids=["question", "order"])
@pytest.mark.parametrize("name", CONNECTING)
async def test_a_relay_that_cannot_be_reached_is_told_and_used_once_it_can(
    name: str, order: bool, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    met, accepted = CONNECTING[name]
    tls, pem = self_signed()
    trusted = ssl.create_default_context(cadata=pem)
    async with raw_server(name) as gone, TutuClient(KEY, gone.base_url, retry=QUICK, verify=trusted) as client:
        end = await ends(client, met.limits, order=order, streamed=streamed)
        assert end == (met.order if order else met.question)
        assert gone.connections == accepted * end.attempts
        assert await nothing_left(client) == []
        await gone.__aexit__(None, None, None)
        async with back(gone, tls, monkeypatch) as server:
            await is_well(client, server)


@contextlib.asynccontextmanager
async def back(gone: RawServer, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a relay where ``gone`` was."""
    if gone.base_url.endswith("relay.invalid/v1"):
        async with serve() as server:
            port = int(server.origin.rsplit(":", 1)[1])

            async def found(*_: Any, **__: Any) -> list[Any]:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
            yield server
        return
    port = int(gone.base_url.removesuffix("/v1").rsplit(":", 1)[1])
    async with serve(port=port, ssl_context=tls if gone.base_url.startswith("https") else None) as server:
        yield server


async def test_a_name_that_is_not_found_is_named() -> None:
    async with raw_server("dns_failure") as gone, TutuClient(KEY, gone.base_url, max_retries=0) as client:
        with pytest.raises(APIConnectionError, match="relay.invalid"):
            await call(client, order=False, streamed=False, timeout=LONG)


# --- Cut anywhere ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """The first bytes of an answer, and then FIN, RST or silence."""

    data: bytes
    then: str

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.send(self.data)
        if self.then == "silence":
            await exchange.silence()
        return exchange.reset() if self.then == "rst" else exchange.fin()


async def record(server: Server, name: str) -> bytes:
    """Take down what a fault sends, as far as it goes and at most 256 KiB of it."""
    server.faults(name, **{"seconds": 0} if "seconds" in FAULTS[name].options else {}, **OPTIONS.get(name, {}))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.origin.rsplit(":", 1)[1]))
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
    seen = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while len(seen) < 2**18:
            async with asyncio.timeout(SHORT):
                piece = await reader.read(2**16)
            if not piece:
                break
            seen += piece
    writer.transport.abort()
    return seen


THEN = ("fin", "rst", "silence")


async def cut_ends(server: Server, tape: bytes, dice: random.Random, *, times: int) -> list[tuple[bool, End]]:
    """Play an answer cut at chance, with each end, ``times`` times, to whole calls and to streams, all at once."""
    cuts = [Cut(tape[: dice.randrange(len(tape) + 1)], then) for then in THEN for _ in range(times)] * 2

    async def meet(client: TutuClient, number: int) -> tuple[bool, End]:
        streamed = number >= len(cuts) // 2
        limits = Timeout(total=SHORT if cuts[number].then == "silence" else 20)
        return streamed, await ends(client, limits, streamed=streamed, extra_query={"cut": number})

    # With an empty budget nothing is tried again but what dies on an idle connection without a byte.
    once = RetryPolicy(budget=0)
    async with TutuClient(KEY, server.base_url, retry=once, max_response_bytes=MOST_BYTES) as client:
        if dice.random() < 0.5:  # Over connections used before.
            await asyncio.gather(*(client.models.list() for _ in cuts))
        # Twice, for those that die on an idle connection are asked again.
        server.answers(*[lambda seen: cuts[int(seen.query["cut"])]] * 2 * len(cuts))
        met = await asyncio.gather(*(meet(client, number) for number in range(len(cuts))))
        server.reset()
        await is_well(client, server)
    return met


@pytest.mark.parametrize("name", TABLE)
async def test_an_answer_cut_anywhere_is_whole_or_an_error_of_ours(server: Server, name: str) -> None:
    for streamed, end in await cut_ends(server, await record(server, name), random.Random(name), times=2):
        # Played back, slow headers are quick ones.
        whole = GOOD.question if name == "slow_headers" else row(name, streamed=streamed).question
        if end.raised is None:
            assert (whole.raised, whole.said) == (None, end.said)
        assert (whole.said or "").startswith(end.said or "")


@pytest.mark.parametrize("name", ["json_for_stream", "sse_unasked", "byte_by_byte", "error_frame_middle", "html"])
async def test_a_body_that_only_the_connection_ends_is_whole_or_an_error_of_ours(server: Server, name: str) -> None:
    server.faults(name)
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{server.base_url}/chat/completions", json={}) as answer,
    ):
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {answer.headers['Content-Type']}\r\n\r\n"
        tape = head.encode() + await answer.read()
    for streamed, end in await cut_ends(server, tape, random.Random(name), times=20):
        whole = row(name, streamed=streamed).question
        if end.raised is None:
            assert (whole.raised, whole.said) == (None, end.said)
        assert (whole.said or "").startswith(end.said or "")
        assert end.raised is not UnexpectedResponseError or not end.said
