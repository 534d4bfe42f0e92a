"""Runs at a relay that makes tasks of orders: they are waited for, also after a crash, and never ordered twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.batch.runs import records
from tests.images import png
from tests.leftovers import until
from tutuclient import ImageTaskError, ImageTaskTimeoutError, JournalError, TutuClient
from tutuclient.batch.journal import Journal, Record
from tutuclient.resources import image_tasks
from tutuclient.testing import draws, queues, sends

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.testing import Server

pytestmark = pytest.mark.timeout(60)

PNG = png(bytes(range(200)))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_FIRST_S", 0.01), ("_MOST_S", 0.02), ("_LEAST_S", 0.01)):
        monkeypatch.setattr(image_tasks, name, seconds)


def run_of(client: TutuClient, folder: Path, count: int = 1, **options: Any) -> Any:
    items = [(f"cat{number}", f"a cat {number}") for number in range(count)]
    return client.map(items, generate=True, journal=folder, concurrency=2, **options)


def orders(server: Server) -> int:
    return sum(request.method == "POST" for request in server.requests)


async def test_a_task_is_on_the_disk_before_it_is_waited_for(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(queues(PNG, form="accepted", task_id="t9", ends="never"))
    async with run_of(client, tmp_path, on_exit="cancel"):
        await server.wait_requests(2)  # The second one asks for the task.
        assert [(record.k, record.task, record.url) for record in records(tmp_path)] == [
            ("sent", "", ""),
            ("sent", "t9", "/v1/images/tasks/t9"),
        ]


async def test_a_task_is_synced(
    client: TutuClient, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[str, bool] = {}
    append = Journal.append

    async def watched(journal: Journal, record: Record, *, sync: bool = False) -> None:
        synced[record.task] = sync
        await append(journal, record, sync=sync)

    monkeypatch.setattr(Journal, "append", watched)
    server.answers(queues(PNG, task_id="t9"))
    await run_of(client, tmp_path).gather()
    assert synced["t9"]


async def test_a_task_is_asked_for_where_the_relay_said(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(sends({"task_id": "t9", "poll_url": "/v1/odd/t9?v=1"}))
    server.answers(*[sends({"status": "running"})] * 3, path="/v1/odd/t9")
    async with run_of(client, tmp_path, on_exit="cancel"):
        await server.wait_requests(2)
    server.answers(*[sends({"status": "done", "data": [{"url": server.host(PNG)}]})] * 3, path="/v1/odd/t9")
    [result] = await run_of(client, tmp_path).gather()
    assert result.error is None
    assert {request.path for request in server.requests[1:]} == {"/v1/odd/t9"}


@pytest.mark.parametrize(("form", "model"), [("bare", "gpt-4o-image"), ("object", "what drew it")])
async def test_an_image_that_was_waited_for_has_its_model(
    client: TutuClient, server: Server, tmp_path: Path, form: str, model: str
) -> None:
    body = {"task_id": "t9", "status": "done", "data": [{"url": server.host(PNG)}]}
    more = {"model": "what drew it"} if form == "object" else {}
    server.answers(queues(form=form, task_id="t9", steps=[None] * 3 + [sends(body | more)] * 9))
    async with run_of(client, tmp_path, on_exit="cancel"):
        await server.wait_requests(2)
    await run_of(client, tmp_path).gather()
    assert records(tmp_path)[-1].model == model


async def test_the_limit_of_an_item_holds_for_its_task(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(queues(task_id="t9", ends="never"))
    async with run_of(client, tmp_path, on_exit="cancel"):
        await server.wait_requests(2)
    [result] = await run_of(client, tmp_path, timeout=0.3).gather()
    assert isinstance(result.error, ImageTaskTimeoutError)
    assert "within the deadline of 0.3 s" in str(result.error)


@pytest.mark.parametrize("form", ["listed", "object", "accepted", "generation"])
async def test_a_run_goes_on_with_the_tasks_of_the_last_one(
    client: TutuClient, server: Server, tmp_path: Path, form: str
) -> None:
    server.answers(*[queues(PNG, form=form, steps=[None] * 20, task_id=f"t{number}") for number in range(2)])
    async with run_of(client, tmp_path, 2, on_exit="cancel"):
        await until(lambda: len(records(tmp_path)) == 4)
        await server.wait_requests(4)
    assert sorted(record.task for record in records(tmp_path)) == ["", "", "t0", "t1"]
    run = run_of(client, tmp_path, 2)
    results = await run.gather()
    assert sorted(result.id for result in results) == ["cat0", "cat1"]
    assert [result.images[0].read_bytes() for result in results] == [PNG, PNG]
    assert (run.summary().unknown, orders(server)) == ([], 2)
    assert await run_of(client, tmp_path, 2).gather() == []
    assert orders(server) == 2


async def test_an_order_whose_task_is_not_known_is_still_not_made_again(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(draws(delay=30.0))
    async with run_of(client, tmp_path, on_exit="cancel"):
        await server.wait_requests(1)
    run = run_of(client, tmp_path)
    assert await run.gather() == []
    assert (run.summary().unknown, len(server.requests)) == (["cat0"], 1)


async def test_a_deadline_leaves_the_task_for_the_next_run(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(queues(PNG, steps=[30] * 60, task_id="t9"))
    [result] = await run_of(client, tmp_path, timeout=0.3).gather()
    assert isinstance(result.error, ImageTaskTimeoutError)
    assert (result.outcome, records(tmp_path)[-1].task) == ("unknown", "t9")
    [result] = await run_of(client, tmp_path, timeout=30).gather()
    assert (result.error, result.images[0].read_bytes(), orders(server)) == (None, PNG, 1)


async def test_a_task_that_failed_is_not_made_and_tried_again_when_asked(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(queues(ends="failed"), queues(PNG))
    [result] = await run_of(client, tmp_path).gather()
    assert isinstance(result.error, ImageTaskError)
    assert (result.outcome, await run_of(client, tmp_path).gather()) == ("rejected", [])
    [result] = await run_of(client, tmp_path, retry_failed=True).gather()
    assert (result.error, orders(server)) == (None, 2)


@pytest.mark.parametrize("resend", [False, True])
async def test_a_task_that_is_forgotten_may_be_paid_for(
    client: TutuClient, server: Server, tmp_path: Path, *, resend: bool
) -> None:
    server.answers(queues(ends="forgotten", steps=(50,), task_id="t9"))
    [result] = await run_of(client, tmp_path).gather()
    assert (result.outcome, records(tmp_path)[-1].task, orders(server)) == ("unknown", "t9", 1)
    server.answers(queues(PNG), path="/v1/chat/completions")
    [result] = await run_of(client, tmp_path, resend_unknown=resend).gather()
    # It is asked for first in any case, and ordered again only when that is asked for.
    assert (result.outcome, orders(server)) == (("done", 2) if resend else ("unknown", 1))
    assert len(await run_of(client, tmp_path).gather()) == (0 if resend else 1)


async def test_resend_unknown_orders_nothing_again_that_is_there(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(queues(PNG, steps=[None] * 20, task_id="t9"))
    async with run_of(client, tmp_path, on_exit="cancel"):
        await server.wait_requests(3)
    [result] = await run_of(client, tmp_path, resend_unknown=True).gather()
    assert (result.error, orders(server)) == (None, 1)


async def test_resend_unknown_orders_nothing_again_that_was_not_made(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(queues(steps=[None] * 5, ends="failed", task_id="t9"))
    async with run_of(client, tmp_path, on_exit="cancel"):
        await server.wait_requests(3)
    [result] = await run_of(client, tmp_path, resend_unknown=True).gather()
    assert (result.outcome, orders(server)) == ("rejected", 1)


async def test_leaving_a_run_settles_what_the_relay_makes(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(queues(PNG, steps=[None] * 10))
    async with run_of(client, tmp_path):
        await server.wait_requests(2)
    assert [record.k for record in records(tmp_path)] == ["sent", "sent", "ok"]


async def test_a_task_that_cannot_be_written_down_is_named_in_the_error(
    client: TutuClient, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Journal.append

    async def full(journal: Journal, record: Record, *, sync: bool = False) -> None:
        if record.task:
            raise JournalError("the disk is full")
        await append(journal, record, sync=sync)

    monkeypatch.setattr(Journal, "append", full)
    server.answers(queues(PNG, task_id="t9", form="accepted"))
    with pytest.raises(JournalError, match="full") as caught:
        await run_of(client, tmp_path).gather()
    assert caught.value.__notes__ == ["the image of 'cat0' is being made as the task 't9' /v1/images/tasks/t9"]


SCRIPT = """
import asyncio, sys
from tutuclient import TutuClient

async def main():
    async with TutuClient("k", sys.argv[1]) as client:
        items = [(f"cat{number}", f"a cat {number}") for number in range(4)]
        async with client.map(items, generate=True, journal=sys.argv[2], concurrency=4) as run:
            async for result in run:
                print(result.id, result.error, flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_run_that_is_killed_finds_its_tasks_again(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(*[queues(PNG, form="accepted", steps=[None], ends="never", task_id=f"t{each}") for each in range(4)])
    run = subprocess.Popen([sys.executable, "-c", SCRIPT, server.base_url, str(tmp_path)], stdout=subprocess.PIPE)  # noqa: S603, ASYNC220  (our own code)
    try:
        await until(lambda: sum(request.method == "GET" for request in server.requests) >= 4, seconds=30)
    finally:
        run.kill()
        output, _ = await asyncio.to_thread(run.communicate)
    assert output == b""
    for number in range(4):
        server.answers(queues(PNG, form="accepted", task_id=f"t{number}"), path="/v1/images/generations")
        await client.images.submit(prompt="the same task, which goes on to its end")
    before = orders(server)
    results = await run_of(client, tmp_path, 4).gather()
    assert [result.error for result in results] == [None] * 4
    assert orders(server) == before
