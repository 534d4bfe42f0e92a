"""Tasks of images, as a typed program uses them. Only type-checked, never run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import assert_type

from tutuclient import (
    APIError,
    APIResponse,
    APITimeoutError,
    ImagesResponse,
    ImageTask,
    ImageTaskError,
    ImageTaskReason,
    ImageTaskTimeoutError,
    Meta,
    OpenResponse,
    OutcomeUnknownError,
    TutuClient,
)
from tutuclient.compat import AsyncOpenAI
from tutuclient.testing import POLL_FAULTS, TASK_FORMS, Server, queues, sends


async def orders(client: TutuClient) -> None:
    task = await client.images.submit(prompt="a cat", model="m", size="1024x1024", timeout=30)
    assert_type(task, ImageTask)
    assert_type(await client.images.submit(prompt="a hat", image=["a.png", Path("b.png")], mask=b""), ImageTask)
    assert_type(task.id, str)
    assert_type(task.status, str)
    assert_type(task.progress, int | None)
    assert_type(task.poll_url, str | None)
    assert_type(task.result, ImagesResponse | None)
    assert_type(task.error, APIError | None)
    assert_type(task.meta, Meta | None)
    assert_type(task.done, bool)
    assert_type(await task.poll(), ImageTask)
    assert_type(await task.wait(), ImagesResponse)
    assert_type(await task.wait(timeout=60), ImagesResponse)
    assert_type(await task.wait(timeout=None), ImagesResponse)
    assert_type(client.images.task("t9", poll_url="/v1/tasks/t9"), ImageTask)
    assert_type(client.images.task(task), ImageTask)
    assert_type(pickle.dumps(task), bytes)


async def faces(client: TutuClient) -> None:
    assert_type(await client.images.with_raw_response.submit(prompt="a cat"), APIResponse[ImageTask])
    async with client.images.with_streaming_response.submit(prompt="a cat") as response:
        assert_type(response, OpenResponse[ImageTask])
        assert_type(await response.parse(), ImageTask)
    assert_type(await AsyncOpenAI().images.submit(prompt="a cat"), ImageTask)


async def errors(client: TutuClient) -> None:
    try:
        await client.images.generate(prompt="a cat")
    except ImageTaskError as error:
        assert_type(error.reason, ImageTaskReason | None)
        assert_type(error.status, str)
    except ImageTaskTimeoutError as error:
        assert_type(error.task, ImageTask | None)
        kinds: tuple[OutcomeUnknownError, APITimeoutError] = (error, error)
        assert_type(kinds[0].task, ImageTask | None)
    except APIError as error:
        assert_type(error.task, ImageTask | None)


def scripts(tutu_relay: Server) -> None:
    tutu_relay.answers(
        queues(b"", form="accepted", steps=(None, 50, "500", sends({})), ends="failed", retry_after=3, task_id="t9"),
        queues([b"", b""], ends="never", encoded=True, poll_url="/t9", error={"message": "no"}),
    )
    assert_type([*TASK_FORMS], list[str])
    assert_type([*POLL_FAULTS], list[str])
