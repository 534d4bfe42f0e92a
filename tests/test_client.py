"""The client as an object: cheap to create, usable in any event loop, closed or garbage-collected."""

from __future__ import annotations

import asyncio
import copy
import gc
import io
import pickle
import ssl
import subprocess
import sys
import textwrap
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.conftest import KEY
from tutuclient import ConfigError, MediaError, Request, Timeout, TutuClient, TutuError, Upload, image, user
from tutuclient.testing import Server, sample_picture, says, serve_in_thread
from tutuclient.types.provenance import provenance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


@pytest.fixture
def relay() -> Iterator[Server]:
    with serve_in_thread() as server:
        yield server


def python(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, *flags, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )


def test_making_one_imports_nothing_slow_and_needs_no_loop() -> None:
    done = python(
        """
        import sys
        before = set(sys.modules)
        from tutuclient import TutuClient
        client = TutuClient("sk-x", verify=False)
        slow = {"aiohttp", "PIL", "email.utils", "numpy", "pydantic", "typer"} & (set(sys.modules) - before)
        assert not slow, slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Host", "Expect", "TE"])
@pytest.mark.parametrize("way", ["extra_headers", "middleware", "attempt_middleware"])
async def test_a_header_that_frames_a_request_is_refused_before_anything_is_sent(
    server: Server, name: str, way: str
) -> None:
    async def framing(request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
        request.headers[name] = "5"
        return await call_next(request)

    layers: dict[str, Any] = {} if way == "extra_headers" else {way: [framing]}
    more: dict[str, Any] = {"extra_headers": {name: "5"}} if way == "extra_headers" else {}
    async with TutuClient(KEY, server.base_url, **layers) as client:
        with pytest.raises(ConfigError, match=name) as caught:
            await client.chat.completions.create(model="m", messages=[user("hi")], **more)
    assert caught.value.outcome == "not_sent"
    assert not server.requests


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
        find: Any = provenance(answer).origin.find  # type: ignore[union-attr]  # it came from a call
        find.downloads = secretive.chat.completions._downloads
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


# --- the verbs' arguments --------------------------------------------------------------------------------------------

PNG = sample_picture()
ADDRESS = "https://pictures.example/a.png"


async def parts_of(server: Server, *arguments: Any, **more: Any) -> list[dict[str, Any]]:
    server.answers(says("a picture"))
    async with TutuClient(KEY, server.base_url) as client:
        await client.analyze(*arguments, **more)
    (message,) = server.requests[-1].json["messages"]
    parts: list[dict[str, Any]] = message["content"]
    return parts


@pytest.mark.parametrize(
    ("images", "urls", "detail"),
    [
        (image(ADDRESS), [ADDRESS], None),
        ([image(ADDRESS, detail="low")], [ADDRESS], "low"),
        ([ADDRESS, image(ADDRESS)], [ADDRESS, ADDRESS], "high"),
        ((ADDRESS, ADDRESS), [ADDRESS, ADDRESS], "high"),
        ((url for url in (ADDRESS, ADDRESS)), [ADDRESS, ADDRESS], "high"),
        ({"a": ADDRESS}.values(), [ADDRESS], "high"),
        ({"type": "image_url", "image_url": {"url": ADDRESS}}, [ADDRESS], None),
        (PNG, ["data:image/png;base64,"], "high"),
        (Upload(PNG), ["data:image/png;base64,"], "high"),
        (io.BytesIO(PNG), ["data:image/png;base64,"], "high"),
    ],
    ids=str,
)
async def test_images_are_understood_however_they_are_given(
    server: Server, images: Any, urls: list[str], detail: str | None
) -> None:
    text, *pictures = await parts_of(server, images, "What?")
    assert text == {"type": "text", "text": "What?"}
    assert [part["image_url"]["url"][: len(url)] for part, url in zip(pictures, urls, strict=True)] == urls
    assert pictures[0]["image_url"].get("detail") == detail


async def test_a_number_of_numpy_is_a_number_of_pixels(server: Server) -> None:
    (_, picture) = await parts_of(server, PNG, "What?", max_side=np.int64(2048), temperature=np.float32(0.5))
    assert picture["image_url"]["url"].startswith("data:image/")
    assert server.requests[-1].json["temperature"] == 0.5


# Each row: the arguments, what the error says.
UNUSABLE: list[tuple[tuple[Any, ...], dict[str, Any], list[str]]] = [
    (("", "What?"), {}, ["images is ''", "pass a path"]),
    ((" \n", "What?"), {}, ["images is ' \\n'", "pass a path"]),
    ((None, "What?"), {}, ["images is None", "pass a path"]),
    ((5, "What?"), {}, ["images is 5", "pass a path"]),
    ((object(), "What?"), {}, ["object", "path"]),
    (([], "What?"), {}, ["the list is empty"]),
    ((iter(()), "What?"), {}, ["no image was passed", "the list is empty"]),
    (([PNG, ""], "What?"), {}, ["images[1] is ''", "pass a path"]),
    (([PNG, None], "What?"), {}, ["images[1] is None"]),
    (([[PNG]], "What?"), {}, ["images[0] is a list"]),
    (([PNG, "ftp://h/a.png"], "What?"), {}, ["images[1]", "ftp://h/a.png"]),
    ((np.zeros((2, 2, 3)), "What?"), {}, ["a ndarray", "fromarray"]),
    ((PNG, ""), {}, ["prompt", "''"]),
    ((PNG, " \n "), {}, ["prompt", "' \\n '"]),
    ((PNG, None), {}, ["prompt", "None"]),
    ((PNG, ["What?"]), {}, ["prompt", "a list"]),
    ((PNG, b"What?"), {}, ["prompt", "5 bytes"]),
    (("What is in it?", "cat.jpg"), {}, ["swapped", "'cat.jpg'", "'What is in it?'"]),
    (("What is in it?", ADDRESS), {}, ["swapped", ADDRESS]),
    (("这是什么？", "~/图 片/cat.PNG"), {}, ["swapped", "cat.PNG"]),
    (("What is in it?", Path("cat")), {}, ["swapped", "the path 'cat'"]),
    (("What is in it?", PNG), {}, ["swapped", "image/png"]),
    (("What is in it?", image(ADDRESS)), {}, ["swapped", "ImagePart"]),
    (("What is in it?", io.BytesIO(PNG)), {}, ["swapped", "BytesIO"]),
    (("What?", "data:image/png;base64,iVBOR"), {}, ["swapped", "data:image"]),
    ((PNG, "What?"), {"max_side": "100"}, ["max_side is '100'", "whole number"]),
    ((PNG, "What?"), {"max_side": 0}, ["max_side is 0"]),
    ((PNG, "What?"), {"max_side": 1.5}, ["max_side is 1.5"]),
    ((PNG, "What?"), {"max_side": True}, ["max_side is True"]),
    ((image(PNG), "What?"), {"max_side": 100}, ["max_side", "image(source, max_side=100)"]),
    ((PNG, "What?"), {"detail": "hihg"}, ["detail is 'hihg'", "did you mean 'high'"]),
    ((PNG, "What?"), {"detail": 5}, ["detail is 5"]),
    ((PNG, "What?"), {"model": None}, ["model is None"]),
    ((PNG, "What?"), {"model": ""}, ["model is ''"]),
    ((PNG, "What?"), {"temperature": float("nan")}, ["temperature is NaN"]),
    ((PNG, "What?"), {"metadata": {"x": object()}}, ["metadata.x is an object"]),
]


@pytest.mark.parametrize("verb", ["analyze", "edit"])
@pytest.mark.parametrize(("arguments", "more", "said"), UNUSABLE, ids=[str(row[2]) for row in UNUSABLE])
async def test_what_cannot_be_meant_is_said_before_anything_is_sent(
    server: Server, verb: str, arguments: tuple[Any, ...], more: dict[str, Any], said: list[str]
) -> None:
    async with TutuClient(KEY, server.base_url) as client:
        with pytest.raises((ConfigError, MediaError)) as caught:
            await getattr(client, verb)(*arguments, **more)
    for words in said:
        assert words in str(caught.value)
    assert caught.value.outcome == "not_sent"
    assert not server.requests


async def test_an_image_of_an_answer_is_fetched_first(server: Server) -> None:
    async with TutuClient(KEY, server.base_url) as client:
        (made,) = (await client.generate("a red panda")).images
        again: Any = made
        with pytest.raises(MediaError, match=r"await image\.read\(\)"):
            await client.analyze(again, "What?")
        assert (await client.analyze(await made.read(), "What?")).text


@pytest.mark.parametrize("prompt", ["", None, b"a cat", 5, ["a cat"], Path("cat.png")])
async def test_an_image_is_never_ordered_without_words(server: Server, prompt: Any) -> None:
    async with TutuClient(KEY, server.base_url) as client:
        with pytest.raises(ConfigError, match="prompt"):
            await client.generate(prompt)
    assert not server.requests


@pytest.mark.parametrize(
    ("images", "prompt"),
    [
        (PNG, "Which of these is cat.png?"),
        (ADDRESS, "Compare it with dog.png"),
    ],
)
async def test_words_about_images_are_words(server: Server, images: Any, prompt: str) -> None:
    text, _ = await parts_of(server, images, prompt)
    assert text["text"] == prompt


async def test_analyze_streams_and_refuses_types_as_create_does(server: Server) -> None:
    async with TutuClient(KEY, server.base_url) as client:
        async with await client.analyze(PNG, "What?", stream=True) as stream:
            assert (await stream.completion()).text
        asked: Any = {"response_format": Timeout}
        with pytest.raises(ConfigError, match=r"parse\("):
            await client.analyze(PNG, "What?", **asked)


@pytest.mark.parametrize(
    ("pictures", "prompt"),
    [("a.png", "b.png"), (PNG, "/photos/CAT.WebP"), (ADDRESS, ADDRESS), ([ADDRESS], "data:image/png;base64,iVBO")],
)
async def test_an_image_in_place_of_the_prompt_is_quoted(
    server: Server, client: TutuClient, pictures: Any, prompt: str
) -> None:
    for verb in (client.analyze, client.edit):
        with pytest.raises(MediaError, match=r"stands where the prompt belongs.*several in a list"):
            await verb(pictures, prompt)
    with pytest.raises(MediaError, match=r"edit\('cat.jpg'"):
        await client.generate(prompt)
    assert server.requests == []


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        ("what is this?", "There is no file what is this.*If it is the prompt: the image comes first"),
        (PNG.decode("latin-1"), "decoded as text"),
        (str(PNG), "text of a bytes object"),
    ],
)
async def test_a_text_that_is_not_an_image_is_explained(
    server: Server, client: TutuClient, picture: str, says: str
) -> None:
    with pytest.raises(TutuError, match=says):
        await client.analyze(picture, "tell me")
    assert server.requests == []


VARIABLES = [("TUTU_API_KEY", "TUTU_BASE_URL"), ("OPENAI_API_KEY", "OPENAI_BASE_URL")]


@pytest.mark.parametrize(("key", "url"), VARIABLES)
async def test_a_pickle_has_no_key_that_came_from_the_environment(
    key: str, url: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(key, KEY)
    monkeypatch.setenv(url, server.base_url)
    packed = pickle.dumps(TutuClient(max_retries=0))
    assert KEY.encode() not in packed
    again: TutuClient
    async with pickle.loads(packed) as again:  # noqa: S301  (our own bytes)
        await again.chat.completions.create(model="m", messages=[user("hi")])
    assert server.requests[-1].headers["Authorization"] == f"Bearer {KEY}"
    monkeypatch.delenv(key)
    with pytest.raises(ConfigError, match=f"{key} is not set in this process"):
        pickle.loads(packed)  # noqa: S301  (our own bytes)


async def test_a_key_that_was_passed_travels_in_a_pickle(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTU_API_KEY", "sk-another-0123456789")
    monkeypatch.setenv("TUTU_BASE_URL", server.base_url)
    for client in (TutuClient(KEY), TutuClient().with_options(api_key=KEY)):
        again: TutuClient
        async with pickle.loads(pickle.dumps(client)) as again:  # noqa: S301  (our own bytes)
            await again.chat.completions.create(model="m", messages=[user("hi")])
        assert server.requests[-1].headers["Authorization"] == f"Bearer {KEY}"


def test_a_copy_keeps_a_key_that_has_left_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTU_API_KEY", KEY)
    client = TutuClient()
    monkeypatch.delenv("TUTU_API_KEY")
    for again in (copy.copy(client), copy.deepcopy(client), client.for_workers(2)):
        assert again._settings.api_key == KEY
