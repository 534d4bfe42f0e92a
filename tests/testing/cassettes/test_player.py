"""The player: what was recorded comes again, whatever went wrong, and nothing else does."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.images import png
from tutuclient import APITimeoutError, BadRequestError, ConfigError, Timeout, TutuClient, TutuError, user
from tutuclient.testing import Server, chunk, draws, fails, raw, sample_picture, says, streams
from tutuclient.testing.cassettes import Player, Recorder

if TYPE_CHECKING:
    from pathlib import Path

    import aiohttp

KEY = "sk-0123456789abcdefghij"
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.jsonl"


def changed(path: Path, pattern: str, by: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(pattern, text)
    path.write_text(re.sub(pattern, by, text), encoding="utf-8")


async def outcome(base_url: str, *, stream: bool) -> tuple[Any, ...]:
    """Return what a client makes of an answer: the text, or the error with what came before it."""
    async with TutuClient("any", base_url, max_retries=0, timeout=Timeout(total=5, idle=0.3)) as client:
        try:
            if stream:
                async with client.chat.completions.stream(**ASK) as tokens:
                    answer = await tokens.completion()
            else:
                answer = await client.chat.completions.create(**ASK)
        except TutuError as error:
            return type(error), getattr(getattr(error, "partial", None), "text", None), getattr(error, "outcome", None)
        return answer.text, answer.finish_reason, answer.usage


# All of those that end within moments were tried once; these are the ones that differ in what the recorder does.
NAMES = (
    "reset_after_request", "fin_after_request", "half_headers", "garbage", "two_lengths", "short_body",
    "chunked_without_end", "reset_mid_body", "gzip_cut", "html", "invalid_utf8", "lone_surrogate", "deep_nesting",
    "ok_with_error_object", "empty_body", "empty_429", "encoding_none",
)  # fmt: skip
STREAMS = (
    "reset_mid_stream", "fin_mid_stream", "cut_in_event", "stalled_stream", "clean_end_without_finish",
    "finish_without_done", "error_frame_middle", "byte_by_byte", "cr", "bom", "wrong_content_type", "plain_text_frame",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "stream"), [*((name, False) for name in NAMES), *((name, True) for name in STREAMS)])
async def test_every_fault_is_the_same_when_it_is_replayed(
    server: Server, path: Path, name: str, stream: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults(name)
    direct = await outcome(server.base_url, stream=stream)
    server.reset()
    server.faults(name)
    async with Recorder(server.base_url, path) as recorder:
        recorded = await outcome(recorder.base_url, stream=stream)
        await recorder.until(lambda: not recorder.in_flight)
    async with Player(path, speed=0) as player:
        replayed = await outcome(player.base_url, stream=stream)
    assert recorded == direct
    assert replayed == direct
    assert "has no POST" not in capsys.readouterr().err


async def test_reads_come_at_their_times_and_as_fast_as_is_asked(server: Server, path: Path) -> None:
    server.answers(streams([chunk("one"), chunk("two"), chunk(finish_reason="stop")], delay=0.2))
    async with Recorder(server.base_url, path) as recorder:
        await outcome(recorder.base_url, stream=True)
    clock = asyncio.get_running_loop().time
    taken: dict[float, float] = {}
    for speed in (1.0, 4.0, 0.0, float("inf")):
        async with Player(path, speed=speed) as player:
            started = clock()
            assert (await outcome(player.base_url, stream=True))[0] == "onetwo"
            taken[speed] = clock() - started
    assert taken[1.0] >= 0.4
    assert 0.1 <= taken[4.0] < taken[1.0]
    assert max(taken[0.0], taken[float("inf")]) < taken[1.0]


async def test_a_relay_that_fell_silent_is_silent_again(server: Server, path: Path) -> None:
    server.answers(streams([chunk("one")], then="hang", done=False))
    async with Recorder(server.base_url, path) as recorder:
        first = await outcome(recorder.base_url, stream=True)
        await recorder.until(lambda: not recorder.in_flight)
    async with Player(path, speed=0) as player:
        assert await outcome(player.base_url, stream=True) == first
    assert issubclass(first[0], APITimeoutError)
    assert first[1] == "one"


async def test_the_same_request_is_answered_in_order(server: Server, path: Path) -> None:
    server.answers(fails(429, "slow down"), says("first"), says("second"))
    async with Recorder(server.base_url, path) as recorder, TutuClient(KEY, recorder.base_url) as client:
        told = [(await client.chat.completions.create(**ASK)).text for _ in range(2)]
    assert told == ["first", "second"]
    async with Player(path, speed=0) as player, TutuClient("any", player.base_url) as client:
        assert player.unplayed == [1, 2, 3]
        again = [await client.chat.completions.create(**ASK) for _ in range(2)]
        assert [answer.text for answer in again] == ["first", "second"]
        assert again[0].meta.attempts == 2
        assert player.unplayed == []


async def test_what_was_not_recorded_gets_no_answer(
    server: Server, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Recorder(server.base_url, path) as recorder, TutuClient(KEY, recorder.base_url) as client:
        await client.chat.completions.create(**ASK)
    async with Player(path, speed=0) as player, TutuClient("any", player.base_url) as client:
        told = (
            r"chat.jsonl has no POST /v1/chat/completions like this one: the nearest, exchange 1, differs in "
            r'json.messages\[0\].content: recorded "hi", asked "ho"'
        )
        with pytest.raises(BadRequestError, match=told) as raised:
            await client.chat.completions.create(model="m", messages=[user("ho")])
        assert raised.value.code == "no_match"
        assert raised.value.attempts == 1
    assert "tutuclient cassette: chat.jsonl has no POST" in capsys.readouterr().err


async def test_what_was_not_recorded_to_its_end_is_told_apart(server: Server, path: Path) -> None:
    async with Recorder(server.base_url, path) as recorder, TutuClient(KEY, recorder.base_url) as client:
        await client.chat.completions.create(**ASK)
    changed(path, r"\{\"end\".*\n", "")
    async with Player(path, speed=0) as player, TutuClient("any", player.base_url) as client:
        with pytest.raises(BadRequestError, match="its answer was not recorded to its end"):
            await client.chat.completions.create(**ASK)


async def test_images_are_stand_ins_that_can_be_decoded(server: Server, path: Path) -> None:
    picture = sample_picture()

    async def images(base_url: str) -> list[bytes]:
        async with TutuClient("any", base_url) as client:
            inline = await client.edit(picture, "sky", model="m")
            linked = await client.edit(picture, "sky", model="m")
            made = await client.images.generate(prompt="a red panda", model="gpt-image-1")
            return [await each.images[0].read() for each in (inline, linked, made)]

    server.answers(draws(picture, form="b64"), draws(picture, form="url"))
    async with Recorder(server.base_url, path) as recorder:
        first = await images(recorder.base_url)
    async with Player(path, speed=0) as player:
        again = await images(player.base_url)
        assert player.unplayed == []
    assert [len(image) for image in again] == [len(image) for image in first]
    assert all(new[16:24] == old[16:24] and new != old for new, old in zip(again, first, strict=True))
    # Another image is another request.
    async with Player(path, speed=0) as player, TutuClient("any", player.base_url) as client:
        with pytest.raises(BadRequestError, match=r"image/png 1x1"):
            await client.edit(png(b"a"), "sky", model="m")


@pytest.mark.parametrize("depth", [255, 256, 600, 100_000])
async def test_json_of_any_depth_is_recorded_and_found_again(
    server: Server, http: aiohttp.ClientSession, path: Path, depth: int
) -> None:
    body = "[" * depth + "]" * depth
    server.answers(raw(200, body.encode(), {"Content-Type": "application/json"}))
    headers = {"Content-Type": "application/json"}
    for relay in (Recorder(server.base_url, path), None):
        async with (
            relay or Player(path, speed=0) as at,
            http.post(f"{at.base_url}/x", data=body, headers=headers) as answer,
        ):
            assert (answer.status, await answer.text()) == (200, body)


async def test_scripts_go_before_the_cassette(server: Server, path: Path) -> None:
    async with Recorder(server.base_url, path) as recorder, TutuClient(KEY, recorder.base_url) as client:
        await client.chat.completions.create(**ASK)
    async with Player(path, speed=0) as player, TutuClient("any", player.base_url) as client:
        player.answers(says("scripted"))
        assert (await client.chat.completions.create(**ASK)).text == "scripted"
        assert "stand-in" in (await client.chat.completions.create(**ASK)).text


async def test_a_digest_that_cannot_be_read_is_told(server: Server, path: Path) -> None:
    async with Recorder(server.base_url, path) as recorder, TutuClient(KEY, recorder.base_url) as client:
        await client.audio.speech.create(model="tts-1", voice="alloy", input="hi")
    changed(path, r"\{\{tutu audio", "{{tutu? audio")
    async with Player(path, speed=0) as player, TutuClient("any", player.base_url, max_retries=0) as client:
        with pytest.raises(TutuError, match="exchange 1 cannot be replayed: not a digest"):
            await client.audio.speech.create(model="tts-1", voice="alloy", input="hi")


@pytest.mark.parametrize("speed", [-1.0, float("nan")])
def test_a_speed_that_is_none(path: Path, speed: float) -> None:
    with pytest.raises(ConfigError, match="a speed is a number of 0 or more"):
        Player(path, speed=speed)


async def test_a_cassette_of_a_version_that_knew_fewer_secrets_is_replayed(
    server: Server, path: Path, http: aiohttp.ClientSession
) -> None:
    asks = {"json": {"a": "http://me:hunter2@proxy"}}, {"data": "密钥sk-0123456789abcdefghij"}
    async with Recorder(server.base_url, path) as recorder:
        for each in asks:
            async with http.post(f"{recorder.base_url}/x", **each) as answer:
                await answer.read()
    changed(path, "me:dropped@", "me:hunter2@")
    changed(path, '"密钥dropped"', '"密钥sk-0123456789abcdefghij"')
    async with Player(path) as player:
        for each in asks:
            async with http.post(f"{player.base_url}/x", **each) as answer:
                assert "no_match" not in await answer.text()
        assert player.unplayed == []


async def test_a_stream_whose_key_was_dropped_is_replayed_to_its_end(server: Server, path: Path) -> None:
    pieces = ("It is ", KEY[:9], KEY[9:15], KEY[15:], ".")
    server.answers(streams([*map(chunk, pieces), chunk(finish_reason="stop")]))
    texts: list[list[str]] = []
    async with Recorder(server.base_url, path) as recorder:
        texts.append(await heard(recorder.base_url))
    async with Player(path, speed=0) as player:
        texts.append(await heard(player.base_url))
    assert texts == [[*pieces], ["It is ", "dropped", "."]]


async def heard(base_url: str) -> list[str]:
    async with TutuClient(KEY, base_url) as client, client.chat.completions.stream(**ASK) as stream:
        texts = [piece async for piece in stream.text()]
        assert (await stream.completion()).finish_reason == "stop"
    return texts
