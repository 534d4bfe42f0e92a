"""Tasks are recognized in whatever form a relay writes them, and nothing else is taken for one."""

# ruff: noqa: E501  (tables)
from __future__ import annotations

from typing import Any

import pytest

from tutuclient import wire
from tutuclient._meta import Headers, Meta

URL = "https://cdn.example.com/a.png"
LOCATION = Headers({"Location": "/v1/images/tasks/t9", "Retry-After": "3"})
ACCEPTED = Meta(202, LOCATION)

# What an order is answered with: the body, and the task's id, state, address and first path.
ORDERS: dict[str, tuple[Any, tuple[str, str, str | None, str]]] = {
    "apimart": ({"code": 200, "data": [{"status": "submitted", "task_id": "t9"}]}, ("t9", "running", None, "/tasks/t9")),
    "apib, dsh-imagegen#10": ({"code": 200, "data": {"status": "submitted", "task_id": "t9"}}, ("t9", "running", None, "/tasks/t9")),
    "evolink": (
        {"created": 5, "id": "task-unified-9", "model": "m", "object": "image.generation.task", "progress": 0, "status": "pending",
         "task_info": {"can_cancel": True, "estimated_time": 45}, "type": "image", "usage": {"credits_reserved": 5.4}},
        ("task-unified-9", "running", None, "/tasks/task-unified-9")),
    "sub2api": (
        {"id": "imgtask_9", "task_id": "imgtask_9", "object": "image.generation.task", "status": "queued", "poll_url": "/v1/images/tasks/imgtask_9"},
        ("imgtask_9", "running", "/v1/images/tasks/imgtask_9", "/images/tasks/imgtask_9")),
    "toapis, infinite-canvas#231": (
        {"id": "t9", "object": "generation.task", "status": "queued", "progress": 0}, ("t9", "running", None, "/images/generations/t9")),
    "the id alone": ({"task_id": "t9"}, ("t9", "", None, "/tasks/t9")),
    "a number": ({"data": {"task_id": 90071992547409931}}, ("90071992547409931", "", None, "/tasks/90071992547409931")),
    "dashscope": ({"output": {"task_id": "t9", "task_status": "PENDING"}, "request_id": "r"}, ("t9", "running", None, "/tasks/t9")),
    "black forest labs": ({"id": "t9", "polling_url": "https://h.example/get?id=t9"}, ("t9", "", "https://h.example/get?id=t9", "/tasks/t9")),
    "replicate": (
        {"id": "t9", "status": "starting", "output": None, "urls": {"get": "https://h.example/t9"}}, ("t9", "running", "https://h.example/t9", "/tasks/t9")),
    "fal": ({"request_id": "x", "status": "IN_QUEUE", "status_url": "https://h.example/requests/t9"},
            ("t9", "running", "https://h.example/requests/t9", "/tasks/t9")),
    "failed at once": ({"task_id": "t9", "status": "FAILURE", "fail_reason": "no"}, ("t9", "failed", None, "/tasks/t9")),
    "an id that is no path": ({"task_id": "a/b c"}, ("a/b c", "", None, "/tasks/a%2Fb%20c")),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), ORDERS.values(), ids=ORDERS)
def test_an_order_that_was_accepted_is_a_task(body: Any, expected: tuple[str, str, str | None, str]) -> None:
    for value in (body, [body], {"code": 0, "result": body}):
        found = wire.find_task(value, Meta(200))
        assert found is not None
        assert (found.id, found.state, found.poll_url, found.paths[0]) == expected
        assert len(set(found.paths)) == 3


NO_ORDERS: dict[str, Any] = {
    "a completion": {"id": "chatcmpl-1", "object": "chat.completion", "choices": []},
    "an id that says nothing": {"id": "x", "created": 5},
    "an id of something that is done": {"id": "x", "status": "ok"},
    "nothing": {},
    "a list of two": [{"task_id": "a"}, {"task_id": "b"}],
    "an empty id": {"task_id": " "},
    "an id that is true": {"task_id": True},
    "an endless id": {"task_id": "a" * 300},
    "an id with a line break": {"task_id": "a\nb"},
    "deep inside": {"data": {"data": {"data": {"data": {"data": {"task_id": "t9"}}}}}},
    "text": "task_id",
    "no object": None,
}


@pytest.mark.parametrize("body", NO_ORDERS.values(), ids=NO_ORDERS)
def test_nothing_else_is_one(body: Any) -> None:
    assert wire.find_task(body, Meta(200)) is None


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ([{"task_id": "a"}, {"task_id": "b"}], ["a", "b"]),
        (
            {"code": 200, "data": [{"task_id": "a", "status": "queued"}, {"task_id": "b", "status": "queued"}]},
            ["a", "b"],
        ),
        (
            {"code": 200, "data": {"tasks": [{"id": "a", "status": "queued"}, {"id": "b", "status": "queued"}]}},
            ["a", "b"],
        ),
        ({"data": [{"task_id": "a"}]}, ["a"]),
        ({"data": [{"task_id": "a"}, {"url": "https://x.example"}]}, []),
        ({"data": [{"task_id": f"{number}"} for number in range(101)]}, []),
        ({"choices": [{"id": "a"}, {"id": "b"}]}, []),
        (None, []),
    ],
)
def test_an_order_may_have_a_task_for_each_image(body: Any, names: list[str]) -> None:
    assert [task.id for task in wire.find_tasks(body, Meta(200))] == names


