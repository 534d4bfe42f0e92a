import asyncio
import base64
import gzip
import hashlib
import io
import json
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.dev_mode import without_slow_steps
from tests.held import Held
from tutuclient.testing import (
    Recorded,
    Scripted,
    Server,
    chunk,
    fails,
    rate_limited,
    raw,
    sample_picture,
    says,
    serve,
    serve_in_thread,
    streams,
)

Body = dict[str, Any]
HELLO: Body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello there"}]}


def about_picture(text: str, url: str, model: str = "gpt-4o") -> Body:
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url, "detail": "high"}}]
    return {"model": model, "messages": [{"role": "user", "content": parts}]}


async def chat(http: aiohttp.ClientSession, server: Server, body: Body | None = None, **extra: Any) -> Any:
    async with http.post(f"{server.base_url}/chat/completions", json={**(body or HELLO), **extra}) as answer:
        return await answer.json()


async def events(http: aiohttp.ClientSession, server: Server, **extra: Any) -> list[str]:
    body = {**HELLO, "stream": True, **extra}
    async with http.post(f"{server.base_url}/chat/completions", json=body) as answer:
        assert answer.content_type == "text/event-stream"
        text = await answer.text()
    return [event.removeprefix("data: ") for event in text.split("\n\n")[:-1]]


async def test_answers_a_chat_that_nobody_scripted(server: Server, http: aiohttp.ClientSession) -> None:
    answer = await chat(http, server)
    assert answer["choices"][0]["message"]["content"] == 'I am an offline stand-in, no model. You said: "hello there"'
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 12, "total_tokens": 14}


async def test_streams_role_words_reason_usage_and_done(server: Server, http: aiohttp.ClientSession) -> None:
    server.answers(says("one two"))
    *frames, done = await events(http, server, stream_options={"include_usage": True})
    chunks = [json.loads(frame) for frame in frames]
    assert done == "[DONE]"
    assert [each["choices"][0]["delta"] for each in chunks[:4]] == [
        {"role": "assistant", "content": ""},
        {"content": "one"},
        {"content": " two"},
        {},
    ]
    assert chunks[3]["choices"][0]["finish_reason"] == "stop"
    assert chunks[4]["choices"] == []
    assert chunks[4]["usage"]["completion_tokens"] == 2


async def test_streams_no_usage_unasked(server: Server, http: aiohttp.ClientSession) -> None:
    assert not any('"usage"' in event for event in await events(http, server))


async def test_stops_at_max_tokens(server: Server, http: aiohttp.ClientSession) -> None:
    answer = await chat(http, server, max_tokens=3)
    assert answer["choices"][0]["message"]["content"] == "I am an"
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_gives_as_many_choices_as_asked(server: Server, http: aiohttp.ClientSession) -> None:
    assert [choice["index"] for choice in (await chat(http, server, n=3))["choices"]] == [0, 1, 2]
    frames = [json.loads(event) for event in (await events(http, server, n=2))[:-1]]
    assert {frame["choices"][0]["index"] for frame in frames} == {0, 1}


async def test_waits_between_tokens_when_asked(server: Server, http: aiohttp.ClientSession) -> None:
    server.token_delay = 0.02
    server.answers(says("one two three"))
    began = time.monotonic()
    await events(http, server)
    assert time.monotonic() - began >= 6 * 0.02


async def test_cuts_streams_into_pieces_when_asked(server: Server, http: aiohttp.ClientSession) -> None:
    server.piece_bytes = 7
    server.answers(says("a b"))
    async with http.post(f"{server.base_url}/chat/completions", json={**HELLO, "stream": True}) as answer:
        pieces = [piece async for piece, _ in answer.content.iter_chunks()]
    assert {len(piece) for piece in pieces[:-1]} == {7}
    assert b"".join(pieces).endswith(b"data: [DONE]\n\n")


