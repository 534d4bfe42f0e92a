"""The body of an answer: read as it arrives, as far as the limit, and decompressed within it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY, QUICK
from tutuclient import (
    APIError,
    APIStatusError,
    TutuClient,
    UnexpectedResponseError,
    user,
)
from tutuclient.testing import (
    Server,
    chunk,
    raw,
    streams,
)

if TYPE_CHECKING:
    from tutuclient import ChatCompletion


async def ask(client: TutuClient, **fields: Any) -> ChatCompletion:
    answer: ChatCompletion = await client.chat.completions.create(model="m", messages=[user("hi")], **fields)
    return answer


async def test_an_answer_over_the_limit_is_not_read_to_its_end(server: Server) -> None:
    server.faults("endless_body")
    async with TutuClient(KEY, server.base_url, max_response_bytes=2**20, retry=QUICK) as client:
        with pytest.raises(UnexpectedResponseError, match="max_response_bytes"):
            await ask(client)
    assert len(server.requests) == 1


async def test_a_huge_error_body_is_cut_and_the_status_reported(client: TutuClient, server: Server) -> None:
    server.faults("huge_error_body", times=3)
    with pytest.raises(APIStatusError) as caught:
        await ask(client)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("fault", ["gzip_bomb", "stream_gzip_bomb"])
async def test_a_bomb_is_defused(server: Server, fault: str) -> None:
    server.faults(fault)
    async with TutuClient(KEY, server.base_url, max_response_bytes=4 * 2**20, retry=QUICK) as client:
        with pytest.raises(UnexpectedResponseError, match="max_response_bytes"):
            await ask(client)


@pytest.mark.parametrize("status", [204, 304, 101])
async def test_an_answer_that_may_have_no_body_is_an_error_of_ours(
    client: TutuClient, server: Server, status: int
) -> None:
    for _ in range(2):
        server.answers(raw(status))
        with pytest.raises(APIError):
            await ask(client.with_options(max_retries=0), timeout=5)
        assert (await ask(client)).text


async def test_a_reader_that_takes_its_time_loses_nothing_that_had_come(client: TutuClient, server: Server) -> None:
    frames = [chunk("one "), chunk("two "), chunk("three"), chunk(finish_reason="stop")]
    server.answers(streams(frames, then="fin"))
    text = ""
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        async for piece in stream.text():
            text += piece
            await asyncio.sleep(0.05)
    assert text == "one two three"
