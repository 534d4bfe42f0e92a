"""The recorder, between a client and the relay of the tests: what goes by, and what is written down of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import gzip
import json
import os
import threading
import zlib
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from tests.proxies import SocksProxy
from tutuclient import APIConnectionError, ConfigError, InternalServerError, TutuClient, user
from tutuclient.testing import Server, chunk, draws, raw, sample_picture, says, sends, streams
from tutuclient.testing.cassettes import Recorder
from tutuclient.testing.cassettes.recorder import Passing, Unpacker, line_of, split_address
from tutuclient.testing.cassettes.tape import read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEY = "sk-0123456789abcdefghij"
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
HEADERS = {"Authorization": f"Bearer {KEY}", "Cookie": "session=my-session-cookie"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.jsonl"


@pytest.fixture
async def recorder(server: Server, path: Path) -> AsyncIterator[Recorder]:
    async with Recorder(server.base_url, path) as recorder:
        yield recorder


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def lines(path: Path, kind: str) -> list[dict[str, Any]]:
    made = [json.loads(line) for line in text_of(path).splitlines()]
    return [line for line in made if kind in line]


async def test_the_request_is_passed_on_as_it_is(
    recorder: Recorder, server: Server, http: aiohttp.ClientSession, path: Path
) -> None:
    headers = {**HEADERS, "X-Own": "1"}
    url = f"{recorder.base_url}/chat/completions?a=%2F&key=my-query-key"
    async with http.post(url, json=ASK, headers=headers) as answer:
        assert answer.status == 200
        assert (await answer.json())["choices"]
    (seen,) = server.requests
    assert seen.json == ASK
    assert seen.headers["Authorization"] == f"Bearer {KEY}"
    assert (seen.headers["Cookie"], seen.headers["X-Own"]) == ("session=my-session-cookie", "1")
    assert (seen.query["a"], seen.query["key"]) == ("/", "my-query-key")
    (line,) = lines(path, "request")
    assert line["query"] == "a=%2F&key=dropped"
    text = text_of(path)
    assert not [each for each in (KEY, "my-session-cookie", "my-query-key", "X-Own") if each in text]


async def test_answers_come_read_by_read_as_the_relay_sends_them(
    recorder: Recorder, server: Server, path: Path
) -> None:
    server.answers(streams([chunk("one"), chunk("two")], then="hang", done=False, delay=0.01))
    async with (
        TutuClient(KEY, recorder.base_url) as client,
        client.chat.completions.stream(model="m", messages=[user("hi")]) as stream,
    ):
        async for piece in stream.text():
            # The relay has not ended its answer, and will not: what came is here, and in the file.
            assert piece in {"one", "two"}
            if piece == "two":
                break
    await server.wait_closed()
    await recorder.until(lambda: not recorder.in_flight)
    first, second = lines(path, "part")
    assert first["event"]["choices"][0]["delta"]["content"] == "one"
    assert first["t"] < second["t"]
    assert lines(path, "end")[0]["how"] == "left"


async def test_what_the_relay_sets_and_says_is_passed_on_and_not_kept(
    recorder: Recorder, server: Server, http: aiohttp.ClientSession, path: Path
) -> None:
    headers = {"Set-Cookie": "id=secret-cookie", "OpenAI-Organization": "org-mine", "X-RateLimit-Limit-Requests": "60"}
    server.answers(sends({"echo": f"Bearer {KEY}", "organization": "org-mine"}, headers=headers))
    async with http.post(f"{recorder.base_url}/x", json={}, headers=HEADERS) as answer:
        assert answer.headers["Set-Cookie"] == "id=secret-cookie"
        assert (await answer.json())["echo"] == f"Bearer {KEY}"
    (line,) = lines(path, "answer")
    assert line["headers"]["x-ratelimit-limit-requests"] == "60"
    text = text_of(path)
    assert not [each for each in (KEY, "secret-cookie", "org-mine") if each in text]


@pytest.mark.parametrize("then", ["end", "fin", "hang"])
async def test_a_key_that_the_relay_spells_over_several_events_is_passed_on_and_not_kept(
    recorder: Recorder, server: Server, path: Path, then: Any
) -> None:
    said = base64.b64encode(f"Bearer {KEY}".encode()).decode() + f" is {KEY}"
    server.answers(streams([chunk(said[at : at + 3]) for at in range(0, len(said) - 1, 3)], then=then, done=False))
    heard = ""
    async with TutuClient(KEY, recorder.base_url, max_retries=0) as client:
        with contextlib.suppress(APIConnectionError):
            async with client.chat.completions.stream(**ASK) as stream:
                async for piece in stream.text():
                    heard += piece
                    if len(heard) >= len(said) - 3:
                        break
    await recorder.until(lambda: not recorder.in_flight)
    assert heard in said
    assert len(heard) >= len(said) - 3
    (exchange,) = read(path).exchanges.values()
    kept = "".join(
        part["event"]["choices"][0]["delta"].get("content") or "" for part in exchange.parts if "event" in part
    )
    assert "dropped" in kept
    assert not [letters for letters in (KEY[3:7], said[11:15], said[20:24]) if letters in kept]


@pytest.mark.parametrize(
    "asks",
    [
        {"url": f"/x?{KEY}=1"},
        {"url": "/x?a=" + KEY.encode().hex()},
        {"url": "/x/%73" + KEY[1:]},
        {"data": {KEY: "1"}},
        {"data": json.dumps({KEY: 1}).replace("s", r"\u0073")},
        {"file": {"filename": f"{KEY}.png"}},
        {"file": {"filename": "a.png", "content_type": f"image/{KEY}"}},
        {"answer": raw(200, b"\0\1", {"Content-Type": f"image/{KEY}"})},
        {"answer": raw(200, b"{}", {f"X-RateLimit-{KEY}": "1", "X-Request-Id": KEY})},
        {"answer": raw(200, f'{{"a":"{KEY}"}}'.encode("utf-16"), {"Content-Type": "application/json"})},
        {"answer": raw(200, gzip.compress(f'{{"a":"{KEY}"}}'.encode()), {"Content-Encoding": "gzip"})},
        {"answer": raw(426, KEY.encode()), "headers": {"Upgrade": "websocket", "Connection": "Upgrade"}},
        {"answer": raw(200, KEY.encode(), {"Set-Cookie": f"id={KEY}"}), "headers": {"Authorization": ""}},
        {"answer": sends({"a": KEY}), "headers": {"Authorization": "", "mj-api-secret": KEY}},
    ],
)  # fmt: skip
async def test_a_key_is_in_no_place_of_a_request_or_an_answer(
    recorder: Recorder, server: Server, http: aiohttp.ClientSession, path: Path, asks: dict[str, Any]
) -> None:
    server.answers(asks.get("answer") or sends({"a": 1}))
    data = asks.get("data") or {"a": "b"}
    if "file" in asks:
        data = aiohttp.FormData()
        data.add_field("image", b"\0\1", **asks["file"])
    url = URL(recorder.base_url + asks.get("url", "/x"), encoded=True)
    async with http.post(url, data=data, headers={**HEADERS, **asks.get("headers", {})}) as answer:
        await answer.read()
    await recorder.until(lambda: not recorder.in_flight)
    text = text_of(path).replace("\\u0000", "")
    assert "dropped" in text
    assert not [form for form in (KEY[4:], KEY.encode().hex()[8:]) if form in text]
    (exchange,) = read(path).replayed
    assert exchange.how == "complete"


async def test_a_key_of_odd_bytes_is_no_fault_of_the_recorder(recorder: Recorder, server: Server, path: Path) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(recorder.origin.rpartition(":")[2]))
    head = b"GET /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer caf\xe9-hunter2\r\n\r\n"
    writer.write(head)
    server.answers(raw(200, b"no caf\xe9-hunter2"))
    try:
        answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"no caf\xe9-hunter2" in answer
    assert "hunter2" not in text_of(path)


async def test_a_long_request_is_recorded_by_another_thread(
    recorder: Recorder, server: Server, http: aiohttp.ClientSession, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = list[str]()

    def noted(*arguments: Any) -> dict[str, Any]:
        threads.append(threading.current_thread().name)
        return line_of(*arguments)

    monkeypatch.setattr("tutuclient.testing.cassettes.recorder.line_of", noted)
    for length in (10, 100_000):
        async with http.post(f"{recorder.base_url}/x", json={"a": "b" * length}, headers=HEADERS) as answer:
            await answer.read()
    assert threads == [threading.current_thread().name, "tutu-relay_0"]
    assert [len(line["json"]["a"]) for line in lines(path, "request")] == [10, 100_000]
    assert len(server.requests) == 2


async def test_images_are_digests_and_nothing_more(recorder: Recorder, server: Server, path: Path) -> None:
    server.answers(draws(sample_picture(), form="b64"))
    async with TutuClient(KEY, recorder.base_url) as client:
        answer = await client.edit(sample_picture(), "sky", model="m")
        assert await answer.images[0].read() == sample_picture()
    assert len(text_of(path)) < 3000
    assert "data:image/png;base64,{{tutu image/png 720x540" in text_of(path)


async def test_the_relays_own_images_are_downloaded_through_it(recorder: Recorder, server: Server, path: Path) -> None:
    server.answers(draws(sample_picture(), form="url"))
    async with TutuClient(KEY, recorder.base_url) as client:
        answer = await client.edit(sample_picture(), "sky", model="m")
        assert (answer.images[0].url or "").startswith(recorder.origin)
        assert await answer.images[0].read() == sample_picture()
        # What is sent back names the relay as it knows itself.
        await client.chat.completions.create(model="m", messages=[user(f"again: {answer.images[0].url}")])
    assert server.downloads
    assert server.origin in server.requests[-1].json["messages"][0]["content"]
    text = text_of(path).split("\n", 1)[1]
    assert "{{tutu relay}}/v1/files/" in text
    assert server.origin not in text
    assert recorder.origin not in text


async def test_parallel_requests_are_kept_apart(recorder: Recorder, server: Server, path: Path) -> None:
    server.token_delay = 0.002
    server.answers(*[lambda seen: says(f"{seen.json['messages'][0]['content']} " * 10) for _ in range(20)])
    async with TutuClient(KEY, recorder.base_url) as client:

        async def ask(number: int) -> str:
            messages = [user(f"n{number}")]
            async with client.chat.completions.stream(model="m", messages=messages) as stream:
                return (await stream.completion()).text

        texts = await asyncio.gather(*map(ask, range(20)))
    assert texts == [f"n{number} " * 10 for number in range(20)]
    for exchange in read(path).replayed:
        (message,) = exchange.request["json"]["messages"]
        said = "".join(
            part["event"]["choices"][0]["delta"].get("content") or "" for part in exchange.parts if "event" in part
        )
        assert said == f"{message['content']} " * 10


async def test_the_request_is_in_the_file_before_it_is_sent(recorder: Recorder, server: Server, path: Path) -> None:
    seen: list[int] = []

    def look(_: object) -> Any:
        seen.append(len(lines(path, "request")))
        return says("hello")

    server.answers(look)
    async with TutuClient(KEY, recorder.base_url) as client:
        await client.chat.completions.create(**ASK)
    assert seen == [1]


async def test_a_full_disk_sends_no_further_request(
    recorder: Recorder, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers(streams([chunk("one"), chunk("two"), chunk(finish_reason="stop")], delay=0.01))
    async with TutuClient(KEY, recorder.base_url, max_retries=0) as client:
        async with client.chat.completions.stream(**ASK) as stream:
            texts = stream.text()
            assert await anext(texts) == "one"

            def full(*_: object) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

            monkeypatch.setattr(os, "write", full)
            # What is paid for comes to its end.
            assert [piece async for piece in texts] == ["two"]
        with pytest.raises(InternalServerError, match="not sent: the cassette chat.jsonl cannot be written: No space"):
            await client.chat.completions.create(**ASK)
    assert len(server.requests) == 1
    assert "what is in it can be replayed" in capsys.readouterr().err
    monkeypatch.undo()
    assert len(read(path).exchanges) == 1


async def test_a_relay_that_is_not_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with (
        Recorder("http://127.0.0.1:9/v1", path) as recorder,
        TutuClient(KEY, recorder.base_url, max_retries=0) as client,
    ):
        with pytest.raises(InternalServerError, match="the relay http://127.0.0.1:9/v1 was not reached"):
            await client.chat.completions.create(**ASK)
        with pytest.raises(InternalServerError) as order:
            await client.generate("a kite")
    assert order.value.outcome == "rejected"  # It may be ordered again, and nothing is billed.
    assert "was not reached" in capsys.readouterr().err
    assert lines(path, "end")[0]["how"] == "unreachable"
    assert read(path).replayed == []


async def test_the_relay_is_reached_by_the_proxy_that_the_client_would_use(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SocksProxy(login=("me", "hunter2"), leads_to=server.origin) as proxy:
        monkeypatch.setenv("all_proxy", proxy.url("socks5h", "me:hunter2"))
        async with (
            Recorder("http://relay.example/v1", path) as recorder,
            TutuClient(KEY, recorder.base_url, max_retries=0) as client,
        ):
            await client.chat.completions.create(**ASK)
            assert proxy.targets == ["relay.example:80"]
            proxy.refuses = 2
            with pytest.raises(InternalServerError, match=r"was not reached: .*through the proxy socks5h://") as caught:
                await client.generate("a kite")
    assert caught.value.outcome == "rejected"
    assert len(server.requests) == 1
    assert "hunter2" not in str(caught.value) + text_of(path)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_what_comes_compressed_all_the_same_is_recorded_plain(
    recorder: Recorder, server: Server, http: aiohttp.ClientSession, path: Path, coding: str
) -> None:
    packer = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    packed = packer.compress(b'{"a":"' + b"x" * 3_000_000 + b'"}') + packer.flush()
    server.answers(
        *[raw(200, packed, {"Content-Encoding": coding}), raw(200, packed[:-9], {"Content-Encoding": coding})]
    )
    async with http.get(f"{recorder.base_url}/x") as answer:
        assert len((await answer.json())["a"]) == 3_000_000
        assert "Content-Encoding" not in answer.headers
    assert server.requests[0].headers["Accept-Encoding"] == "identity"
    with pytest.raises(Exception, match="payload is not completed"):
        async with http.get(f"{recorder.base_url}/x") as answer:
            await answer.read()
    assert [line["how"] for line in lines(path, "end")] == ["complete", "cut"]


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(b'{"a":') + gzip.compress(b"1}")),
        ("x-gzip", gzip.compress(b'{"a":1}') + bytes(512)),
        ("deflate", zlib.compress(b'{"a":1}')[2:-4]),
        ("deflate", zlib.compress(b'{"a":1}') + b"\n"),
        ("none", b'{"a":1}'),
        ("identity", b'{"a":1}'),
    ],
)
async def test_every_form_of_a_coding_is_read_to_its_end(
    recorder: Recorder, server: Server, http: aiohttp.ClientSession, path: Path, coding: str, packed: bytes
) -> None:
    server.answers(raw(200, packed, {"Content-Encoding": coding, "Content-Type": "application/json"}))
    async with http.get(f"{recorder.base_url}/x") as answer:
        assert await answer.json() == {"a": 1}
    assert [line["json"] for line in lines(path, "part")] == [{"a": 1}]


def test_what_comes_byte_by_byte_is_unpacked() -> None:
    unpacker, packed = Unpacker("gzip"), gzip.compress(b"one ") + gzip.compress(b"two") + bytes(3)
    pieces = [plain for at in range(len(packed)) for plain in unpacker.feed(packed[at : at + 1])]
    assert (b"".join(pieces), unpacker.is_whole) == (b"one two", True)


async def test_what_cannot_be_searched_for_keys_is_not_recorded(
    recorder: Recorder, server: Server, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers(raw(200, b"\1\2\3", {"Content-Encoding": "br"}))
    async with TutuClient(KEY, recorder.base_url, max_retries=0) as client:
        with pytest.raises(APIConnectionError) as raised:
            await client.chat.completions.create(**ASK)
    assert raised.value.outcome == "unknown"
    assert "it is compressed as br" in capsys.readouterr().err
    assert not lines(path, "part")


async def test_redirects_lead_to_the_recorder(recorder: Recorder, server: Server, http: aiohttp.ClientSession) -> None:
    server.answers(raw(307, b"", {"Location": f"{server.origin}/v1/elsewhere"}))
    async with http.get(f"{recorder.base_url}/x", allow_redirects=False) as answer:
        assert answer.headers["Location"] == f"{recorder.origin}/v1/elsewhere"


async def test_a_redirect_to_an_address_that_only_begins_like_the_relays_stays(
    recorder: Recorder, server: Server, http: aiohttp.ClientSession, path: Path
) -> None:
    elsewhere = f"{server.origin}1/v1/elsewhere"  # Another port.
    server.answers(raw(307, b"", {"Location": elsewhere}))
    async with http.post(f"{recorder.base_url}/chat/completions", json=ASK, allow_redirects=False) as answer:
        assert answer.headers["Location"] == elsewhere
    assert lines(path, "answer")[0]["headers"]["location"] == elsewhere


async def test_a_request_names_the_relay_where_it_had_the_recorder_and_no_other_address(
    recorder: Recorder, server: Server, http: aiohttp.ClientSession
) -> None:
    own, other = f"{recorder.origin}/a.png", f"{recorder.origin}1/a.png"
    async with http.post(f"{recorder.base_url}/chat/completions", json={**ASK, "user": f"{own} {other}"}):
        assert server.requests[0].json["user"] == f"{server.origin}/a.png {other}"


async def test_heads_and_empty_answers(recorder: Recorder, server: Server, http: aiohttp.ClientSession) -> None:
    server.answers(raw(200, b"12345", {"Content-Type": "image/png"}), raw(204))
    async with http.head(f"{recorder.base_url}/x") as answer:
        assert answer.headers["Content-Length"] == "5"
    async with http.get(f"{recorder.base_url}/x") as answer:
        assert (answer.status, await answer.read()) == (204, b"")


async def test_a_key_of_its_own_takes_the_place_of_the_callers(server: Server, path: Path) -> None:
    server.answers(sends({"echo": KEY}), sends({"echo": KEY}))
    async with (
        Recorder(server.base_url, path, key=KEY) as recorder,
        TutuClient("any-other-key", recorder.base_url) as client,
    ):
        await client.post("/x", body={}, cast_to=dict)
        await client.get("/y", cast_to=dict)
    assert {seen.headers["Authorization"] for seen in server.requests} == {f"Bearer {KEY}"}
    assert KEY not in text_of(path)
    assert "any-other-key" not in text_of(path)


async def test_recording_ends_in_the_middle_of_an_answer(server: Server, path: Path) -> None:
    server.answers(streams([chunk("one")], then="hang", done=False))
    async with Recorder(server.base_url, path) as recorder:
        client = TutuClient(KEY, recorder.base_url, max_retries=0)
        stream = await client.chat.completions.create(**ASK, stream=True)
        await anext(stream)
    with contextlib.suppress(APIConnectionError):
        await stream.completion()
    await client.close()
    assert lines(path, "end")[0]["how"] == "stopped"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://relay.example/v1", ("https://relay.example", "/v1")),
        ("relay.example", ("https://relay.example", "/v1")),
        ("127.0.0.1:8017/", ("http://127.0.0.1:8017", "/v1")),
        ("https://relay.example/api/v3/", ("https://relay.example", "/api/v3")),
        ("http://[::1]:80/v1", ("http://[::1]:80", "/v1")),
    ],
)
def test_addresses(url: str, parts: tuple[str, str]) -> None:
    assert split_address(url) == parts


@pytest.mark.parametrize("url", ["", "https://", "ftp://relay.example", "https://relay.example:port/v1", "my relay"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError, match="the address to record is none"):
        split_address(url)


THEIRS, OURS = "https://relay.example", "http://127.0.0.1:8017"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 21, 22, 23, 500])
def test_an_address_is_replaced_wherever_it_is_cut(size: int) -> None:
    text = (
        rf"{THEIRS}/a {THEIRS}. {THEIRS}.evil/ {THEIRS}:8443 {THEIRS}x https:\/\/relay.example\/b "
        rf"https://relay.exam https:/ {THEIRS}"
    ).encode()
    passing = Passing(THEIRS, OURS)
    out = b"".join([*(passing.feed(text[at : at + size]) for at in range(0, len(text), size)), passing.flush()])
    assert (
        out
        == (
            rf"{OURS}/a {OURS}. {THEIRS}.evil/ {THEIRS}:8443 {THEIRS}x http:\/\/127.0.0.1:8017\/b "
            rf"https://relay.exam https:/ {OURS}"
        ).encode()
    )


def test_what_is_no_address_is_not_held_back() -> None:
    passing = Passing(THEIRS, OURS)
    assert passing.feed(b'data: {"a":1}\n\n') == b'data: {"a":1}\n\n'
    assert base64.b64decode(passing.feed(b"aGk=")) == b"hi"


async def test_a_client_that_leaves_at_the_word_done_has_the_whole_answer(
    recorder: Recorder, server: Server, path: Path
) -> None:
    server.answers(streams([chunk("one"), chunk(finish_reason="stop"), b"data: [DONE]\n\n"], then="hang", done=False))
    async with TutuClient(KEY, recorder.base_url) as client, client.chat.completions.stream(**ASK) as stream:
        await stream.completion()
    await recorder.until(lambda: not recorder.in_flight)
    assert lines(path, "end")[0]["how"] == "complete"


async def test_a_recorder_that_cannot_be_started_leaves_nothing_open(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ConfigError("SOCKS proxies need another package")

    recorder = Recorder(server.base_url, path, port=int(server.origin.rpartition(":")[2]))
    with pytest.raises(OSError, match="attempting to bind"):
        await recorder.__aenter__()
    assert recorder._session.closed
    assert recorder.tape._file < 0
    recorder = Recorder(server.base_url, path)
    monkeypatch.setattr("tutuclient.testing.cassettes.recorder.connector_through", fails)
    with pytest.raises(ConfigError, match="another package"):
        await recorder.__aenter__()
    assert recorder.tape._file < 0
    assert not recorder.origin  # It has not begun to listen.