async def test_edits_the_seed_image_and_hands_out_a_link_that_works(
    server: Server, http: aiohttp.ClientSession
) -> None:
    picture = server.host(sample_picture(), "cat.png")
    answer = await chat(http, server, about_picture("请将这张图片的背景替换为蓝天白云", picture, "gpt-4o-image"))
    content = answer["choices"][0]["message"]["content"]
    before, url = content.split("图像修改完成,请查看链接:")
    assert "替身" in before
    async with http.get(url) as download:
        assert download.content_type == "image/png"
        assert (await download.read()).startswith(b"\x89PNG")
    assert [each.path for each in server.downloads] == [url.removeprefix(server.origin)]
    assert len(server.requests) == 1


async def test_hosts_a_download_twin_of_every_image(server: Server, http: aiohttp.ClientSession) -> None:
    url = server.host(b"\xff\xd8\xff jpeg")
    assert url.endswith(".jpg")
    async with http.get(url.replace("/files/", "/files/download/")) as answer:
        assert (answer.content_type, await answer.read()) == ("image/jpeg", b"\xff\xd8\xff jpeg")


async def test_forgets_the_oldest_images(server: Server, http: aiohttp.ClientSession) -> None:
    server.hosted_bytes = 10
    first, second = server.host(b"123456"), server.host(b"12345")
    async with http.get(first) as old, http.get(second) as new:
        assert (old.status, new.status) == (404, 200)


async def test_takes_an_image_as_a_plain_string(server: Server, http: aiohttp.ClientSession) -> None:
    data = base64.b64encode(sample_picture()).decode()
    part = {"type": "image_url", "image_url": f"data:image/png;base64,{data}"}
    answer = await chat(http, server, {"model": "m", "messages": [{"role": "user", "content": [part]}]})
    assert "720x540" in answer["choices"][0]["message"]["content"]


async def test_fetches_nothing_from_other_hosts(server: Server, http: aiohttp.ClientSession) -> None:
    answer = await chat(http, server, about_picture("?", "https://example.com/a.png"))
    assert answer["error"]["code"] == "invalid_image_request"
    assert "fetches no images from the network" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "message"),
    [
        (b"{", "application/json", 400, "invalid JSON body"),
        (b"[" * 100_000, "application/json", 400, "invalid JSON body"),
        (b"[]", "application/json", 400, "未指定模型名称"),
        (b'{"messages": [1]}', "application/json", 400, "未指定模型名称"),
        (b'{"model": "m"}', "application/json; charset=utf-8", 400, "messages is required"),
        (b'{"model": "m", "messages": [{}]}', "text/plain", 400, "未指定模型名称"),
        (b'{"model": "m", "messages": [{}]}', "application/json", 200, None),
    ],
)
async def test_complains_about_a_bad_body_as_a_relay_does(
    server: Server, http: aiohttp.ClientSession, *, body: bytes, content_type: str, status: int, message: str | None
) -> None:
    headers = {"Content-Type": content_type}
    async with http.post(f"{server.base_url}/chat/completions", data=body, headers=headers) as answer:
        assert answer.status == status
        error = (await answer.json()).get("error", {})
    if message is not None:
        assert message in error["message"]
        assert error["message"].endswith(f"(request id: {answer.headers['X-Oneapi-Request-Id']})")


async def test_refuses_a_body_over_the_limit(http: aiohttp.ClientSession) -> None:
    async with serve(max_body_bytes=1000) as server:
        answer = await chat(http, server, messages=[{"role": "user", "content": "x" * 2000}])
        assert answer["error"]["code"] == "read_request_body_failed"
        assert (await chat(http, server))["choices"]


