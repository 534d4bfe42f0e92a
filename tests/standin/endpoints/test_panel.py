from typing import Any

import aiohttp
import pytest

from tutuclient.testing import MODELS_FORMS, Server, serve


async def get(http: aiohttp.ClientSession, url: str, **options: Any) -> Any:
    async with http.get(url, **options) as answer:
        assert answer.status == 200
        return await answer.json()


@pytest.mark.parametrize("form", MODELS_FORMS)
async def test_lists_its_models_in_every_shape(server: Server, http: aiohttp.ClientSession, form: str) -> None:
    server.models_form = form
    listed = await get(http, f"{server.base_url}/models")
    assert ("success" in listed, "object" in listed) == (form != "object", form != "success")
    assert ("supported_endpoint_types" in listed["data"][0]) is (form == "both")
    assert {"gpt-4o", "text-embedding-3-small", "dall-e-3", "gpt-image-1", "tts-1", "whisper-1"} <= {
        each["id"] for each in listed["data"]
    }


async def test_says_what_each_model_is_for(server: Server, http: aiohttp.ClientSession) -> None:
    listed = (await get(http, f"{server.base_url}/models"))["data"]
    kinds = {each["id"]: each["supported_endpoint_types"] for each in listed}
    assert kinds["gpt-4o"] == ["openai"]
    assert kinds["text-embedding-3-small"] == ["embeddings"]
    assert kinds["dall-e-3"] == kinds["gpt-image-1"] == ["image-generation"]


async def test_retrieves_a_model_in_the_shape_of_the_list(server: Server, http: aiohttp.ClientSession) -> None:
    server.models_form = "object"
    model = await get(http, f"{server.base_url}/models/gpt-4o")
    assert (model["id"], model["object"], model["created"]) == ("gpt-4o", "model", 1626777600)
    assert "supported_endpoint_types" not in model


async def test_shows_the_balance_at_every_endpoint_that_has_it(server: Server, http: aiohttp.ClientSession) -> None:
    server.account.charge(500_000)
    server.account.balance = 5.0
    for base in (server.base_url, server.origin):
        limit = (await get(http, f"{base}/dashboard/billing/subscription"))["hard_limit_usd"]
        used = (await get(http, f"{base}/dashboard/billing/usage?start_date=2026-01-01"))["total_usage"]
        assert limit - used / 100 == 5.0
    token = await get(http, f"{server.origin}/api/usage/token")
    assert token["data"]["total_available"] == 2_500_000


async def test_refuses_when_nothing_is_left(server: Server, http: aiohttp.ClientSession) -> None:
    server.account.balance = 0
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    async with http.post(f"{server.base_url}/chat/completions", json=body) as answer:
        assert answer.status == 403
        assert (await answer.json())["error"]["code"] == "insufficient_user_quota"
    assert (await get(http, f"{server.base_url}/models"))["data"]
    server.reset()
    assert server.account.balance == 1000


async def test_tells_its_status_to_everyone_and_the_balance_only_to_the_key(http: aiohttp.ClientSession) -> None:
    async with serve(key="sk-right") as server:
        status = await get(http, f"{server.origin}/api/status")
        assert status["data"]["quota_per_unit"] == 500_000
        for path in ("/api/usage/token", "/v1/dashboard/billing/usage"):
            async with http.get(f"{server.origin}{path}") as answer:
                assert answer.status == 401
