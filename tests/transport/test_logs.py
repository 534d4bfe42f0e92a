from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import tutuclient
from tests.conftest import KEY, QUICK
from tutuclient import RateLimitError, TutuClient, TutuError, user
from tutuclient.testing import chunk, fails, says, streams
from tutuclient.transport.logs import word_of

if TYPE_CHECKING:
    from tutuclient.testing import Server

PROMPT = "the-words-of-the-prompt"
ASKED: dict[str, Any] = {"model": "gpt-4o", "messages": [user(PROMPT)]}
PIXELS = "iVBORw0KGgo" + "A" * 200


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, without what differs each time."""
    return [
        re.sub(r"(request_id=|time=|first_content=|again in )[\w.]+", r"\1…", each.getMessage())
        for each in caplog.records
    ]


async def test_a_call_is_a_line_and_so_is_each_attempt(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.answers(fails(503, "busy"), says("hello", usage={"prompt_tokens": 7, "completion_tokens": 5}))
    async with TutuClient(KEY, server.base_url, retry=QUICK) as client:
        with caplog.at_level(logging.DEBUG, "tutuclient"):
            await client.chat.completions.create(**ASKED)
    asked = "POST /chat/completions model=gpt-4o"
    assert lines(caplog) == [
        f"{asked} attempt=1 outcome=InternalServerError(rejected) status=503 request_id=… time=…",
        "POST /chat/completions: it is tried again in … s",
        f"{asked} attempt=2 outcome=answered status=200 request_id=… time=…",
        f"{asked} outcome=answered status=200 request_id=… attempts=2 tokens=7+5 time=…",
    ]
    assert [each.levelname for each in caplog.records] == ["DEBUG", "DEBUG", "DEBUG", "INFO"]
    assert {each.name for each in caplog.records} == {"tutuclient"}


async def test_at_info_there_is_a_line_a_call_whatever_comes_of_it(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers(
        fails(429, "slow"), streams([chunk("a")], done=False, then="hang"), streams([chunk("a", finish_reason="stop")])
    )
    async with TutuClient(KEY, server.base_url, max_retries=0) as client:
        with caplog.at_level(logging.INFO, "tutuclient"):
            with pytest.raises(RateLimitError):
                await client.chat.completions.create(**ASKED)
            async with client.chat.completions.stream(**ASKED):
                pass
            async with client.chat.completions.stream(**ASKED) as stream:
                await stream.completion()
            await client.embeddings.create(model="e", input="x")
            await client.models.list()
    asked = "POST /chat/completions model=gpt-4o outcome="
    assert lines(caplog) == [
        f"{asked}RateLimitError(rejected) status=429 request_id=… attempts=1 time=…",
        f"{asked}closed status=200 request_id=… attempts=1 first_content=… time=…",
        f"{asked}answered status=200 request_id=… attempts=1 first_content=… time=…",
        "POST /embeddings model=e outcome=answered status=200 request_id=… attempts=1 tokens=1 time=…",
        "GET /models outcome=answered status=200 request_id=… attempts=1 time=…",
    ]


async def test_without_an_answer_there_is_no_status(caplog: pytest.LogCaptureFixture) -> None:
    async with TutuClient(KEY, "http://127.0.0.1:9/v1", max_retries=0) as client:
        with caplog.at_level(logging.INFO, "tutuclient"), pytest.raises(TutuError):
            await client.chat.completions.create(**ASKED)
    assert lines(caplog) == [
        "POST /chat/completions model=gpt-4o outcome=APIConnectionError(not_sent) attempts=1 time=…"
    ]


async def test_no_key_no_prompt_and_no_image_is_ever_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    echoed = f"cannot do {PROMPT!r} for {KEY} with data:image/png;base64,{PIXELS}"
    odd = {"X-Request-Id": f"id-{KEY}"}
    frames = [chunk("a", finish_reason="stop"), {"error": {"message": echoed}}]
    server.answers(
        fails(400, echoed, code=KEY, headers=odd),
        fails(503, echoed),
        streams([{"error": {"message": echoed}}]),
        streams(frames),
    )
    async with TutuClient(KEY, server.base_url, max_retries=0, default_query={"key": KEY}) as client:
        with caplog.at_level(logging.DEBUG, "tutuclient"):
            for stream in (False, False, True, True):
                with pytest.raises(TutuError):
                    answer: Any = await client.chat.completions.create(**ASKED, stream=stream)
                    await answer.completion()
            with pytest.raises(TutuError):
                await client.post(f"/x/{KEY}?token={KEY}", cast_to=dict, body={"model": KEY, "prompt": PROMPT})
    assert len(caplog.records) >= 10
    for secret in (KEY, PROMPT, PIXELS, "token"):
        assert secret not in caplog.text
    assert 'request_id="id-***"' in caplog.text
    assert 'POST /x/*** model="***"' in caplog.text


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("gpt-4o", "gpt-4o"),
        ("org/model:free@v1", "org/model:free@v1"),
        ("two words", '"two words"'),
        ("a\nINFO tutuclient: POST /forged", '"a\\nINFO tutuclient: POST /forged"'),
        ('m outcome=answered"', '"m outcome=answered\'"'),
        ("\x1b[31mred", '"\\x1b[31mred"'),
        ("模型", '"模型"'),
        ("x" * 500, f'"{"x" * 120}… (500 characters)"'),
    ],
)
async def test_a_name_cannot_forge_a_line_or_a_word(
    server: Server, caplog: pytest.LogCaptureFixture, name: str, word: str
) -> None:
    assert word_of(name) == word
    async with TutuClient(KEY, server.base_url) as client:
        with caplog.at_level(logging.INFO, "tutuclient"):
            await client.chat.completions.create(model=name, messages=[user("hi")])
    assert lines(caplog)[0].startswith(f"POST /chat/completions model={word} outcome=answered status=200")
    assert "\n" not in caplog.records[0].getMessage()


async def test_nothing_is_made_of_a_line_that_nobody_reads(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async with TutuClient(KEY, server.base_url) as client:
        with caplog.at_level(logging.WARNING, "tutuclient"):
            await client.chat.completions.create(**ASKED)
    assert caplog.records == []


PROGRAM = """
import asyncio, logging
from tutuclient import TutuClient, user
from tutuclient.testing import serve
{before}
async def main():
    async with serve() as server:
        for _ in range(2):
            async with TutuClient({key!r}, server.base_url) as client:
                await client.chat.completions.create(model="m", messages=[user({prompt!r})])
