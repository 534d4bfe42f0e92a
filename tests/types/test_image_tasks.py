"""A task as a value: what it shows, what it keeps, and what a pickle of it holds."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest

from tutuclient import ConfigError, ImagesResponse, ImageTask, ImageTaskError

if TYPE_CHECKING:
    from tutuclient._unset import Unset


class Source:
    """What a task is asked of, in place of a client."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def poll(self, task: ImageTask) -> None:
        self.asked.append("poll")
        task.progress = 50

    async def wait(self, task: ImageTask, timeout: float | Unset | None) -> ImagesResponse:
        self.asked.append(f"wait {timeout}")
        task.result = ImagesResponse(created=5)
        return task.result

    def __reduce__(self) -> str:
        raise AssertionError("a task's pickle holds its client")


async def test_a_task_asks_its_source_until_it_is_done() -> None:
    source = Source()
    task = ImageTask("t9", source=source)
    before = task.done
    assert (await task.poll()).progress == 50
    answer = await task.wait(timeout=3)
    assert (before, task.done) == (False, True)
    assert await task.wait() is answer
    assert await task.poll() is task
    assert source.asked == ["poll", "wait 3"]


async def test_a_task_that_failed_asks_nobody() -> None:
    source = Source()
    task = ImageTask("t9", source=source)
    task.error = ImageTaskError("no", reason="failed").with_task(task)
    assert task.done
    for ask in (task.poll, task.wait):
        with pytest.raises(ImageTaskError, match="no"):
            await ask()
    assert source.asked == []
    again = pickle.loads(pickle.dumps(task))  # noqa: S301  (our own)
    assert again.error.task is again


def test_a_pickle_holds_all_but_the_client() -> None:
    task = ImageTask("t9", poll_url="/v1/tasks/t9", status="queued", progress=5, model="m", retry_after=3.0)
    bound = task.bound(Source())
    for same in (pickle.loads(pickle.dumps(bound)), copy.deepcopy(bound)):  # noqa: S301  (our own)
        assert (same.id, same.poll_url, same.status, same.progress, same.model) == (
            "t9", "/v1/tasks/t9", "queued", 5, "m",
        )  # fmt: skip
        assert same.retry_after == 3.0


async def test_a_task_without_a_client_says_how_to_get_one() -> None:
    task = pickle.loads(pickle.dumps(ImageTask("t9", source=Source())))  # noqa: S301  (our own)
    for ask in (task.poll, task.wait):
        with pytest.raises(ConfigError, match=r"client\.images\.task\(task\)"):
            await ask()


async def test_a_copy_has_another_client_and_the_task_keeps_its_own() -> None:
    first, second = Source(), Source()
    task = ImageTask("t9", source=first)
    await task.bound(second).poll()
    assert (first.asked, second.asked) == ([], ["poll"])


def test_a_task_is_shown_by_its_id_and_how_far_it_is() -> None:
    assert repr(ImageTask("t9")) == "ImageTask(id='t9', status='')"
    assert repr(ImageTask("t9", status="queued", progress=0)) == "ImageTask(id='t9', status='queued', progress=0)"