async def test_wants_its_key_for_all_but_images_and_health(http: aiohttp.ClientSession) -> None:
    async with serve(key="sk-right") as server:
        server.answers(says("scripted"))
        assert (await chat(http, server))["error"]["message"].startswith("未提供令牌")
        url = f"{server.base_url}/chat/completions"
        for wrong in ("Bearer sk-wrong", "sk-right-too", "Bearer ключ"):
            async with http.post(url, json=HELLO, headers={"Authorization": wrong}) as answer:
                assert answer.status == 401
                assert (await answer.json())["error"]["message"].startswith("无效的令牌")
        async with http.post(url, json=HELLO, headers={"Authorization": "Bearer sk-right"}) as answer:
            assert (await answer.json())["choices"][0]["message"]["content"] == "scripted"
        for open_url in (server.host(sample_picture()), f"{server.origin}/healthz"):
            async with http.get(open_url) as answer:
                assert answer.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "found"),
    [
        ("GET", "/healthz", 200, '"ok"'),
        ("GET", "/v1/models", 200, '"success":true,"object":"list"'),
        ("GET", "/v1/models/gpt-4o", 200, '"owned_by":"openai"'),
        ("GET", "/v1/models/gpt-4o-image", 200, '"code":"model_not_found"'),
        ("GET", "/v1/models/nope", 200, "The model 'nope' does not exist"),
        ("POST", "/v1/x", 404, "Invalid URL (POST /v1/x)"),
        ("GET", "/v1/chat/completions", 404, "Invalid URL (GET /v1/chat/completions)"),
        ("GET", "/v1/files/nope.png", 404, "no such image"),
        ("POST", "/chat/completions", 200, "<!doctype html>"),
        ("GET", "/", 200, "<title>New API</title>"),
        ("POST", "/v1/chat/completions/", 307, ""),
        ("GET", "/v1/models/", 301, ""),
    ],
)
async def test_answers_every_path_as_a_relay_does(
    server: Server, http: aiohttp.ClientSession, *, method: str, path: str, status: int, found: str
) -> None:
    async with http.request(method, f"{server.origin}{path}", allow_redirects=False) as answer:
        assert answer.status == status
        assert found in await answer.text()
        assert answer.headers["X-Oneapi-Request-Id"]
        assert answer.headers.get("Location") == (path.rstrip("/") if status in {301, 307} else None)


async def test_every_request_has_an_id_of_its_own(server: Server, http: aiohttp.ClientSession) -> None:
    ids = set()
    for _ in range(20):
        async with http.get(f"{server.base_url}/models") as answer:
            ids.add(answer.headers["X-Oneapi-Request-Id"])
    assert len(ids) == 20


async def test_gives_scripted_answers_in_order_and_then_thinks_again(
    server: Server, http: aiohttp.ClientSession
) -> None:
    server.answers(says("first"), fails(503, "no channel", code="model_not_found"))
    assert (await chat(http, server))["choices"][0]["message"]["content"] == "first"
    assert (await chat(http, server))["error"]["code"] == "model_not_found"
    assert "stand-in" in (await chat(http, server))["choices"][0]["message"]["content"]


async def test_asks_a_function_for_the_answer(server: Server, http: aiohttp.ClientSession) -> None:
    def echo(recorded: Recorded) -> Any:
        return says(recorded.json["messages"][0]["content"].upper())

    server.answers(echo)
    assert (await chat(http, server))["choices"][0]["message"]["content"] == "HELLO THERE"


async def test_scripts_a_single_path(server: Server, http: aiohttp.ClientSession) -> None:
    server.answers(raw(200, b"<html>", {"Content-Type": "text/html"}), path="/v1/files/a.png")
    assert (await chat(http, server))["choices"]
    async with http.get(f"{server.base_url}/files/a.png") as answer:
        assert (answer.content_type, await answer.read()) == ("text/html", b"<html>")


async def test_records_what_it_was_asked(server: Server, http: aiohttp.ClientSession) -> None:
    url = f"{server.base_url}/chat/completions?tag=a"
    async with http.post(url, json=HELLO, headers={"X-Own": "yes"}) as answer:
        await answer.read()
    await server.until(lambda: server.in_flight == 0)
    (seen,) = server.requests
    assert (seen.method, seen.path, seen.query["tag"], seen.headers["x-own"]) == (
        "POST",
        "/v1/chat/completions",
        "a",
        "yes",
    )
    assert seen.json == HELLO
    assert (seen.size_bytes, seen.sha256) == (len(seen.body), hashlib.sha256(seen.body).hexdigest())
    assert (seen.finished, seen.aborted, seen.index) == (True, False, 0)