asyncio.run(main())
"""


def run(variables: dict[str, str], before: str = "") -> list[str]:
    """Run a program of two clients with these variables, and return what it wrote to stderr."""
    path = str(Path(tutuclient.__file__).parents[1])
    done = subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, "-c", PROGRAM.format(before=before, key=KEY, prompt=PROMPT)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path, **variables},
        timeout=60,
    )
    assert done.stdout == ""
    assert KEY not in done.stderr
    assert PROMPT not in done.stderr
    return done.stderr.splitlines()


def test_the_variable_writes_the_log_to_stderr() -> None:
    written = run({"TUTU_LOG": "info"})
    assert len(written) == 2
    line = (
        r"\d\d:\d\d:\d\d INFO  tutuclient: POST /chat/completions model=m outcome=answered status=200 "
        r"request_id=\w+ attempts=1 tokens=\S+ time=\S+s"
    )
    assert all(re.fullmatch(line, each) for each in written)
    assert len(run({"TUTU_LOG": "DEBUG"})) == 4
    assert run({"TUTU_LOG": "off"}) == []
    assert run({"OPENAI_LOG": "debug"}) == []


def test_a_program_that_logs_by_itself_gets_each_line_once() -> None:
    written = run({"TUTU_LOG": "info"}, "logging.basicConfig(format='own %(message).4s')")
    assert written == ["own POST", "own POST"]


def test_openais_variable_counts_where_its_names_are_used() -> None:
    before = "from tutuclient.compat import AsyncOpenAI\nAsyncOpenAI(api_key='k')"
    assert len(run({"OPENAI_LOG": "info"}, before)) == 2
    assert len(run({"OPENAI_LOG": "info", "TUTU_LOG": "debug"}, before)) == 4


def test_a_value_that_is_not_known_is_said_once() -> None:
    assert run({"TUTU_LOG": "verbose\nx"}) == [
        'TUTU_LOG="verbose\\nx" is not known: write info, debug or off; no log is written'
    ]
