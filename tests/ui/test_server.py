"""The server of the page, asked without a browser: headers, uploads, calls, and who may not have what."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from typing import Any

import aiohttp
import pytest

from tests.leftovers import nothing_left
from tests.ui.conftest import KEY, Visitor, asked
from tutuclient import Relay, TutuClient
from tutuclient.testing import Server, fails, sample_picture, says, serve
from tutuclient.ui import Page, gate, serve_page
from tutuclient.ui import server as module
from tutuclient.ui.images import MOST_UPLOAD

HEADERS = {name: value for name, value in gate.HEADERS.items() if name != "Content-Security-Policy"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/app.js"), ("GET", "/nothing"), ("GET", "/api/about"), ("POST", "/api/nothing"),
     ("DELETE", "/"), ("OPTIONS", "/api/calls"), ("HEAD", "/")],
)  # fmt: skip
async def test_every_answer_has_the_headers(visitor: Visitor, method: str, path: str) -> None:
    answer = await visitor.ask(method, path)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; ")
    assert not [name for name in answer.headers if name.startswith("Access-Control") or name == "Set-Cookie"]


async def test_the_policy_lets_nothing_in_and_nothing_out(visitor: Visitor) -> None:
    policy = (await visitor.ask("GET", "/")).headers["Content-Security-Policy"].split("; ")
    assert set(policy) == {
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:",
        "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
        "require-trusted-types-for 'script'", "trusted-types 'none'",
    }  # fmt: skip


async def test_files_are_asked_for_again_and_sent_once(visitor: Visitor) -> None:
    first = await visitor.ask("GET", "/app.js")
    assert (first.status, first.content_type, first.headers["Cache-Control"]) == (200, "text/javascript", "no-cache")
    again = await visitor.ask("GET", "/app.js", If_None_Match=first.headers["ETag"])
    assert (again.status, await again.read()) == (304, b"")
    assert (await visitor.ask("GET", "/app.js", If_None_Match='"other"')).status == 200


async def test_the_page_opens_without_a_token_and_can_do_nothing_with_that(visitor: Visitor) -> None:
    assert (await visitor.ask("GET", "/", X_Tutu_Token="")).status == 200
    for method, path in (
        ("GET", "/api/about"), ("GET", "/api/models"), ("POST", "/api/images"), ("POST", "/api/sample"),
        ("POST", "/api/code"), ("POST", "/api/calls"), ("GET", "/api/calls/x"), ("POST", "/api/calls/x/stop"),
    ):  # fmt: skip
        answer = await visitor.ask(method, path, X_Tutu_Token="")
        assert (answer.status, (await answer.json())["error"]["code"]) == (403, "token")


async def test_a_token_is_of_one_start(ui_client: TutuClient, page: Page) -> None:
    async with serve_page(ui_client) as other:
        assert other.address.partition("#")[2] != page.address.partition("#")[2]
        assert len(other.address.partition("#")[2]) == 32


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Host": "evil.example"}, 421, "host"),
        ({"Origin": "http://evil.example"}, 403, "origin"),
        ({"Sec_Fetch_Site": "cross-site"}, 403, "origin"),
        ({"Sec_Fetch_Site": "same-site"}, 403, "origin"),
    ],
)
async def test_nobody_else_starts_a_call(
    visitor: Visitor, server: Server, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await visitor.ask("POST", "/api/calls", body=asked("generate"), **headers)
    assert (answer.status, (await answer.json())["error"]["code"]) == (status, code)
    assert server.requests == []


# --- images -----------------------------------------------------------------------------------------------------------


async def test_an_image_is_kept_and_shown_as_what_its_bytes_are(visitor: Visitor) -> None:
    image = await visitor.upload(name="%E7%8C%AB.jpg")
    assert (image["name"], image["mime"], image["size"]) == ("猫.png", "image/png", len(sample_picture()))
    shown = await visitor.ask("GET", image["src"], X_Tutu_Token="")  # An <img> sends none.
    assert (shown.status, shown.content_type, await shown.read()) == (200, "image/png", sample_picture())
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    assert shown.headers["Cache-Control"] == "no-store"
    assert (await visitor.ask("GET", image["src"], Sec_Fetch_Site="cross-site")).status == 403
    assert (await visitor.ask("GET", "/images/guessed")).status == 404


async def test_what_is_no_image_is_refused_by_its_bytes(visitor: Visitor) -> None:
    answer = await visitor.ask("POST", "/api/images?name=cat.png", body=b"<script>alert(1)</script>")
    error = (await answer.json())["error"]
    assert (answer.status, error["code"], error["outcome"]) == (400, "image", "not_sent")
    assert "cat.png is no image that can be sent" in error["message"]


async def test_an_image_that_is_too_large_is_refused_by_its_length_before_it_is_read(visitor: Visitor) -> None:
    answer = await visitor.ask("POST", "/api/images", body=b"\0" * (MOST_UPLOAD + 1))
    error = (await answer.json())["error"]
    assert (answer.status, error["code"], error["limit"]) == (413, "too_large", MOST_UPLOAD)
    assert "larger than 20 MiB: shrink it first" in error["message"]


async def test_a_length_that_is_too_large_is_refused_before_a_byte_has_come(visitor: Visitor) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(visitor.origin.rpartition(":")[2]))
    head = (
        "POST /api/images HTTP/1.1",
        "Host: 127.0.0.1",
        f"X-Tutu-Token: {visitor.token}",
        f"Content-Length: {10**12}",
    )
    writer.write("\r\n".join((*head, "", "")).encode())
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_an_endless_upload_is_cut_at_the_limit(visitor: Visitor) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 2**20
            yield b"\0" * 2**20

    try:
        status = (await visitor.ask("POST", "/api/images", body=endless())).status
    except aiohttp.ClientError:  # It may be cut before its answer is read.
        status = 413
    assert status == 413
    assert sent < 2 * MOST_UPLOAD + 64 * 2**20


async def test_an_upload_that_stalls_ends(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_S", 0.05)

    async def stalls() -> Any:
        yield b"\x89PNG"
        await asyncio.Event().wait()

    answer = await visitor.ask("POST", "/api/images", body=stalls())
    assert answer.status == 408


async def test_there_is_a_sample_unless_pillow_is_missing(
    visitor: Visitor, ui_client: TutuClient, http: aiohttp.ClientSession
) -> None:
    assert (await (await visitor.ask("POST", "/api/sample")).json())["name"] == "sample.png"

    def missing() -> bytes:
        raise ImportError

    for sample, status in ((missing, 501), (None, 404)):
        async with serve_page(ui_client, sample=sample) as other:
            assert (await Visitor(other, http).ask("POST", "/api/sample")).status == status


# --- calls ------------------------------------------------------------------------------------------------------------


async def test_a_question_streams_its_events(visitor: Visitor) -> None:
    image = await visitor.upload()
    answer = await visitor.start("ask", image=image["id"])
    assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
    events = [json.loads(line) for line in (await answer.text()).splitlines() if line]
    assert events[0]["type"] == "text"
    assert events[-1]["type"] == "done"


async def test_an_order_that_is_sent_twice_is_made_once(visitor: Visitor, server: Server) -> None:
    image = await visitor.upload()
    order = asked("edit", prompt="Put a blue sky behind it", image=image["id"])
    both = await asyncio.gather(*(visitor.ask("POST", "/api/calls", body=order) for _ in range(5)))
    texts = {(await each.text()).strip().splitlines()[-1] for each in both}
    again = await visitor.ask("GET", f"/api/calls/{order['id']}")
    texts.add((await again.text()).strip().splitlines()[-1])
    assert len(texts) == 1
    assert len(server.requests) == 1
    other = await visitor.ask("POST", "/api/calls", body={**order, "prompt": "Another sky"})
    assert (other.status, (await other.json())["error"]["code"]) == (409, "conflict")


async def test_a_page_that_is_loaded_again_gets_the_image_it_has_ordered(visitor: Visitor, server: Server) -> None:
    server.token_delay = 0.2
    order = asked("generate", prompt="an orange cat")
    answer = await visitor.ask("POST", "/api/calls", body=order)
    await server.wait_requests(1)
    answer.close()
    server.token_delay = 0.0
    again = await visitor.ask("GET", f"/api/calls/{order['id']}")
    events = [json.loads(line) for line in (await again.text()).splitlines() if line]
    assert [each["type"] for each in events][-2:] == ["image", "done"]
    assert (await visitor.ask("GET", events[-2]["src"])).status == 200
    assert len(server.requests) == 1


async def test_leaving_a_question_closes_the_relays_connection(
    visitor: Visitor, server: Server, ui_client: TutuClient
) -> None:
    server.token_delay = 30
    image = await visitor.upload()
    answer = await visitor.start("ask", image=image["id"])
    await server.wait_requests(1)
    answer.close()
    await server.wait_closed(0)
    server.token_delay = 0
    assert (await visitor.events("ask", image=image["id"]))[-1]["type"] == "done"
    assert [each for each in await nothing_left(ui_client) if "task" not in each] == []


async def test_stopping_an_order_is_told_to_the_server(visitor: Visitor, server: Server) -> None:
    server.token_delay = 30
    order = asked("generate", prompt="an orange cat")
    answer = await visitor.ask("POST", "/api/calls", body=order)
    await server.wait_requests(1)
    assert await (await visitor.ask("POST", f"/api/calls/{order['id']}/stop")).json() == {"stopped": True}
    await server.wait_closed(0)
    last = json.loads((await answer.text()).strip().splitlines()[-1])
    assert (last["type"], last["outcome"]) == ("stopped", "unknown")
    assert await (await visitor.ask("POST", "/api/calls/unknown/stop")).json() == {"stopped": False}
    assert (await visitor.ask("GET", "/api/calls/unknown")).status == 404


async def test_a_reader_that_reads_nothing_is_dropped_and_its_question_ends(
    visitor: Visitor, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "_WRITE_S", 0.05)
    monkeypatch.setattr("aiohttp.web.StreamResponse.write", full)
    server.token_delay = 30
    image = await visitor.upload()
    answer = await visitor.start("ask", image=image["id"])
    with pytest.raises(aiohttp.ClientError):
        await answer.text()
    await server.wait_closed(0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"id": "\xff"}', "cannot be read"),
        (json.dumps(asked("ask", prompt=" ")).encode(), "the prompt or the model is empty"),
        (json.dumps(asked("ask", model="")).encode(), "the prompt or the model is empty"),
        (json.dumps(asked("delete", model="m")).encode(), "Invalid enum value 'delete'"),
        (json.dumps(asked("ask", base_url="http://evil.example")).encode(), "unknown field"),
        (b"x" * (2**20 + 1), "longer than"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(
    visitor: Visitor, server: Server, body: bytes, words: str
) -> None:
    for path in ("/api/calls", "/api/code"):
        answer = await visitor.ask("POST", path, body=body)
        assert answer.status == 400
        assert words in (await answer.json())["error"]["message"]
    assert server.requests == []


async def test_a_bad_id_and_too_many_calls_are_refused(
    visitor: Visitor, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await visitor.ask("POST", "/api/calls", body={**asked("generate"), "id": "x"})).status == 400
    monkeypatch.setattr("tutuclient.ui.calls.MOST_RUNNING", 0)
    answer = await visitor.ask("POST", "/api/calls", body=asked("generate"))
    assert (answer.status, (await answer.json())["error"]["code"]) == (429, "busy")
    assert server.requests == []


async def test_the_code_is_of_the_image_that_is_kept(visitor: Visitor, server: Server) -> None:
    image = await visitor.upload(name="my%20cat.png")
    made = await (await visitor.ask("POST", "/api/code", body=asked("edit", image=image["id"]))).json()
    assert 'client.edit("my cat.png", ' in made["python"]
    assert "base64 < 'my cat.png'" in made["curl"]
    assert server.base_url in made["python"]
    assert server.requests == []


# --- the relay --------------------------------------------------------------------------------------------------------


async def test_what_the_page_is_told_about_the_relay(visitor: Visitor, server: Server) -> None:
    about = await (await visitor.ask("GET", "/api/about")).json()
    assert (about["relay"], about["standIn"], about["sample"], about["most"]) == (
        server.base_url,
        False,
        True,
        MOST_UPLOAD,
    )


async def test_models_are_listed_once_for_all_tabs_and_are_no_need(
    visitor: Visitor, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def listed() -> list[str]:
        return list((await (await visitor.ask("GET", "/api/models")).json())["models"])

    server.answers(fails(401, "无效的令牌"))
    # Neither tabs that open together nor those that open later ask a relay again that has no list.
    assert await asyncio.gather(*[listed() for _ in range(5)]) == [[]] * 5
    assert await listed() == []
    assert len(server.requests) == 1
    monkeypatch.setattr(module, "_NO_MODELS_S", 0.0)
    for models in await asyncio.gather(*[listed() for _ in range(5)]):
        assert "gpt-4o" in models
    assert len(server.requests) == 2


async def test_the_key_is_nowhere(visitor: Visitor, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers(fails(401, f"Incorrect API key provided: {KEY}"), says(f"It is {KEY}"), says("no image"))
    image, seen = await visitor.upload(), ""
    for task in ("ask", "ask", "edit", "generate"):
        seen += await (await visitor.start(task, image=image["id"])).text()
    for path in ("/", "/app.js", "/words.js", "/style.css", "/api/about", "/api/models"):
        answer = await visitor.ask("GET", path)
        seen += await answer.text() + str(answer.headers)
    for task in ("ask", "edit", "generate"):
        seen += await (
            await visitor.ask("POST", "/api/code", body=asked(task, image=image["id"], prompt=KEY[:-1]))
        ).text()
    assert len(server.requests) == 5
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in seen + caplog.text
    assert "***" in seen


async def test_the_keys_of_all_relays_are_nowhere(server: Server, http: aiohttp.ClientSession) -> None:
    async with serve() as other:
        relays = [Relay(server.base_url, f"{KEY}-a"), Relay(other.base_url, f"{KEY}-b")]
        server.answers(says(f"It is {KEY}-a"))
        other.answers(says(f"It is {KEY}-b"))
        async with TutuClient(relays=relays) as client, serve_page(client) as page:
            visitor = Visitor(page, http)
            image, seen = await visitor.upload(), ""
            for _ in range(2):
                seen += await (await visitor.start("ask", image=image["id"])).text()
        assert (len(server.requests), len(other.requests)) == (1, 1)
    assert KEY not in seen
    assert "***" in seen


async def test_leaving_the_block_ends_what_runs(
    ui_client: TutuClient, server: Server, http: aiohttp.ClientSession
) -> None:
    server.token_delay = 30
    async with serve_page(ui_client) as page:
        await Visitor(page, http).ask(
            "POST", "/api/calls", body=asked("generate", prompt=f"a cat {secrets.token_hex(4)}")
        )
        await server.wait_requests(1)
    await server.wait_closed(0)
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get(page.origin)


async def test_where_it_cannot_listen_it_says_so(ui_client: TutuClient, page: Page) -> None:
    with pytest.raises(OSError, match="address already in use"):
        async with serve_page(ui_client, port=int(page.origin.rpartition(":")[2])):
            pass


async def test_it_listens_on_ipv6_too(ui_client: TutuClient, http: aiohttp.ClientSession) -> None:
    async with serve_page(ui_client, "::1") as page:
        assert page.origin.startswith("http://[::1]:")
        assert (await Visitor(page, http).ask("GET", "/api/about")).status == 200