async def test_keeps_little_of_a_large_body_but_measures_all(server: Server, http: aiohttp.ClientSession) -> None:
    body = json.dumps({**HELLO, "padding": "x" * 5_000_000}).encode()
    headers = {"Content-Type": "application/json"}
    async with http.post(f"{server.base_url}/chat/completions", data=io.BytesIO(body), headers=headers) as answer:
        assert (await answer.json())["choices"]
    (seen,) = server.requests
    assert (len(seen.body), seen.size_bytes) == (2**20, len(body))
    assert seen.sha256 == hashlib.sha256(body).hexdigest()
    with pytest.raises(ValueError, match="only 1048576 of the body's"):
        _ = seen.json


async def test_inflates_a_gzip_body(server: Server, http: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    data = gzip.compress(json.dumps(HELLO).encode())
    async with http.post(f"{server.base_url}/chat/completions", data=data, headers=headers) as answer:
        assert (await answer.json())["choices"]
    assert server.requests[0].json == HELLO


async def test_tells_connections_apart(server: Server, http: aiohttp.ClientSession) -> None:
    await chat(http, server)
    await chat(http, server)
    server.answers(says("slow", delay=0.1))
    await asyncio.gather(chat(http, server), chat(http, server))
    first, second, *rest = (seen.connection for seen in server.requests)
    assert first == second
    assert len({*rest}) == 2
    assert server.open_connections == 2


async def test_counts_what_is_in_flight(server: Server, http: aiohttp.ClientSession) -> None:
    go = asyncio.Event()
    server.answers(*[Held(says("slow"), go)] * 5)
    tasks = [asyncio.create_task(chat(http, server)) for _ in range(5)]
    await server.until(lambda: server.in_flight == 5)
    go.set()
    await asyncio.gather(*tasks)
    await server.until(lambda: server.in_flight == 0)
    assert server.peak_in_flight == 5


async def test_measures_the_gaps_between_requests(server: Server, http: aiohttp.ClientSession) -> None:
    await chat(http, server)
    await asyncio.sleep(0.1)
    await chat(http, server)
    assert len(server.gaps) == 1
    assert 0.1 <= server.gaps[0] < 10


async def hang_up(http: aiohttp.ClientSession, server: Server, answer: Scripted, body: Body) -> Recorded:
    server.answers(answer)
    task = asyncio.create_task(chat(http, server, body))
    await server.until(lambda: server.in_flight == 1)
    await asyncio.sleep(0.02)
    task.cancel()
    return await server.wait_closed(timeout=10)


@pytest.mark.parametrize(
    "answer", [says("late", delay=30), streams([chunk("a")], then="hang"), says("word " * 500, token_delay=0.05)]
)
async def test_notices_a_client_that_leaves(server: Server, http: aiohttp.ClientSession, answer: Scripted) -> None:
    seen = await hang_up(http, server, answer, {**HELLO, "stream": True})
    assert (seen.aborted, seen.finished) == (True, False)
    await server.until(lambda: server.in_flight == 0 and server.open_connections == 0)


async def test_notices_a_client_that_leaves_while_it_uploads(server: Server) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(server.origin.rsplit(":", 1)[1]))
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await server.wait_requests(1)
    writer.close()
    await writer.wait_closed()
    assert (await server.wait_closed()).size_bytes <= 1


async def test_says_go_on_to_those_who_ask_first(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.origin.rsplit(":", 1)[1]))
    body = json.dumps(HELLO).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    await writer.wait_closed()


