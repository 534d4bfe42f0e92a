import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest

from tutuclient.testing import (
    PICTURE_FORMS,
    Scripted,
    Server,
    chunk,
    draws,
    event,
    fails,
    rate_limited,
    raw,
    says,
    sends,
    streams,
)
from tutuclient.testing.answers import media_type

BODY: dict[str, Any] = {"model": "gpt-4o-image", "messages": [{"role": "user", "content": "a cat"}]}


async def ask(
    http: aiohttp.ClientSession, server: Server, answer: Scripted, **extra: Any
) -> tuple[aiohttp.ClientResponse, bytes]:
    server.answers(answer)
    async with http.post(f"{server.base_url}/chat/completions", json={**BODY, **extra}) as response:
        return response, await response.read()


async def message(http: aiohttp.ClientSession, server: Server, answer: Scripted, **extra: Any) -> Any:
    _, body = await ask(http, server, answer, **extra)
    return json.loads(body)["choices"][0]["message"]


async def deltas(http: aiohttp.ClientSession, server: Server, answer: Scripted) -> list[Any]:
    _, body = await ask(http, server, answer, stream=True)
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines() if line and "[DONE]" not in line]
    return [json.loads(line)["choices"][0]["delta"] for line in lines]


async def test_says_a_text_with_fields_in_their_places(server: Server, http: aiohttp.ClientSession) -> None:
    scripted = says("hm", finish_reason="length", id="own", reasoning_content="thinking", usage=False)
    _, body = await ask(http, server, scripted)
    answer = json.loads(body)
    assert answer["id"] == "own"
    assert "usage" not in answer
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["choices"][0]["message"]["reasoning_content"] == "thinking"


async def test_says_exactly_the_usage_it_is_given(server: Server, http: aiohttp.ClientSession) -> None:
    _, body = await ask(http, server, says("hm", usage={"total_tokens": None}))
    assert json.loads(body)["usage"] == {"total_tokens": None}


async def test_streams_tool_calls_name_first_and_arguments_in_pieces(
    server: Server, http: aiohttp.ClientSession
) -> None:
    arguments = '{"city":"Oslo"}'
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}]
    first = {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    _, named, *pieces, _ = await deltas(http, server, says("", tool_calls=calls))
    assert named == {"tool_calls": [{"index": 0, **first}]}
    assert "".join(piece["tool_calls"][0]["function"]["arguments"] for piece in pieces) == arguments
    assert (await message(http, server, says("", tool_calls=calls)))["tool_calls"] == calls


@pytest.mark.parametrize("text", ["", " ", "a  b\n\nc ", "你好, world。1.5 and ..47..72", "x" * 1000, "🙂é\u0301"])
async def test_streams_a_text_without_loss(server: Server, http: aiohttp.ClientSession, text: str) -> None:
    assert "".join(delta.get("content", "") for delta in await deltas(http, server, says(text))) == text


async def test_sends_raw_bytes_as_they_are(server: Server, http: aiohttp.ClientSession) -> None:
    response, body = await ask(http, server, raw(418, b"\x00tea", {"Content-Type": "x/y", "X-A": "b"}, delay=0.01))
    assert (response.status, body, response.content_type, response.headers["X-A"]) == (418, b"\x00tea", "x/y", "b")


async def test_fails_in_the_words_of_new_api(server: Server, http: aiohttp.ClientSession) -> None:
    response, body = await ask(http, server, fails(503, "无可用渠道", code=7, headers={"X-A": "b"}, delay=0.01))
    error = json.loads(body)["error"]
    assert (response.status, error["code"], error["type"]) == (503, 7, "new_api_error")
    assert error["message"].startswith("无可用渠道 (request id: ")
    assert response.headers["X-A"] == "b"


@pytest.mark.parametrize(("asked", "header"), [(None, None), (0.2, "0.2"), (3, "3"), ("soon", "soon")])
async def test_asks_to_wait(server: Server, http: aiohttp.ClientSession, asked: Any, header: str | None) -> None:
    response, _ = await ask(http, server, rate_limited(asked, headers={"retry-after-ms": "9"}))
    assert (response.status, response.headers.get("Retry-After")) == (429, header)
    assert response.headers["retry-after-ms"] == "9"


async def test_streams_frames_of_every_kind(server: Server, http: aiohttp.ClientSession) -> None:
    response, body = await ask(http, server, streams([{"a": "é"}, "text", b": raw\n\n"], content_type="text/x"))
    assert body == 'data: {"a":"é"}\n\ndata: text\n\n: raw\n\ndata: [DONE]\n\n'.encode()
    assert response.content_type == "text/x"


@pytest.mark.parametrize(("sizes", "first"), [(2, [2, 2, 2, 2]), ([1, 3, 5], [1, 3, 5, 5]), (None, [14, 14])])
async def test_cuts_a_stream_where_asked(
    server: Server, http: aiohttp.ClientSession, sizes: Any, first: list[int]
) -> None:
    server.answers(streams([{"a": 1.0}, {"b": 2.0}], chunk_sizes=sizes, done=False, delay=0.005))
    async with http.post(f"{server.base_url}/chat/completions", json=BODY) as response:
        lengths = [len(piece) async for piece, _ in response.content.iter_chunks()]
    assert sum(lengths) == 2 * len('data: {"a":1.0}\n\n')
    if sizes is not None:
        assert lengths[:4] == first


@pytest.mark.parametrize("then", ["fin", "reset"])
async def test_cuts_the_connection_after_what_was_read(server: Server, http: aiohttp.ClientSession, then: Any) -> None:
    server.answers(streams([chunk("a")], done=False, then=then))
    async with http.post(f"{server.base_url}/chat/completions", json=BODY) as response:
        assert b'"content":"a"' in await response.content.readany()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await server.until(lambda: server.in_flight == 0)
    assert not server.requests[0].aborted


async def test_hangs_after_the_last_frame(server: Server, http: aiohttp.ClientSession) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), http.post(f"{server.base_url}/chat/completions", json=BODY) as response:
            await response.read()
    assert (await server.wait_closed()).aborted