@pytest.mark.parametrize("body", [None, {}, "accepted", {"message": "ok"}])
def test_an_answer_202_is_a_task_by_its_location(body: Any) -> None:
    found = wire.find_task(body, ACCEPTED)
    assert found is not None
    assert (found.id, found.poll_url) == ("t9", "/v1/images/tasks/t9")
    assert wire.find_task(body, Meta(200, LOCATION)) is None


def test_an_address_in_the_body_counts_more_than_the_location() -> None:
    found = wire.find_task({"id": "t8", "poll_url": "/v1/tasks/t8"}, ACCEPTED)
    assert found is not None
    assert (found.id, found.poll_url) == ("t8", "/v1/tasks/t8")
    by_id = wire.find_task({"id": "t8"}, ACCEPTED)
    assert by_id is not None
    assert (by_id.id, by_id.poll_url) == ("t8", "/v1/images/tasks/t9")


# What a question is answered with: state, progress, the reason's words.
ANSWERS: dict[str, tuple[Any, tuple[str, int | None, str]]] = {
    "going on": ({"task_id": "t9", "status": "processing", "progress": 42}, ("running", 42, "")),
    "new-api": (
        {"code": "success", "message": "", "data": {"task_id": "t9", "status": "IN_PROGRESS", "progress": "50%", "data": {"status": "done"}}},
        ("running", 50, "")),
    "an envelope that has a status": ({"status": "success", "data": {"task_id": "t9", "status": "queued"}}, ("running", None, "")),
    "a share": ({"id": "t9", "status": "running", "progress": 0.25}, ("running", 25, "")),
    "one of a hundred": ({"id": "t9", "status": "running", "progress": 1}, ("running", 1, "")),
    "too much": ({"id": "t9", "status": "running", "progress": 1e9}, ("running", 100, "")),
    "no number": ({"id": "t9", "status": "running", "progress": "soon"}, ("running", None, "")),
    "not a number": ({"id": "t9", "status": "running", "progress": float("nan")}, ("running", None, "")),
    "done": ({"code": 200, "data": {"id": "t9", "status": "completed", "progress": 100, "result": {"images": [{"url": [URL]}]}}}, ("done", 100, "")),
    "without an id": ({"status": "Ready", "result": {"sample": URL}}, ("done", None, "")),
    "kling": ({"code": 0, "message": "SUCCEED", "data": {"task_id": "t9", "task_status": "succeed"}}, ("done", None, "")),
    "failed": ({"id": "t9", "status": "failed", "http_status": 502, "error": {"type": "api_error", "message": "no"}}, ("failed", None, "no")),
    "failed in words": ({"data": {"task_id": "t9", "status": "FAILURE", "fail_reason": "no"}}, ("failed", None, "no")),
    "failed in a text": ({"task_id": "t9", "status": "failed", "error": "no"}, ("failed", None, "no")),
    "cancelled": ({"task_id": "t9", "status": "cancelled"}, ("failed", None, "")),
    "moderated": ({"id": "t9", "status": "Request Moderated", "result": None}, ("failed", None, "")),
    "expired": ({"id": "t9", "status": "expired"}, ("expired", None, "")),
    "a number without end": ({"id": "t9", "status": "running", "progress": "1" * 100_000}, ("running", None, "")),
    "infinity": ({"id": "t9", "status": "running", "progress": "1e999"}, ("running", None, "")),
    "a word of its own": ({"id": "t9", "status": "thinking hard"}, ("", None, "")),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_what_a_task_says_of_itself_is_read(body: Any, expected: tuple[str, int | None, str]) -> None:
    found = wire.read_task(body)
    assert found is not None
    assert (found.state, found.progress, str(found.reason.get("message") or "")) == expected


@pytest.mark.parametrize("body", [{}, [], None, {"data": [{"url": URL}]}, {"status": 200}, {"error": "no"}])
def test_an_answer_without_a_status_says_nothing_of_a_task(body: Any) -> None:
    assert wire.read_task(body) is None


def test_what_is_kept_of_a_task_is_short_and_can_be_shown() -> None:
    found = wire.find_task(
        {"task_id": "t9", "status": "up\x1b[2J" + "x" * 10**6, "poll_url": "/" + "x" * 10**6, "status_url": "/a\nb"}
    )
    assert found is not None
    assert (found.poll_url, len(found.status) < 200, found.status.isprintable()) == (None, True, True)


@pytest.mark.parametrize(
    ("asked", "pause"), [(3, 3.0), ("2.5", 2.5), (0, 0.0), (-1, 0.0), (10**9, 3600.0), ("soon", None), (None, None)]
)
def test_a_pause_that_the_body_asks_for_is_read(asked: Any, pause: float | None) -> None:
    found = wire.find_task({"task_id": "t9", "polling_interval_seconds": asked})
    assert found is not None
    assert found.retry_after == pause


@pytest.mark.parametrize(
    "words",
    [
        "task not found",
        "image task not found",
        "Task or artifact not found",
        "task_not_exist",
        "task_not_found",
        "Task does not exist",
        "no such task",
        "任务不存在",
    ],
)
def test_words_for_a_task_that_is_not_known(words: str) -> None:
    assert wire.is_unknown_task(words)


@pytest.mark.parametrize("words", ["model not found", "the task failed", "too many tasks", "no channel", ""])
def test_other_words_are_not(words: str) -> None:
    assert not wire.is_unknown_task(words)