async def test_waiting_for_what_never_happens_times_out(server: Server) -> None:
    with pytest.raises(TimeoutError):
        await server.wait_requests(1, timeout=0.05)


async def test_closes_at_once_whatever_is_open(http: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(15), serve() as server:  # Half as long as the answer that nobody gets.
        server.answers(says("slow", delay=30), streams([chunk("a")], then="hang"))
        tasks = [asyncio.create_task(chat(http, server, stream=True)) for _ in range(2)]
        _, idle = await asyncio.open_connection("127.0.0.1", int(server.origin.rsplit(":", 1)[1]))
        await server.wait_requests(2)
        await server.until(lambda: server.open_connections == 3)
    assert not any(seen.aborted for seen in server.requests)
    assert all(isinstance(each, Exception) for each in await asyncio.gather(*tasks, return_exceptions=True))
    idle.close()


async def test_runs_in_a_thread_for_any_loop(http: aiohttp.ClientSession) -> None:
    with serve_in_thread() as server:
        server.answers(says("from a thread"), says("late", delay=30))
        assert (await chat(http, server))["choices"][0]["message"]["content"] == "from a thread"
        task = asyncio.create_task(chat(http, server))
        await server.wait_requests(2)
        task.cancel()
        assert (await server.wait_closed()).aborted
        server.answers(says("late", delay=30))
        unanswered = asyncio.create_task(chat(http, server))
        await server.wait_requests(3)
    with pytest.raises(aiohttp.ClientError):
        await unanswered


def test_a_thread_that_cannot_listen_says_so() -> None:
    with serve_in_thread() as server:
        port = int(server.origin.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="address already in use"), serve_in_thread(port=port):
            pass


async def test_resets_to_a_clean_slate(server: Server) -> None:
    server.token_delay, server.picture_form = 1.0, "b64"
    server.answers(rate_limited(1))
    server.reset()
    assert (server.token_delay, server.picture_form, server.requests) == (0.0, "url", [])


async def test_speaks_tls_and_ipv6_in_its_addresses() -> None:
    async with serve(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) as server:
        assert server.base_url.startswith("https://127.0.0.1:")
    async with serve(host="::1") as server, aiohttp.ClientSession() as http:
        assert server.origin.startswith("http://[::1]:")
        assert (await chat(http, server))["choices"]


QUIET = """
import asyncio, aiohttp
from tutuclient.testing import says, serve, streams
async def main():
    async with serve() as server, aiohttp.ClientSession() as http:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        server.answers(says("a"), streams([], then="reset"), streams([], then="hang"))
        for _ in range(3):
            try:
                async with asyncio.timeout(0.3), http.post(server.base_url + "/chat/completions", json=body) as answer:
                    await answer.read()
            except (aiohttp.ClientError, TimeoutError):
                pass
asyncio.run(main())
"""


def test_is_quiet_in_development_mode() -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", QUIET]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])  # noqa: S603  (our own code)
    assert (done.returncode, done.stdout, without_slow_steps(done.stderr)) == (0, "", "")


def test_opens_its_heavy_rooms_late() -> None:
    code = "import sys, tutuclient.testing.plugin; print('aiohttp' in sys.modules, 'PIL' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])  # noqa: S603  (our own code)
    assert done.stdout.split() == ["False", "False"]


def test_the_door_opens_what_it_lists() -> None:
    import tutuclient.testing as door  # noqa: PLC0415 - the door itself is what is tested.

    listed = {name: getattr(door, name) for name in door.__all__}
    assert len(listed) == len(door.__all__)
    assert set(door.__all__) <= set(dir(door))
    with pytest.raises(AttributeError, match="nothing"):
        _ = door.nothing


async def test_a_record_shows_neither_the_key_nor_the_body(server: Server, http: aiohttp.ClientSession) -> None:
    async with http.post(
        f"{server.base_url}/chat/completions", json={"secret": "words"}, headers={"Authorization": "Bearer sk-secret"}
    ):
        assert "secret" not in repr(server.requests[0])