async def test_draws_in_every_form(server: Server, http: aiohttp.ClientSession) -> None:
    picture = b"\x89PNG not really"
    data = base64.b64encode(picture).decode()
    url = server.host(picture, "a.png")
    server.host = lambda _data, _name=None: url  # type: ignore[method-assign, assignment]  # hosts nothing
    seen = {form: await message(http, server, draws(picture, form=form)) for form in PICTURE_FORMS if form != "data"}
    part = {"type": "image_url", "index": 0, "image_url": {"url": f"data:image/png;base64,{data}", "detail": "auto"}}
    assert seen["url"]["content"] == f"图像修改完成,请查看链接:{url}"
    assert seen["bare"]["content"] == url
    assert seen["markdown"]["content"] == f"![a.png]({url})"
    assert seen["alt"]["content"] == f"![{url}]({url})"
    assert seen["link"]["content"] == f"[点击下载]({url})"
    assert seen["b64"]["content"] == f"![image](data:image/png;base64,{data})"
    assert seen["images"]["images"] == [part]
    assert seen["image"]["image"] == {"url": f"data:image/png;base64,{data}"}
    assert seen["raw_b64"]["images"][0]["image_url"]["url"] == data
    assert seen["parts"]["content"][1] == part
    assert f"![a.png]({url})" in seen["progress"]["content"]
    assert "进度 36..47..72..[100]" in seen["progress"]["content"]
    _, body = await ask(http, server, draws(picture, form="data"))
    assert json.loads(body)["data"][0]["url"] == url


async def test_draws_as_the_request_or_the_server_likes(server: Server, http: aiohttp.ClientSession) -> None:
    server.picture_form = "markdown"
    elsewhere = "https://example.com/x.png"
    assert (await message(http, server, draws(elsewhere)))["content"] == f"![x.png]({elsewhere})"
    assert (await message(http, server, draws(elsewhere), image_format="bare"))["content"] == elsewhere
    words = await message(http, server, draws(elsewhere, form="url", language="en", note="Done."))
    assert words["content"] == f"Done.\n\nThe image is ready, see the link:{elsewhere}"


async def test_draws_a_pixel_when_given_no_image(server: Server, http: aiohttp.ClientSession) -> None:
    content = (await message(http, server, draws(form="bare", delay=0.01)))["content"]
    async with http.get(content) as response:
        assert (await response.read()).startswith(b"\x89PNG")


async def test_streams_an_image_in_one_fat_delta(server: Server, http: aiohttp.ClientSession) -> None:
    assert max(len(d.get("content", "")) for d in await deltas(http, server, draws(b"x" * 9000, form="b64"))) > 12000
    assert "images" in (await deltas(http, server, draws(b"x", form="images")))[1]
    assert isinstance((await deltas(http, server, draws(b"x", form="parts")))[1]["content"], list)


def test_draws_in_no_unknown_form() -> None:
    with pytest.raises(ValueError, match="no image form 'jpeg'"):
        draws(form="jpeg")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBP", "image/webp"),
        (b"GIF89a", "image/gif"),
        (b"?", "image/png"),
    ],
)
def test_names_media_types_by_the_first_bytes(data: bytes, name: str) -> None:
    assert media_type(data) == name


async def test_counts_tokens_of_texts_and_images(server: Server, http: aiohttp.ClientSession) -> None:
    parts: list[Any] = [{"type": "text", "text": "two words"}, {"type": "image_url", "image_url": "x"}, "odd", 7]
    _, body = await ask(http, server, says("一二"), messages=[{"role": "user", "content": parts}, "odd", {}])
    assert json.loads(body)["usage"] == {"prompt_tokens": 88, "completion_tokens": 2, "total_tokens": 90}


async def test_streams_a_call_whose_arguments_are_no_text_at_once(server: Server, http: aiohttp.ClientSession) -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": {"odd": True}}}
    assert (await deltas(http, server, says("", tool_calls=[call])))[1] == {"tool_calls": [{"index": 0, **call}]}


async def test_gives_the_reason_that_fits_what_is_said(server: Server, http: aiohttp.ClientSession) -> None:
    for fields, reason in (
        ({"tool_calls": [{}]}, "tool_calls"),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({}, "stop"),
    ):
        _, body = await ask(http, server, says("", **fields))
        assert json.loads(body)["choices"][0]["finish_reason"] == reason


async def test_sends_any_value_as_json(server: Server, http: aiohttp.ClientSession) -> None:
    vector = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
    response, body = await ask(http, server, sends(vector, status=201, headers={"X-A": "b"}, delay=0.01))
    assert (response.status, response.content_type, response.headers["X-A"]) == (201, "application/json", "b")
    assert json.loads(body) == vector


async def test_streams_typed_events(server: Server, http: aiohttp.ClientSession) -> None:
    _, body = await ask(http, server, streams([event({"type": "a.b", "c": 1}), event({}, "error")], done=False))
    assert body == b'event: a.b\ndata: {"type":"a.b","c":1}\n\nevent: error\ndata: {}\n\n'


async def test_names_the_field_that_is_wrong(server: Server, http: aiohttp.ClientSession) -> None:
    _, body = await ask(http, server, fails(400, "no", param="size"))
    assert json.loads(body)["error"]["param"] == "size"
