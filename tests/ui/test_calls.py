"""A call is made once, whoever asks for it how often, and read by whoever has its id."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import ConfigError
from tutuclient.ui import calls as module
from tutuclient.ui.calls import MOST_RUNNING, Asked, Call, CallConflictError, Calls, TooManyCallsError
from tutuclient.ui.masking import Mask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = "sk-never-shown-0123456789"


def asked(number: int = 0, task: Any = "ask", **fields: Any) -> Asked:
    return Asked(id=f"call-{number:020}", task=task, **{"prompt": "?", "model": "m", **fields})


class Work:
    """Calls whose work a test does by hand."""

    def __init__(self) -> None:
        self.begun: list[Call] = []
        self.cancelled: list[Call] = []
        self.finish = asyncio.Event()
        self.calls = Calls(self.carry_out, Mask(KEY))

    async def carry_out(self, call: Call) -> None:
        self.begun.append(call)
        try:
            await self.finish.wait()
        except asyncio.CancelledError:
            self.cancelled.append(call)
            call.end("stopped", outcome="unknown")
            raise
        call.end("done")


@pytest.fixture
async def work() -> AsyncIterator[Work]:
    work = Work()
    yield work
    await work.calls.aclose()


async def read(call: Call) -> list[dict[str, Any]]:
    async with aclosing(call.read()) as reading:
        return [
            {**event, "elapsed": 0} if "elapsed" in event else event async for events in reading for event in events
        ]


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_one_id_is_one_call_however_often_it_is_sent(work: Work) -> None:
    first = work.calls.start(asked(task="edit"))
    assert work.calls.start(asked(task="edit")) is first
    work.finish.set()
    await turns()
    assert work.calls.start(asked(task="edit")) is first
    assert work.begun == [first]
    assert work.calls.get(first.asked.id) is first
    assert work.calls.get("another") is None


@pytest.mark.parametrize("other", [{"prompt": "another"}, {"model": "n"}, {"image": "i"}, {"task": "generate"}])
async def test_an_id_does_not_stand_for_another_request(work: Work, other: dict[str, Any]) -> None:
    work.calls.start(asked(task="edit"))
    with pytest.raises(CallConflictError):
        work.calls.start(asked(**{"task": "edit", **other}))
    await turns()
    assert len(work.begun) == 1


@pytest.mark.parametrize("name", ["", "short", "x" * 65, "with spaces and more", "../../../../etc/passwd"])
async def test_an_id_is_long_enough_to_be_of_one_page_alone(work: Work, name: str) -> None:
    with pytest.raises(ConfigError, match="16 to 64"):
        work.calls.start(Asked(id=name, task="ask", prompt="?", model="m"))


async def test_readers_come_late_and_read_it_all(work: Work) -> None:
    call = work.calls.start(asked(task="edit"))
    await turns()
    call.add_text("one ")
    call.add_text("two")
    call.add("image", id="i")
    call.add("image", id="j")
    work.finish.set()
    expected = [
        {"type": "text", "text": "one two"},
        {"type": "image", "id": "i"},
        {"type": "image", "id": "j"},
        {"type": "done", "elapsed": 0, "leftOut": 0},
    ]
    assert await read(call) == await read(call) == expected


async def test_of_progress_the_newest_is_shown(work: Work) -> None:
    call = work.calls.start(asked(task="edit"))
    await turns()
    for share in ("10 %", "20 %", "30 %"):
        call.add("progress", text=share)
    work.finish.set()
    assert [event.get("text") for event in await read(call)] == ["30 %", None]


async def test_a_question_ends_when_its_last_reader_leaves(work: Work) -> None:
    call = work.calls.start(asked())
    await turns()
    first, second = call.read(), call.read()
    await anext(first)
    await anext(second)
    await first.aclose()
    await turns()
    assert work.cancelled == []
    await second.aclose()
    await turns()
    assert work.cancelled == [call]
    assert (await read(call))[-1]["type"] == "stopped"


async def test_an_order_goes_on_when_nobody_reads_it_and_ends_when_it_is_told_to(work: Work) -> None:
    call = work.calls.start(asked(task="generate"))
    await turns()
    reading = call.read()
    await anext(reading)
    await reading.aclose()
    await turns()
    assert work.cancelled == []
    call.stop()
    await turns()
    assert work.cancelled == [call]


async def test_a_call_that_is_stopped_before_it_began_was_not_sent(work: Work) -> None:
    call = work.calls.start(asked())
    call.stop()
    await turns()
    assert work.begun == []
    assert await read(call) == [{"type": "stopped", "elapsed": 0, "leftOut": 0, "outcome": "not_sent"}]


async def test_so_many_calls_run_at_once_and_no_more(work: Work) -> None:
    for number in range(MOST_RUNNING):
        work.calls.start(asked(number))
    with pytest.raises(TooManyCallsError):
        work.calls.start(asked(MOST_RUNNING))
    work.finish.set()
    await turns()
    work.calls.start(asked(MOST_RUNNING))


async def test_ended_calls_are_forgotten_in_their_order(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_KEPT", 3)
    work.finish.set()
    for number in range(5):
        work.calls.start(asked(number))
        await turns()
    assert [work.calls.get(asked(number).id) is not None for number in range(5)] == [False, False, True, True, True]


async def test_the_text_that_is_shown_has_a_limit_and_the_rest_is_told(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_TEXT", 10)
    call = work.calls.start(asked(task="edit"))
    await turns()
    for _ in range(4):
        call.add_text("123456")
    work.finish.set()
    assert await read(call) == [
        {"type": "text", "text": "1234561234"},
        {"type": "done", "elapsed": 0, "leftOut": 14},
    ]


async def test_the_key_is_masked_in_text_and_thoughts_wherever_it_is_cut(work: Work) -> None:
    call = work.calls.start(asked(task="edit"))
    await turns()
    for letter in f"is {KEY} it? sk-":
        call.add_text(letter)
        call.add_text(letter, "thinking")
    work.finish.set()
    shown = {
        kind: "".join(each["text"] for each in await read(call) if each["type"] == kind)
        for kind in ("text", "thinking")
    }
    assert shown == {"text": "is *** it? sk-", "thinking": "is *** it? sk-"}


async def test_only_the_first_end_counts(work: Work) -> None:
    call = work.calls.start(asked())
    await turns()
    call.end("error", name="A")
    call.end("done")
    assert [event["type"] for event in await read(call)] == ["error"]


async def test_a_silent_call_shows_signs_of_life(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BEAT_S", 0.01)
    call = work.calls.start(asked(task="edit"))
    async with aclosing(call.read()) as reading:
        assert [await anext(reading) for _ in range(3)] == [[], [], []]


@pytest.mark.parametrize("after", range(6))
async def test_a_reader_that_is_cancelled_as_something_comes_is_gone(work: Work, after: int) -> None:
    call = work.calls.start(asked())
    reader = asyncio.create_task(read(call))
    await turns()
    call.add_text("a")
    await turns(after)
    reader.cancel()
    await turns(10)
    assert reader.cancelled()
    assert work.cancelled == [call]
