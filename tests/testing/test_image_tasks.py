"""The relay answers orders with tasks, in every form and to every end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.images import png
from tutuclient.testing import POLL_FAULTS, TASK_FORMS, queues, says, sends

if TYPE_CHECKING:
    from tutuclient.testing import Server

PNG = png(b"task")
URL = "/v1/images/generations"
ORDER: dict[str, Any] = {"prompt": "a cat", "model": "m"}

BODIES: dict[str, Any] = {
    "listed": {"code": 200, "data": [{"status": "submitted", "task_id": "t9"}]},
    "accepted": {"task_id": "t9", "poll_url": "/v1/images/tasks/t9"},
    "bare": {"task_id": "t9", "status": "queued"},
}
WHERE = {"accepted": "/v1/images/tasks/t9", "generation": "/v1/images/generations/t9"}


async def ordered(http: aiohttp.ClientSession, server: Server, answer: Any) -> aiohttp.ClientResponse:
    server.answers(answer)
    return await http.post(server.origin + URL, json=ORDER)


@pytest.mark.parametrize("form", TASK_FORMS)
async def test_each_form_is_as_relays_write_it(http: aiohttp.ClientSession, server: Server, form: str) -> None:
    response = await ordered(http, server, queues(form=form, task_id="t9", retry_after=3))
    body = await response.json()
    assert response.status == (202 if form == "accepted" else 200)
    assert response.headers["Retry-After"] == "3"
    assert response.headers.get("Location") == ("/v1/images/tasks/t9" if form == "accepted" else None)
    if form in BODIES:
        assert body == BODIES[form]
    else:
        assert (body["id"], body["status"]) == ("t9", "pending" if form == "object" else "queued")
        assert body["object"] == ("generation.task" if form == "generation" else "image.generation.task")


@pytest.mark.parametrize("form", TASK_FORMS)
async def test_a_task_goes_on_and_then_has_its_image(http: aiohttp.ClientSession, server: Server, form: str) -> None:
    await ordered(http, server, queues(PNG, form=form, task_id="t9", steps=(None, 40)))
    texts: list[str] = []
    for _ in range(4):
        async with http.get(server.origin + WHERE.get(form, "/v1/tasks/t9")) as response:
            assert response.status == 200
            texts.append(await response.text())
    assert ["processing" in text for text in texts] == [True, True, False, False]
    assert '"progress":40' in texts[1]
    for text in texts[2:]:
        url = text[text.index(server.origin) :].partition('"')[0]
        assert server.fetch(url) == PNG


ENDS = {
    "failed": (200, '"failed"'),
    "expired": (200, '"expired"'),
    "forgotten": (404, "task_not_found"),
    "never": (200, "processing"),
    "empty": (200, "completed"),
}


@pytest.mark.parametrize(("ends", "status", "word"), [(end, *row) for end, row in ENDS.items()], ids=ENDS)
async def test_each_end_stays(http: aiohttp.ClientSession, server: Server, ends: Any, status: int, word: str) -> None:
    await ordered(http, server, queues(task_id="t9", steps=(), ends=ends))
    for _ in range(3):
        async with http.get(f"{server.origin}/v1/tasks/t9") as response:
            assert response.status == status
            assert word in await response.text()


STATUSES = {"429": 429, "500": 500, "401": 401, "broken": 200, "login": 200, "missing": 404, "gone": 410}


@pytest.mark.parametrize("name", POLL_FAULTS)
async def test_each_fault_is_met_once(http: aiohttp.ClientSession, server: Server, name: str) -> None:
    await ordered(http, server, queues(task_id="t9", steps=(name,)))
    if name == "torn":
        with pytest.raises(aiohttp.ClientPayloadError):
            await (await http.get(f"{server.origin}/v1/tasks/t9")).read()
    else:
        async with http.get(f"{server.origin}/v1/tasks/t9") as response:
            assert response.status == STATUSES[name]
            assert (response.content_type == "text/html") == (name == "login")
    async with http.get(f"{server.origin}/v1/tasks/t9") as response:
        assert (await response.json())["data"]["status"] == "completed"


async def test_other_scripts_are_for_other_requests_and_a_reset_forgets_tasks(
    http: aiohttp.ClientSession, server: Server
) -> None:
    await ordered(http, server, queues(task_id="t9", steps=(sends({"mine": 1}),)))
    server.answers(says("hi"))
    async with http.get(f"{server.origin}/v1/tasks/t9") as response:
        assert await response.json() == {"mine": 1}
    server.reset()
    async with http.get(f"{server.origin}/v1/tasks/t9") as response:
        assert response.status == 404


def test_forms_and_faults_that_do_not_exist_are_errors() -> None:
    with pytest.raises(ValueError, match="no form of tasks 'x'"):
        queues(form="x")
    with pytest.raises(ValueError, match="no fault of questions 'x'"):
        queues(steps=("x",))
