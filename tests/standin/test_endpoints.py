import io
import sys
from typing import Any

import aiohttp
import pytest

from tutuclient.testing import Server, sample_sound

WITHOUT_PILLOW: dict[str, dict[str, Any]] = {
    "/chat/completions": {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]},
    "/completions": {"model": "m", "prompt": "hi"},
    "/embeddings": {"model": "m", "input": "hi"},
    "/audio/speech": {"model": "m", "input": "hi", "voice": "alloy"},
}


async def test_every_endpoint_answers(server: Server, http: aiohttp.ClientSession) -> None:
    bodies = {**WITHOUT_PILLOW, "/images/generations": {"model": "m", "prompt": "hi", "size": "16x16"}}
    for path, body in bodies.items():
        async with http.post(f"{server.base_url}{path}", json=body) as answer:
            assert (path, answer.status) == (path, 200)


@pytest.mark.parametrize(
    "path",
    ["/completions", "/embeddings", "/images/generations", "/audio/speech", "/audio/transcriptions", "/images/edits"],
)
@pytest.mark.parametrize(("kind", "body"), [("text/plain", b"{}"), ("application/json", b"{")])
async def test_every_endpoint_complains_of_a_body_it_cannot_read(
    server: Server, http: aiohttp.ClientSession, path: str, kind: str, body: bytes
) -> None:
    async with http.post(f"{server.base_url}{path}", data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "invalid_request"


async def test_wants_a_model_where_new_api_has_no_usual_one(server: Server, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{server.base_url}/embeddings", json={"input": "hi"}) as answer:
        assert (await answer.json())["error"]["message"].startswith("未指定模型名称")
    async with http.post(f"{server.base_url}/audio/speech", json={"input": "hi", "voice": "x"}) as answer:
        assert answer.status == 200


async def test_redirects_a_slash_too_many_and_knows_no_other_method(
    server: Server, http: aiohttp.ClientSession
) -> None:
    async with http.post(f"{server.base_url}/embeddings/", json={}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (307, "/v1/embeddings")
    async with http.get(f"{server.base_url}/embeddings") as answer:
        assert answer.status == 404


async def test_records_the_form_of_a_request(server: Server, http: aiohttp.ClientSession) -> None:
    data = aiohttp.FormData({"model": "whisper-1", "prompt": "names"})
    data.add_field("file", sample_sound("hi"), filename="talk.wav", content_type="audio/wav")
    async with http.post(f"{server.base_url}/audio/transcriptions", data=data) as answer:
        assert answer.status == 200
    form = server.requests[-1].form
    assert form.fields == {"model": "whisper-1", "prompt": "names"}
    (file,) = form.files
    assert (file.name, file.filename, file.content_type) == ("file", "talk.wav", "audio/wav")
    assert file.content == sample_sound("hi")


async def test_records_long_forms_too_and_keeps_little_of_them(server: Server, http: aiohttp.ClientSession) -> None:
    data = aiohttp.FormData({"model": "m"})
    data.add_field("file", io.BytesIO(b"x" * 3_000_000), filename="a.wav")
    async with http.post(f"{server.base_url}/audio/transcriptions", data=data) as answer:
        assert answer.status == 400
    (file,) = server.requests[-1].form.files
    assert (len(file.content), file.size_bytes) == (2**20, 3_000_000)


async def test_only_images_need_pillow(
    server: Server, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("drawing", "editing", "images"):
        monkeypatch.delitem(sys.modules, f"tutuclient.standin.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "PIL", None)
    for path, body in WITHOUT_PILLOW.items():
        async with http.post(f"{server.base_url}{path}", json=body) as answer:
            assert (path, answer.status) == (path, 200)
    async with http.post(f"{server.base_url}/images/generations", json={"prompt": "a cat"}) as answer:
        assert answer.status == 400
        assert "pip install pillow" in (await answer.json())["error"]["message"]
