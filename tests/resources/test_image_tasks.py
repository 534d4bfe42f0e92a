"""Orders that a relay answers with a task: waited for, returned to, and never made twice."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY, QUICK
from tests.images import png
from tutuclient import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ConfigError,
    ContentPolicyError,
    ImagesResponse,
    ImageTask,
    ImageTaskError,
    ImageTaskTimeoutError,
    InternalServerError,
    NotFoundError,
    OutcomeUnknownError,
    TutuClient,
    UnexpectedResponseError,
)
from tutuclient.resources import image_tasks
from tutuclient.testing import TASK_FORMS, queues, rate_limited, raw, sends, serve
from tutuclient.transport.admission import RunItem, answering_items

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.testing import Server

PNG = png(bytes(range(200)))
OTHER = png(bytes(range(100)))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_FIRST_S", 0.01), ("_MOST_S", 0.02), ("_LEAST_S", 0.01)):
        monkeypatch.setattr(image_tasks, name, seconds)


def asked(server: Server) -> list[tuple[str, str]]:
    return [(request.method, request.path) for request in server.requests]


def orders(server: Server) -> int:
    return sum(request.method == "POST" for request in server.requests)


# --- waiting ---------------------------------------------------------------------------------------------------------

WHERE = {"accepted": "/v1/images/tasks/", "generation": "/v1/images/generations/"}


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("form", TASK_FORMS)
async def test_an_order_in_every_form_is_waited_for_and_has_its_images(
    client: TutuClient, server: Server, form: str, *, encoded: bool
) -> None:
    server.answers(queues([PNG, OTHER], form=form, steps=(None, 40), task_id="t9", encoded=encoded))
    answer = await client.images.generate(prompt="a cat", model="m")
    assert isinstance(answer, ImagesResponse)
    assert [await image.read() for image in answer.images] == [PNG, OTHER]
    question = ("GET", f"{WHERE.get(form, '/v1/tasks/')}t9")
    assert asked(server) == [("POST", "/v1/images/generations"), *[question] * 3]
    assert all(request.headers["Authorization"] == f"Bearer {KEY}" for request in server.requests)
    assert answer.meta.status_code == 200


async def test_an_edit_is_waited_for_too(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG, form="accepted"))
    answer = await client.images.edit(image=PNG, prompt="a hat", model="m")
    assert await answer.images[0].read() == PNG
    assert orders(server) == 1


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("form", TASK_FORMS)
async def test_a_chat_that_orders_an_image_is_waited_for_and_is_a_completion(
    client: TutuClient, server: Server, tmp_path: Path, form: str, *, encoded: bool
) -> None:
    for call in (client.generate("a cat"), client.edit(PNG, "a hat")):
        server.answers(queues(PNG, form=form, encoded=encoded))
        answer = await call
        assert (answer.text, answer.finish_reason, answer.model) == ("", "stop", "gpt-4o-image")
        assert (await answer.images[0].save(tmp_path / "made", overwrite=True)).read_bytes() == PNG
    assert orders(server) == 2


async def test_a_question_that_is_answered_with_a_task_is_an_error_as_before(
    client: TutuClient, server: Server
) -> None:
    server.answers(queues(PNG))
    with pytest.raises(UnexpectedResponseError) as caught:
        await client.analyze(PNG, "What is it?", model="gpt-4o")
    assert caught.value.task is None
    assert len(server.requests) == 1


async def test_an_answer_with_its_images_is_no_task(client: TutuClient, server: Server) -> None:
    server.answers(sends({"id": "x", "status": "completed", "data": [{"url": server.host(PNG)}]}))
    answer = await client.images.generate(prompt="a cat")
    assert await answer.images[0].read() == PNG
    assert len(server.requests) == 1


@pytest.mark.parametrize("step", ["429", "500", "torn", "broken", "login", "missing"])
async def test_a_question_that_fails_is_asked_again(client: TutuClient, server: Server, step: str) -> None:
    server.answers(queues(PNG, form="accepted", steps=(step, step, 50)))
    answer = await client.images.generate(prompt="a cat")
    assert await answer.images[0].read() == PNG
    assert (orders(server), len(server.requests)) == (1, 5)


ENOUGH = {
    "500": (10, InternalServerError),
    "torn": (10, APIConnectionError),
    "broken": (3, UnexpectedResponseError),
    "login": (3, UnexpectedResponseError),
    "401": (1, AuthenticationError),
    "missing": (5, ImageTaskError),
}


@pytest.mark.parametrize(("step", "count", "cls"), [(step, *row) for step, row in ENOUGH.items()], ids=ENOUGH)
async def test_questions_that_go_on_failing_end_the_waiting_and_keep_the_task(
    client: TutuClient, server: Server, step: str, count: int, cls: type[Exception]
) -> None:
    server.answers(queues(PNG, steps=[step] * count, task_id="t9", form="accepted"))
    with pytest.raises(cls) as caught:
        await client.images.generate(prompt="a cat")
    assert isinstance(caught.value, APIStatusError | APIConnectionError | UnexpectedResponseError | ImageTaskError)
    assert caught.value.outcome == "unknown"
    task = caught.value.task
    assert task is not None
    assert (task.id, task.done, orders(server)) == ("t9", False, 1)
    assert len(server.requests) == 1 + count
    # What is paid for is not lost: the same task, asked again, has the image.
    assert await (await task.wait()).images[0].read() == PNG
    assert orders(server) == 1


async def test_only_failures_in_a_row_count(client: TutuClient, server: Server) -> None:
    few = ["500"] * 6, ["broken"] * 2
    server.answers(queues(PNG, form="accepted", steps=[*few[0], None, *few[0], None, *few[1], None, *few[1]]))
    assert (await client.images.generate(prompt="a cat")).images


async def test_a_preview_is_not_the_image(client: TutuClient, server: Server) -> None:
    preview = {"task_id": "t9", "status": "processing", "image_url": server.host(OTHER), "data": [{"url": "https://x"}]}
    server.answers(queues(PNG, task_id="t9", steps=[sends(preview)]))
    assert await (await client.images.generate(prompt="a cat")).images[0].read() == PNG


async def test_a_status_that_nobody_knows_is_asked_about_again(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG, steps=[sends({"task_id": "t9", "status": "thinking hard"})], task_id="t9"))
    assert (await client.images.generate(prompt="a cat")).images


async def test_retry_after_is_honoured(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG, form="accepted", steps=(None,), retry_after="0.2"))
    await client.images.generate(prompt="a cat")
    assert min(server.gaps) >= 0.2


async def test_a_pause_beyond_the_deadline_ends_the_waiting_at_once(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG, form="accepted", retry_after=3000))
    with pytest.raises(ImageTaskTimeoutError, match="asked again in 3000 s"):
        await client.images.generate(prompt="a cat", timeout=60)
    assert len(server.requests) == 1


async def test_what_the_order_took_counts_against_the_deadline(client: TutuClient, server: Server) -> None:
    server.answers(sends({"task_id": "t9", "status": "queued", "retry_after": 0.6}, delay=0.5))
    with pytest.raises(ImageTaskTimeoutError, match="asked again in 0.6 s"):
        await client.images.generate(prompt="a cat", timeout=1.0)
    assert len(server.requests) == 1


async def test_the_deadline_ends_the_waiting_and_the_error_has_the_task(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG, steps=[10] * 1000, task_id="t9"))
    with pytest.raises(OutcomeUnknownError) as caught:
        await client.images.generate(prompt="a cat", timeout=0.4)
    error = caught.value
    assert isinstance(error, ImageTaskTimeoutError | APITimeoutError)
    assert isinstance(error, TimeoutError)
    assert error.outcome == "unknown"
    assert error.task is not None
    assert (error.task.id, error.task.status, error.task.progress) == ("t9", "processing", 10)
    assert "within the deadline of 0.4 s" in str(error)
    assert orders(server) == 1


async def test_a_silent_relay_does_not_hold_the_waiting_beyond_its_deadline(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG, task_id="t9", steps=[raw(delay=30.0)]))
    with pytest.raises(ImageTaskTimeoutError) as caught:
        await client.images.generate(prompt="a cat", timeout=0.4)
    assert isinstance(caught.value.__cause__, APITimeoutError)


# --- ends ------------------------------------------------------------------------------------------------------------

ENDS = {
    "failed": ("failed", "rejected"),
    "expired": ("expired", "unknown"),
    "forgotten": ("not_found", "unknown"),
    "empty": ("no_image", "unknown"),
}


@pytest.mark.parametrize(("ends", "reason", "outcome"), [(end, *row) for end, row in ENDS.items()], ids=ENDS)
@pytest.mark.parametrize("form", TASK_FORMS)
async def test_a_task_that_comes_to_nothing_is_an_error_that_says_why(
    client: TutuClient, server: Server, form: str, ends: Any, reason: str, outcome: str
) -> None:
    server.answers(queues(form=form, ends=ends, steps=(30,), task_id="t9"))
    with pytest.raises(ImageTaskError, match="image task t9") as caught:
        await client.images.generate(prompt="a cat")
    error = caught.value
    assert (error.reason, error.outcome) == (reason, outcome)
    assert error.task is not None
    assert error.task.id == "t9"
    assert orders(server) == 1
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own)
    assert (again.reason, again.outcome, again.task.id, str(again)) == (reason, outcome, "t9", str(error))


async def test_the_error_of_a_failed_task_has_the_relays_own_as_its_cause(client: TutuClient, server: Server) -> None:
    server.answers(queues(ends="failed"))
    with pytest.raises(ImageTaskError, match="the prompt was rejected") as caught:
        await client.images.generate(prompt="a cat")
    assert isinstance(caught.value.__cause__, ContentPolicyError)
    assert (caught.value.code, caught.value.status) == ("content_policy_violation", "failed")
    task = caught.value.task
    assert task is not None
    assert task.done
    with pytest.raises(ImageTaskError):  # It is known, so it is not asked for again.
        await task.wait()
    assert len(server.requests) == 3


async def test_a_task_that_is_gone_has_expired(client: TutuClient, server: Server) -> None:
    server.answers(queues(steps=("gone",)))
    with pytest.raises(ImageTaskError) as caught:
        await client.images.generate(prompt="a cat")
    assert (caught.value.reason, caught.value.outcome) == ("expired", "unknown")


async def test_an_order_that_failed_at_once_is_the_same_error(client: TutuClient, server: Server) -> None:
    server.answers(sends({"task_id": "t9", "status": "failed", "message": "content refused"}))
    with pytest.raises(ImageTaskError, match="content refused") as caught:
        await client.images.generate(prompt="a cat")
    assert (caught.value.reason, caught.value.outcome, len(server.requests)) == ("failed", "rejected", 1)


# --- where it is asked for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["accepted", "bare"])
async def test_the_key_goes_to_no_other_origin(client: TutuClient, server: Server, form: str) -> None:
    async with serve() as other:
        elsewhere = f"{other.origin}/v1/tasks/t9"
        server.answers(queues(PNG, form=form, poll_url=elsewhere, task_id="t9"))
        if form == "bare":  # Its body names no address; another relay's does.
            server.answers(sends({"task_id": "t9", "status": "queued", "poll_url": elsewhere}))
            server.requests.clear()
            await client.images.generate(prompt="a cat")
        with pytest.raises(ImageTaskError, match="the key goes nowhere else") as caught:
            await client.images.generate(prompt="a cat")
        assert (caught.value.reason, caught.value.outcome) == ("other_origin", "unknown")
        assert other.requests == []
        with pytest.raises(ConfigError, match="the key goes nowhere else"):
            client.images.task("t9", poll_url=elsewhere)
        assert caught.value.task is not None
        # The caller decides: the relay itself, by the id.
        assert (await client.images.task(caught.value.task.id).wait()).images


@pytest.mark.parametrize(
    "poll_url",
    [
        "https://relay.example@evil.example/t9",
        "//evil.example/t9",
        "http://evil.example\\@relay/t9",
        "file:///etc/passwd",
        "http://[",
        "/v1/tasks/t9#x",
        "/v1/ta\nsks",
    ],
)
def test_no_address_of_another_origin_is_taken(poll_url: str) -> None:
    client = TutuClient(KEY, "https://relay.example")
    with pytest.raises(ConfigError, match="poll_url"):
        client.images.task("t9", poll_url=poll_url)


async def test_a_task_is_looked_for_where_relays_have_them(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG, form="generation", task_id="t9"))
    await client.images.submit(prompt="a cat")
    answer = await client.images.task("t9").wait()
    assert await answer.images[0].read() == PNG
    assert asked(server)[1:] == [
        ("GET", "/v1/tasks/t9"),
        ("GET", "/v1/images/tasks/t9"),
        ("GET", "/v1/images/generations/t9"),
        ("GET", "/v1/images/generations/t9"),
    ]


async def test_a_task_that_no_place_knows_is_not_found(client: TutuClient, server: Server) -> None:
    with pytest.raises(ImageTaskError, match="poll_url= has to name") as caught:
        await client.images.task("t/9 ü").wait()
    assert (caught.value.reason, caught.value.outcome) == ("not_found", "unknown")
    assert isinstance(caught.value.__cause__, NotFoundError)
    assert len(server.requests) == 3


async def test_headers_and_query_of_the_order_are_those_of_its_questions(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG))
    headers = {"X-Group": "vip", "Idempotency-Key": "mine"}
    await client.images.generate(prompt="a cat", extra_headers=headers, extra_query={"key": "k"})
    assert server.requests[0].headers["Idempotency-Key"] == "mine"
    for request in server.requests[1:]:
        assert (request.headers["X-Group"], request.query["key"]) == ("vip", "k")
        assert "Idempotency-Key" not in request.headers


async def test_a_key_in_the_address_is_not_kept(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG, task_id="t9", poll_url=f"/v1/images/tasks/t9?key={KEY}&v=1", form="accepted"))
    task = await client.images.submit(prompt="a cat")
    assert task.poll_url == "/v1/images/tasks/t9?v=1"
    assert (await task.wait()).images
    assert dict(server.requests[-1].query) == {"v": "1"}
    server.answers(sends({"task_id": "t8", "poll_url": f"/v1/{KEY}/t8"}))
    assert (await client.images.submit(prompt="a cat")).poll_url is None


# --- tasks in hand ---------------------------------------------------------------------------------------------------


async def test_submit_returns_the_task_without_waiting(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG, form="object", task_id="t9", steps=(20, 60)))
    task = await client.images.submit(prompt="a cat", model="m")
    assert isinstance(task, ImageTask)
    assert (task.id, task.status, task.done, task.model, len(server.requests)) == ("t9", "pending", False, "m", 1)
    assert (await task.poll()).progress == 20
    assert repr(task) == "ImageTask(id='t9', status='processing', progress=20)"
    answer = await task.wait(timeout=30)
    assert task.done
    assert task.result is answer
    assert await task.wait() is answer
    assert len(server.requests) == 4


async def test_submit_with_an_image_is_an_edit(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG, form="accepted"))
    task = await client.images.submit(prompt="a hat", image=PNG, mask=PNG)
    assert server.requests[0].path == "/v1/images/edits"
    assert [file.name for file in server.requests[0].form.files] == ["image", "mask"]
    assert (await task.wait()).images
    with pytest.raises(ConfigError, match="pass image= too"):
        await client.images.submit(prompt="a hat", mask=PNG)


async def test_submit_of_an_order_that_is_answered_at_once_is_a_finished_task(
    client: TutuClient, server: Server
) -> None:
    server.answers(sends({"created": 1, "data": [{"url": server.host(PNG)}]}))
    task = await client.images.submit(prompt="a cat")
    assert (task.id, task.done) == ("", True)
    assert await (await task.wait()).images[0].read() == PNG
    assert len(server.requests) == 1


async def test_a_task_outlives_its_client_and_its_process(server: Server) -> None:
    server.answers(queues(PNG, form="accepted", task_id="t9"))
    async with TutuClient(KEY, server.base_url, retry=QUICK) as client:
        task = await client.images.submit(prompt="a cat")
    kept = pickle.dumps(task)
    assert KEY.encode() not in kept
    task = pickle.loads(kept)  # noqa: S301  (our own)
    with pytest.raises(ConfigError, match="came out of a pickle"):
        await task.wait()
    async with TutuClient(KEY, server.base_url, retry=QUICK) as client:
        assert await (await client.images.task(task).wait()).images[0].read() == PNG
        assert await (await client.images.task("t9", poll_url=task.poll_url).wait()).images[0].read() == PNG
    assert orders(server) == 1


async def test_a_finished_task_can_be_pickled_with_its_images(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG))
    task = await client.images.submit(prompt="a cat")
    await task.wait()
    again = pickle.loads(pickle.dumps(task))  # noqa: S301  (our own)
    assert await (await again.wait()).images[0].read() == PNG


async def test_cancelling_leaves_the_task_at_the_relay(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG, task_id="t9", steps=[5] * 10))
    seen: list[ImageTask] = []

    admitted: list[bool] = []

    class Item(RunItem):
        def admitted(self) -> None:
            admitted.append(True)

        async def task_accepted(self, task: ImageTask) -> None:
            seen.append(task)

    async def order() -> None:
        answering_items.set(Item())
        await client.images.generate(prompt="a cat")

    ordering = asyncio.create_task(order())
    await server.wait_requests(3)
    ordering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ordering
    [task] = seen
    # Only the order is the item's: questions are calls made one by one, which go first.
    assert admitted == [True]
    assert await (await client.images.task(task.id).wait()).images[0].read() == PNG
    assert {request.method for request in server.requests[1:]} == {"GET"}


@pytest.mark.parametrize("name", ["", " ", 5, None])
def test_a_task_has_an_id(name: Any) -> None:
    with pytest.raises(ConfigError, match="needs the id of a task"):
        TutuClient(KEY, "https://relay.example").images.task(name)


# --- several tasks of one order ---


def several(server: Server, *ends: Any) -> None:
    """Answer an order with a task for each image, and each of these in its own way."""
    names = [f"t{number}" for number in range(len(ends))]
    server.answers(sends({"code": 200, "data": [{"status": "submitted", "task_id": name} for name in names]}))
    for name, end in zip(names, ends, strict=True):
        server.answers(sends({"id": name, "status": "processing"}), *[end] * 3, path=f"/v1/tasks/{name}")


def made(server: Server, picture: bytes) -> Any:
    return sends({"status": "completed", "result": {"images": [{"url": [server.host(picture)]}]}})


FAILED = sends({"status": "failed", "error": {"message": "the prompt was rejected"}})


async def test_an_order_with_a_task_for_each_image_has_all_images(client: TutuClient, server: Server) -> None:
    several(server, made(server, PNG), made(server, OTHER))
    answer = await client.images.generate(prompt="a cat", n=2)
    assert [await image.read() for image in answer.images] == [PNG, OTHER]
    assert orders(server) == 1


async def test_one_image_that_failed_costs_none_of_the_others(client: TutuClient, server: Server) -> None:
    several(server, FAILED, made(server, PNG))
    answer = await client.images.generate(prompt="a cat", n=2)
    assert [await image.read() for image in answer.images] == [PNG]
    [failed] = [image.error for image in answer.data if image.error]
    assert "the prompt was rejected" in failed.message
    assert len(answer.meta.warnings) == 1


async def test_images_of_which_all_failed_are_an_error(client: TutuClient, server: Server) -> None:
    several(server, FAILED, FAILED)
    with pytest.raises(ImageTaskError, match="the prompt was rejected") as caught:
        await client.images.generate(prompt="a cat", n=2)
    assert caught.value.task is not None
    assert caught.value.task.id == "t0,t1"


async def test_several_tasks_are_returned_to_as_one(client: TutuClient, server: Server) -> None:
    several(server, made(server, PNG), made(server, OTHER))
    task = await client.images.submit(prompt="a cat", n=2)
    assert (task.id, task.status, [part.id for part in task.parts]) == ("t0,t1", "submitted", ["t0", "t1"])
    assert not (await task.poll()).done
    again = client.images.task(pickle.loads(pickle.dumps(task)))  # noqa: S301  (our own)
    assert len((await again.wait()).images) == 2
    assert len((await client.images.task("t0,t1").wait()).images) == 2
    assert (await task.poll()).done
    assert orders(server) == 1


async def test_a_deadline_keeps_all_tasks_of_an_order(client: TutuClient, server: Server) -> None:
    going_on = [sends({"status": "processing"})] * 99
    several(server, made(server, PNG), going_on[0])
    server.answers(*going_on, path="/v1/tasks/t1")
    with pytest.raises(ImageTaskTimeoutError) as caught:
        await client.images.generate(prompt="a cat", n=2, timeout=0.4)
    assert caught.value.task is not None
    assert (caught.value.task.id, [part.done for part in caught.value.task.parts]) == ("t0,t1", [True, False])


# --- errors that name a task -----------------------------------------------------------------------------------------


async def test_an_error_beside_a_task_carries_it(client: TutuClient, server: Server) -> None:
    server.answers(sends({"error": {"message": "m", "code": 500}, "task_id": "t9"}, status=500))
    server.answers(queues(PNG, task_id="t9"), path="/v1/images/edits")
    with pytest.raises(APIStatusError) as caught:
        await client.images.generate(prompt="a cat")
    assert caught.value.outcome == "unknown"
    assert caught.value.task is not None
    await client.images.edit(image=PNG, prompt="x")
    assert await (await caught.value.task.wait()).images[0].read() == PNG


async def test_a_task_in_place_of_a_stream_is_in_the_error(client: TutuClient, server: Server) -> None:
    for order in (
        client.images.generate(prompt="a cat", stream=True),
        client.generate("a cat", stream=True),
    ):
        server.answers(queues(PNG, form="object"))
        with pytest.raises(UnexpectedResponseError) as caught:
            await order
        assert caught.value.task is not None
        assert await (await caught.value.task.wait()).images[0].read() == PNG
    assert orders(server) == 2


async def test_an_order_that_is_accepted_without_a_body_is_asked_for_at_its_location(
    client: TutuClient, server: Server
) -> None:
    server.answers(queues(PNG, form="accepted", task_id="t9"), path="/v1/images/edits")
    await client.images.submit(image=PNG, prompt="x")
    server.answers(raw(202, b"", {"Location": "/v1/images/tasks/t9"}))
    task = await client.images.submit(prompt="a cat")
    assert (task.id, task.poll_url) == ("t9", "/v1/images/tasks/t9")
    assert (await task.wait()).images


async def test_what_the_images_took_is_reported_once(client: TutuClient, server: Server) -> None:
    spent: list[Any] = []
    counting = client.with_options(on_usage=spent.append)
    body = {"task_id": "t9", "status": "succeeded", "data": [{"url": server.host(PNG)}], "usage": {"total_tokens": 7}}
    server.answers(queues(task_id="t9", steps=[None, sends(body)]))
    await counting.images.generate(prompt="a cat", model="m")
    assert [(each.what, each.model, each.usage.total_tokens) for each in spent] == [
        ("POST /images/generations", "m", 7)
    ]


async def test_a_refusal_without_end_ends_at_the_deadline(client: TutuClient, server: Server) -> None:
    server.answers(queues(steps=[rate_limited(0.05)] * 200))
    with pytest.raises(ImageTaskTimeoutError):
        await client.images.generate(prompt="a cat", timeout=0.5)
    assert orders(server) == 1


# --- the other faces -------------------------------------------------------------------------------------------------


async def test_raw_and_open_answers_are_waited_for_too(client: TutuClient, server: Server) -> None:
    server.answers(queues(PNG), queues(PNG), queues(PNG, task_id="t9"), queues(PNG, task_id="t9"))
    response = await client.images.with_raw_response.generate(prompt="a cat")
    assert await response.parse().images[0].read() == PNG
    assert response.json()["data"]["status"] == "completed"
    async with client.images.with_streaming_response.generate(prompt="a cat") as opened:
        answer = await opened.parse()
    assert await answer.images[0].read() == PNG
    submitted = await client.images.with_raw_response.submit(prompt="a cat")
    assert (submitted.parse().id, submitted.json()["data"][0]["task_id"]) == ("t9", "t9")
    async with client.images.with_streaming_response.submit(prompt="a cat") as opened_task:
        assert (await opened_task.parse()).id == "t9"
    assert orders(server) == 4


async def test_middleware_sees_the_task_and_each_question(client: TutuClient, server: Server) -> None:
    seen: list[tuple[str, str]] = []

    async def watch(request: Any, call_next: Any) -> Any:
        result = await call_next(request)
        seen.append((request.method, type(result).__name__))
        return result

    server.answers(queues(PNG, steps=()))
    await client.with_options(middleware=[watch]).images.generate(prompt="a cat")
    assert seen == [("POST", "ImageTask"), ("GET", "NoneType")]


async def test_the_items_of_a_run_are_waited_for(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(*[queues(PNG, form="object", steps=(50,)) for _ in range(6)])
    prompts = [(str(number), "a cat") for number in range(6)]
    async with client.map(prompts, generate=True, model="m", concurrency=2, journal=tmp_path) as run:
        results = [result async for result in run]
    assert [result.error for result in results] == [None] * 6
    assert [path.read_bytes() for result in results for path in result.images] == [PNG] * 6
    assert orders(server) == 6
