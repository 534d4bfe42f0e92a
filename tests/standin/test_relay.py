import aiohttp

from tutuclient.standin.relay import serve, serve_in_thread
from tutuclient.testing import says

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


async def test_what_is_not_scripted_is_answered_by_the_stand_in(http: aiohttp.ClientSession) -> None:
    async with serve() as server:
        server.answers(says("scripted"))
        for words in ("scripted", "I am an offline stand-in"):
            async with http.post(f"{server.base_url}/chat/completions", json=CHAT) as answer:
                assert words in await answer.text()


async def test_a_thread_runs_the_same(http: aiohttp.ClientSession) -> None:
    with serve_in_thread(key="sk-only") as server:
        async with http.post(f"{server.base_url}/chat/completions", json=CHAT) as answer:
            assert answer.status == 401
        own = {"Authorization": "Bearer sk-only"}
        async with http.post(f"{server.base_url}/chat/completions", json=CHAT, headers=own) as answer:
            assert "I am an offline stand-in" in await answer.text()
