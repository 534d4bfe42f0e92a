from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import (
    APIConnectionError,
    APITimeoutError,
    InternalServerError,
    RateLimitError,
    TutuClient,
    TutuError,
    UnexpectedResponseError,
)
from tutuclient.testing import fails, raw, says

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.testing import Server

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_raw_answer_has_head_bytes_and_the_usual_result(server: Server, client: TutuClient) -> None:
    server.answers(fails(503, "busy"), says("hello"))
    response = await client.chat.completions.with_raw_response.create(**ASKED)
    assert (response.status_code, response.retries_taken) == (200, 1)
    assert response.headers["Content-Type"] == response.headers["content-type"]
    assert response.request_id
    assert response.request_id in repr(response)
    assert response.elapsed > timedelta(0)
    answer = response.parse()
    assert answer.text == "hello"
    assert answer.raw == response.content
    assert response.json() == answer.to_dict()
    assert '"hello"' in response.text


async def test_a_raw_answer_of_a_stream_has_the_stream(server: Server, client: TutuClient) -> None:
    server.answers(says("hello"))
    response = await client.chat.completions.with_raw_response.create(**ASKED, stream=True)
    async with response.parse() as stream:
        assert (await stream.completion()).text == "hello"


async def test_what_is_not_an_answer_is_no_raw_answer_either(server: Server, client: TutuClient) -> None:
    server.faults("html")
    with pytest.raises(UnexpectedResponseError):
        await client.chat.completions.with_raw_response.create(**ASKED)


async def test_the_client_beside_it_goes_on_giving_answers(server: Server, client: TutuClient) -> None:
    page = client.chat.completions
    _ = page.with_raw_response
    server.answers(says("hello"))
    assert (await page.create(**ASKED)).text == "hello"


async def test_an_open_answer_is_read_in_any_of_the_ways(server: Server, client: TutuClient) -> None:
    page = client.chat.completions.with_streaming_response
    server.answers(*[says("héllo\nyou")] * 6)
    async with page.create(**ASKED) as response:
        assert response.status_code == 200
        whole = await response.read()
        assert await response.read() == whole
        assert await response.json()
    async with page.create(**ASKED) as response:
        assert "héllo" in await response.text()
    async with page.create(**ASKED) as response:
        assert b"".join([piece async for piece in response.iter_bytes()])
    async with page.create(**ASKED) as response:
        assert "héllo" in "".join([piece async for piece in response.iter_text()])
    async with page.create(**ASKED, stream=True) as response:
        lines = [line async for line in response.iter_lines()]
        assert lines[-2:] == ["data: [DONE]", ""] or lines[-1] == "data: [DONE]"
    async with page.create(**ASKED) as response:
        assert (await response.parse()).text == "héllo\nyou"
        assert await response.parse() is await response.parse()
    assert len({sent.connection for sent in server.requests}) == 1


async def test_an_open_stream_is_parsed_into_its_chunks(server: Server, client: TutuClient) -> None:
    server.answers(says("hello"))
    async with client.chat.completions.with_streaming_response.create(**ASKED, stream=True) as response:
        stream = await response.parse()
        assert "".join([chunk.text async for chunk in stream]) == "hello"


async def test_a_good_status_with_an_error_is_found_by_parsing(server: Server, client: TutuClient) -> None:
    server.faults("ok_with_error_object")
    async with client.chat.completions.with_streaming_response.create(**ASKED) as response:
        with pytest.raises(InternalServerError) as raised:
            await response.parse()
    assert raised.value.attempts == 1
    assert len(server.requests) == 1


async def test_an_answer_is_read_once_and_the_connection_freed(server: Server, client: TutuClient) -> None:
    async with client.chat.completions.with_streaming_response.create(**ASKED) as response:
        async for _ in response.iter_bytes():
            pass
        with pytest.raises(APIConnectionError, match="has been read"):
            await response.read()
    async with client.chat.completions.with_streaming_response.create(**ASKED) as response:
        pass
    with pytest.raises(APIConnectionError, match="closed"):
        await response.parse()
    server.faults("flood")
    async with client.chat.completions.with_streaming_response.create(**ASKED, stream=True) as response:
        async for _ in response.iter_bytes():
            break
    await server.wait_closed()


async def test_an_error_status_is_raised_on_entering(server: Server, client: TutuClient) -> None:
    server.answers(fails(429, "slow down"))
    manager = client.with_options(max_retries=0).chat.completions.with_streaming_response.create(**ASKED)
    with pytest.raises(RateLimitError):
        await manager.__aenter__()


async def test_the_deadline_ends_the_reading_of_an_open_answer(server: Server, client: TutuClient) -> None:
    server.faults("stalled_body")
    async with client.chat.completions.with_streaming_response.create(**ASKED, timeout=0.3) as response:
        with pytest.raises(APITimeoutError):
            await response.read()


async def test_a_body_is_written_whole_or_not_at_all(server: Server, client: TutuClient, tmp_path: Path) -> None:
    page = client.chat.completions.with_streaming_response
    server.answers(says("hello"))
    async with page.create(**ASKED) as response:
        path = await response.stream_to_file(tmp_path / "answer.json")
    assert b"hello" in path.read_bytes()
    async with page.create(**ASKED) as response:
        with pytest.raises(TutuError, match=r"answer\.json"):
            await response.stream_to_file(path)
    server.faults("short_body")
    async with page.create(**ASKED) as response:
        with pytest.raises(APIConnectionError):
            await response.stream_to_file(tmp_path / "cut.json")
    assert names_in(tmp_path) == ["answer.json"]


async def test_a_line_in_many_pieces_is_one_line_and_an_endless_one_is_too_large(server: Server) -> None:
    long = "x" * 300_000
    async with TutuClient("sk-test-0123456789", server.base_url, max_response_bytes=400_000) as client:
        page = client.chat.completions.with_streaming_response
        server.answers(raw(body=f"a\r\n{long}\nb".encode()), raw(body=b"y" * 2_000_000))
        async with page.create(**ASKED) as response:
            assert [line async for line in response.iter_lines()] == ["a", long, "b"]
        async with page.create(**ASKED) as response:
            with pytest.raises(UnexpectedResponseError, match="a line of more than 400,000 bytes"):
                _ = [line async for line in response.iter_lines()]
