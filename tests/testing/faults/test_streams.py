import aiohttp
import pytest

from tests.testing.faults.wire import BODY, End, deltas, fetch, line, meet, payload
from tutuclient.testing import FAULTS, Server


async def test_sends_a_stream_within_one_http_chunk(server: Server) -> None:
    data, _ = await meet(server, "one_http_chunk")
    size, _, rest = data.partition(b"\r\n\r\n")[2].partition(b"\r\n")
    assert rest[int(size, 16) :] == b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("reset_mid_stream", "reset"),
        ("fin_mid_stream", "fin"),
        ("cut_in_event", "fin"),
        ("stalled_stream", "open"),
        ("clean_end_without_finish", "open"),
    ],
)
async def test_ends_a_stream_after_three_deltas(server: Server, name: str, end: End) -> None:
    data, ended = await meet(server, name, seconds=0.1)
    assert deltas(payload(data)) == ["", "one", " two", " three"]
    assert ended == end
    assert data.endswith(b"\r\n0\r\n\r\n") == (name == "clean_end_without_finish")
    assert (b'data: {"id' in data.rsplit(b"\n\n", 1)[1]) == (name == "cut_in_event")


async def test_ends_a_stream_after_as_many_deltas_as_asked(server: Server) -> None:
    data, _ = await meet(server, "reset_mid_stream", after=8)
    assert len(deltas(payload(data))) == 9


@pytest.mark.parametrize(("name", "done"), [("silent_stream", False), ("done_then_silence", True)])
async def test_keeps_a_stream_open_in_silence(server: Server, name: str, done: bool) -> None:
    data, end = await meet(server, name)
    assert (b"[DONE]" in data, end) == (done, "open")


@pytest.mark.parametrize(("after", "words"), [(0, 0), (2, 3)])
async def test_pings_forever(server: Server, after: int, words: int) -> None:
    server.faults("pings_forever", seconds=0.01, after=after)
    async with line(server.base_url) as wire:
        wire.ask()
        data, end = await wire.read(most=1000)
    assert payload(data).count(b": PING\n\n") >= 5
    assert (len(deltas(payload(data))), end) == (words, "open")


async def test_pings_end_after_all(server: Server) -> None:
    assert (await meet(server, "pings_forever", seconds=10, total=0.01))[1] == "fin"


GOOD = ["", "one", " two", " three", " four", " five", " six"]


STREAMS: dict[str, tuple[list[str], int, str]] = {
    "sse_unasked": (GOOD, 1, '"stop"'),
    "finish_without_done": (GOOD, 0, '"stop"'),
    "enveloped_frames": ([], 1, '"data":{'),
    "done_without_finish": (GOOD, 1, '"finish_reason":null'),
    "done_unterminated": (GOOD, 1, '"stop"'),
    "done_twice": (GOOD, 2, '"stop"'),
    "done_then_data": ([*GOOD, " MORE"], 1, '"stop"'),
    "error_frame_first": ([], 1, '{"error":{"message":"upstream overloaded"'),
    "error_frame_middle": (GOOD[:4], 1, '{"error":{"message":"upstream overloaded"'),
    "error_event": (GOOD[:4], 1, 'event: error\ndata: {"message"'),
    "error_string_frame": (GOOD[:4], 1, '{"error":"upstream gave up"}'),
    "error_without_data_prefix": ([], 0, '\n\n{"error"'),
    "error_finish": ([*GOOD[:4], ""], 1, '"finish_reason":"error"'),
    "error_in_choice_frame": (GOOD[:4], 1, '"metadata":{"raw"'),
    "error_list_frame": (GOOD[:4], 1, 'data: [{"error"'),
    "message_event": (GOOD, 1, "event: status"),
    "error_object_vllm": (GOOD[:4], 1, '"object":"error"'),
    "broken_json_frame": (GOOD, 1, '{"del\n'),
    "plain_text_frame": (GOOD, 1, "data: upstream hiccup\n"),
    "deep_frame": (GOOD, 1, "[" * 1000),
    "ignorable_frames": (GOOD, 1, "data: null"),
    "bom": (GOOD, 1, "\ufeffdata: {"),
    "byte_by_byte": ([*GOOD, " 你好🙂"], 1, '"stop"'),
    "wrong_content_type": (GOOD, 1, '"stop"'),
    "wrong_charset": ([*GOOD, " 你好"], 1, '"stop"'),
    "empty_stream": ([], 0, ""),
    "done_only": ([], 1, ""),
    "cr": (GOOD, 1, "}\r\rdata"),
    "crlf": (GOOD, 1, "}\r\n\r\ndata"),
    "json_lines": (GOOD, 0, '"stop"'),
    "json_lines_cut": (GOOD[:4], 0, '" three"'),
    "reason_is_the_word_null": (GOOD[1:4], 0, '"finish_reason":"null"'),
    "done_glued": (GOOD, 1, "}data: [DONE]"),
    "done_bare": (GOOD, 0, "\n\n[DONE]\n\n"),
    "junk_behind_end": (GOOD, 1, "data: bye\n"),
    "message_repeats": (GOOD, 1, '"message":{"role":"assistant"'),
}


@pytest.mark.parametrize("name", STREAMS)
async def test_streams_oddly(server: Server, http: aiohttp.ClientSession, name: str) -> None:
    texts, done, found = STREAMS[name]
    status, body = await fetch(http, server, name)
    assert status == 200
    assert deltas(body.removeprefix(b"\xef\xbb\xbf")) == texts
    assert body.count(b"data: [DONE]") == done
    assert found in body.decode()


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("wrong_content_type", "application/json"),
        ("wrong_charset", "text/event-stream; charset=gb2312"),
        ("bom", "text/event-stream"),
    ],
)
async def test_labels_a_stream(server: Server, http: aiohttp.ClientSession, name: str, content_type: str) -> None:
    server.faults(name)
    async with http.post(f"{server.base_url}/chat/completions", json=BODY) as answer:
        assert answer.headers["Content-Type"] == content_type


async def test_sends_single_bytes(server: Server) -> None:
    data, _ = await meet(server, "byte_by_byte")
    assert data.split(b"\r\n\r\n", 1)[1].startswith(b"1\r\nd\r\n1\r\na\r\n1\r\nt\r\n")


def test_the_table_here_leaves_no_plain_stream_out() -> None:
    plain = {name for name, fault in FAULTS.items() if fault.group == "stream" and not fault.options}
    assert plain - {"clean_end_without_finish"} <= set(STREAMS)
