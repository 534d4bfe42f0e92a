"""The client as an object: made cheaply, used in any loop, closed or forgotten."""

from __future__ import annotations

import asyncio
import gc
import pickle
import ssl
import subprocess
import sys
import textwrap
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.conftest import KEY
from tutuclient import ConfigError, Timeout, TutuClient, user
from tutuclient.testing import Server, serve_in_thread
from tutuclient.types.answer import kept

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def relay() -> Iterator[Server]:
    with serve_in_thread() as server:
        yield server


def python(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, *flags, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )


def test_making_one_imports_no_aiohttp_and_needs_no_loop() -> None:
    done = python(
        """
        import sys
        from tutuclient import TutuClient
        client = TutuClient("sk-x", verify=False)
        assert "aiohttp" not in sys.modules, "too much imported"
        print(client)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "TutuClient(base_url='https://apinew.tutujin.com/v1', api_key='***')\n"


def test_one_object_serves_several_runs(relay: Server) -> None:
    client = TutuClient(KEY, relay.base_url)

    async def ask() -> str:
        return (await client.chat.completions.create(model="m", messages=[user("hello")])).text

    texts = {asyncio.run(ask()) for _ in range(3)}
    assert len(texts) == 1
    assert len(relay.requests) == 3


def test_it_pickles_with_its_settings(relay: Server) -> None:
    client = pickle.loads(pickle.dumps(TutuClient(KEY, relay.base_url, timeout=7)))  # noqa: S301  (our own bytes)

    async def ask() -> str:
        async with client:
            answer = await client.chat.completions.create(model="m", messages=[user("hello")])
        return str(answer.text)

    assert "hello" in asyncio.run(ask())
    assert client.timeout == Timeout(total=7)


async def test_it_works_again_after_it_was_closed(client: TutuClient, server: Server) -> None:
    await client.models.list()
    await client.aclose()
    await client.aclose()
    await client.models.list()
    assert len({seen.connection for seen in server.requests}) == 2


async def test_copies_share_connections_and_slots(client: TutuClient, server: Server) -> None:
    await client.models.list()
    await client.with_options(timeout=5).models.list()
    assert len({seen.connection for seen in server.requests}) == 1


@pytest.mark.parametrize("closing", ["", "await client.aclose()", "client = None; gc.collect()"])
@pytest.mark.parametrize("streams", [False, True])
def test_a_client_never_closed_says_nothing(relay: Server, closing: str, streams: bool) -> None:
    code = f"""
        import asyncio, gc
        from tutuclient import TutuClient
        async def main():
            client = TutuClient("sk-x", {relay.base_url!r})
            await client.models.list()
            await asyncio.gather(*(client.models.list() for _ in range(3)))
            if {streams}:
                stream = await client.chat.completions.create(
                    model="m", messages=[{{"role": "user", "content": "hi"}}], stream=True)
                async for chunk in stream:
                    break
            {closing or "pass"}
        asyncio.run(main())
        gc.collect()
        """
    done = python(code, "-X", "dev", "-W", "error")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def test_a_client_forgotten_with_its_loop_is_let_go_quietly(relay: Server) -> None:
    client = TutuClient(KEY, relay.base_url)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(client.models.list())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(client.aclose())
        asyncio.run(_list(client))
        gc.collect()


async def _list(client: TutuClient) -> None:
    await client.models.list()


def test_settings_that_cannot_work_are_refused_when_it_is_made() -> None:
    for bad in ({"max_connections": 0}, {"timeout": -1}, {"max_retries": -1}, {"proxy": "ftp://x"}):
        with pytest.raises(ConfigError):
            TutuClient(KEY, **bad)


def test_no_key_anywhere_is_said_clearly() -> None:
    with pytest.raises(ConfigError, match="TUTU_API_KEY"):
        TutuClient()


def test_an_openai_key_is_not_sent_to_another_company(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL") as caught:
        TutuClient()
    assert "sk-openai" not in str(caught.value)
    assert TutuClient(base_url="relay.example").base_url == "https://relay.example/v1"


async def test_an_answer_travels_without_the_proxys_password_and_without_its_tls_context(server: Server) -> None:
    context = ssl.create_default_context()
    secretive = TutuClient(KEY, "https://relay.example", proxy="http://me:hunter2@proxy.example:3128", verify=context)
    async with TutuClient(KEY, server.base_url) as client:
        answer = await client.chat.completions.create(model="m", messages=[user("hello")])
        kept(answer)["origin"].find.downloads = secretive._transport.downloads
        models = await client.models.list()
    packed = pickle.dumps(answer)
    assert b"hunter2" not in packed
    assert pickle.loads(packed).text == answer.text  # noqa: S301  (our own bytes)
    assert pickle.loads(pickle.dumps(models)).data == models.data  # noqa: S301  (our own bytes)


def test_one_client_serves_the_loops_of_many_threads(relay: Server) -> None:
    client = TutuClient(KEY, relay.base_url)
    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(lambda _: asyncio.run(_count(client)), range(8)))
    assert len(set(counts)) == 1


async def _count(client: TutuClient) -> int:
    return len(await client.models.list())
