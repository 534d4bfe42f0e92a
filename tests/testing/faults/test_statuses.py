import json
import time
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from tests.testing.faults.wire import BODY, fetch, meet
from tutuclient.testing import RETRY_AFTER_SHAPES, Server


async def test_fails_with_any_status(server: Server, http: aiohttp.ClientSession) -> None:
    server.faults("status", times=2, status=529, retry_after="soon", code="overloaded", headers={"X-A": "b"})
    for _ in range(2):
        async with http.post(f"{server.base_url}/chat/completions", json=BODY) as answer:
            assert (answer.status, answer.headers["Retry-After"], answer.headers["X-A"]) == (529, "soon", "b")
            assert (await answer.json())["error"]["code"] == "overloaded"
    assert (await fetch(http, server, "json_null"))[0] == 200


@pytest.mark.parametrize("shape", RETRY_AFTER_SHAPES)
async def test_asks_to_wait_in_every_shape(server: Server, http: aiohttp.ClientSession, shape: str) -> None:
    server.faults("status", status=429, retry_after_shape=shape)
    async with http.post(f"{server.base_url}/chat/completions", json=BODY) as answer:
        assert answer.status == 429
        ((name, value),) = RETRY_AFTER_SHAPES[shape].items()
        if shape == "date":
            wait = parsedate_to_datetime(answer.headers[name]).timestamp() - time.time()
            assert 0 < wait <= 2
        else:
            assert answer.headers[name] == value


async def test_answers_429_with_nothing(server: Server, http: aiohttp.ClientSession) -> None:
    assert await fetch(http, server, "empty_429") == (429, b"")


async def test_bursts_through_the_statuses(server: Server, http: aiohttp.ClientSession) -> None:
    assert [(await fetch(http, server, "burst"))[0] for _ in range(7)] == [500, 502, 503, 504, 520, 524, 529]


async def test_browns_out_the_same_share_each_time(server: Server) -> None:
    async def share() -> list[bool]:
        server.reset()
        return [b'" six"' in (await meet(server, "brownout", seconds=0.02))[0] for _ in range(30)]

    first = await share()
    assert first == await share()
    assert 15 <= sum(first) <= 27


async def test_an_empty_account_comes_as_a_rate_limit(server: Server, http: aiohttp.ClientSession) -> None:
    status, body = await fetch(http, server, "empty_account")
    assert (status, json.loads(body)["error"]["type"]) == (429, "exceeded_current_quota_error")
    assert (await fetch(http, server, "empty_account", status=403))[0] == 403


async def test_a_firewalls_page_is_gbk(server: Server, http: aiohttp.ClientSession) -> None:
    status, body = await fetch(http, server, "page_in_gbk")
    assert (status, "您的请求被拦截" in body.decode("gbk")) == (403, True)
