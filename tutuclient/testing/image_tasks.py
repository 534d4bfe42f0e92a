"""Orders of images that the relay answers with a task: accepted now, asked for later, in the forms that relays have.

Sources: .github/WIRE.md, section 1.12, and each form's own beside it.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from tutuclient.testing.answers import ORANGE_PIXEL, fails, rate_limited, raw
from tutuclient.testing.exchange import Answer, Exchange, Played, compact_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import web

TASK_FORMS = ("listed", "object", "accepted", "bare", "generation")
"""The ways in which relays answer an order with a task; ``queues`` describes each."""

Step = int | float | str | None | Answer
TaskEnd = Literal["completed", "failed", "expired", "forgotten", "empty", "never"]

_LOGIN_PAGE = b"<!doctype html>\n<html><head><title>Sign in</title></head><body><form></form></body></html>\n"
_REFUSED = {"code": "content_policy_violation", "message": "the prompt was rejected", "type": "task_error"}
_PATHS = {"accepted": "/v1/images/tasks/", "generation": "/v1/images/generations/"}


def queues(
    picture: bytes | Iterable[bytes] | None = None,
    *,
    form: str = "listed",
    steps: Iterable[Step] = (None,),
    ends: TaskEnd = "completed",
    retry_after: float | str | None = None,
    task_id: str | None = None,
    poll_url: str | None = None,
    error: Mapping[str, Any] | None = None,
    encoded: bool = False,
) -> Answer:
    """Answer an order of images with a task, and the questions about it until it is finished.

    Args:
        picture: The image's bytes, or those of several; the server hosts them. None is one of an orange pixel.
        form: One of ``TASK_FORMS``. ``listed`` is ``{"code": 200, "data": [{"status", "task_id"}]}``, as APIMart
            writes it; ``object`` a ``{"id", "object": "image.generation.task", "status", "task_info"}``, as EvoLink;
            ``accepted`` a 202 with ``Location``, ``Retry-After`` and ``{"task_id", "poll_url"}``, as sub2api and
            new-api; ``bare`` a ``{"task_id", "status"}``. These are asked for at ``/v1/tasks/{id}``, ``accepted`` at
            ``/v1/images/tasks/{id}``; ``generation``, which is ToAPIs', at ``/v1/images/generations/{id}``.
        steps: What the questions are answered with before the end, one each: a number is the progress of a task that
            goes on, None one without progress; a name of ``POLL_FAULTS`` a fault; or any answer of this package.
        ends: What the questions after that are answered with: the images, a failure, an expired task, 404, a finished
            task without an image, or for ever that it goes on.
        retry_after: The ``Retry-After`` of the order and of all answers that say that it goes on.
        task_id: Its id; None makes one up.
        poll_url: What the order says of where to ask; None is where the form has it.
        error: Why it failed.
        encoded: Write the images as base64 in place of hosting them.

    Raises:
        ValueError: There is no such form, or no such fault.
    """
    if form not in TASK_FORMS:
        raise ValueError(f"no form of tasks {form!r}; there are {', '.join(TASK_FORMS)}")
    plan = list(steps)
    for step in plan:
        if isinstance(step, str) and step not in POLL_FAULTS:
            raise ValueError(f"no fault of questions {step!r}; there are {', '.join(POLL_FAULTS)}")
    pictures = [ORANGE_PIXEL] if picture is None else [picture] if isinstance(picture, bytes) else list(picture)

    async def play(exchange: Exchange) -> web.StreamResponse:
        name = task_id or f"{'imgtask_' if form == 'accepted' else 'task-'}{secrets.token_hex(6)}"
        path = f"{_PATHS.get(form, '/v1/tasks/')}{name}"
        task = _Task(form, name, _said(exchange), pictures, error or _REFUSED, encoded=encoded)
        exchange.stage.keep_task(path, _Questions(task, plan, ends, retry_after))
        body = task.accepted(poll_url or path)
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if form == "accepted":
            headers |= {"Location": poll_url or path, "Cache-Control": "no-store"}
        return exchange.respond(body, status=202 if form == "accepted" else 200, headers=headers)

    return Played(play)


def _said(exchange: Exchange) -> str:
    model = exchange.payload.get("model") or exchange.form.fields.get("model")
    return model if isinstance(model, str) else ""


class _Task:
    """A task in one of the forms: the bodies of its answers."""

    def __init__(
        self, form: str, name: str, model: str, pictures: list[bytes], error: Mapping[str, Any], *, encoded: bool
    ) -> None:
        self._form, self._name, self._model = form, name, model
        self._pictures, self._error, self._encoded = pictures, error, encoded

    def accepted(self, path: str) -> dict[str, Any]:
        """Return the body that the order is answered with."""
        if self._form == "accepted":
            return {"task_id": self._name, "poll_url": path}
        if self._form == "listed":
            return {"code": 200, "data": [{"status": "submitted", "task_id": self._name}]}
        return self._whole({"status": {"bare": "queued", "generation": "queued"}.get(self._form, "pending")})

    def going_on(self, progress: float | None) -> dict[str, Any]:
        """Return the body of a task that goes on."""
        return self._whole({"status": "processing", **({} if progress is None else {"progress": progress})})

    def failed(self, status: str) -> dict[str, Any]:
        """Return the body of a task that came to nothing."""
        return self._whole({"status": status, "error": dict(self._error)})

    def finished(self, exchange: Exchange, *, empty: bool) -> dict[str, Any]:
        """Return the body of a task that is finished, with its images unless they are missing."""
        images = [] if empty else [self._image(exchange, picture) for picture in self._pictures]
        done = {"status": "completed", "progress": 100}
        if self._form == "listed":
            # Each address in a list of its own: dsh-imagegen#10.
            listed = [{**image, **({"url": [image["url"]]} if "url" in image else {})} for image in images]
            return self._whole({**done, "result": {"images": listed}})
        if self._form == "object":
            addresses = [image.get("url") or f"data:image/png;base64,{image['b64_json']}" for image in images]
            return self._whole({**done, "results": addresses})
        if self._form == "bare":
            return self._whole({**done, "data": images})
        return self._whole({**done, "result": {"created": int(time.time()), "data": images}})

    def _image(self, exchange: Exchange, picture: bytes) -> dict[str, str]:
        if not self._encoded:
            return {"url": exchange.stage.host(picture)}
        return {"b64_json": base64.b64encode(picture).decode()}

    def _whole(self, fields: dict[str, Any]) -> dict[str, Any]:
        if self._form == "listed":
            return {"code": 200, "data": {"id": self._name, **fields}}
        if self._form == "bare":
            return {"task_id": self._name, **fields}
        kind = "generation.task" if self._form == "generation" else "image.generation.task"
        more = {"task_info": {"can_cancel": True, "estimated_time": 45}} if self._form == "object" else {}
        return {"id": self._name, "object": kind, "model": self._model, "created": int(time.time()), **more, **fields}


class _Questions:
    """The answers to the questions about one task, each in its turn."""

    def __init__(self, task: _Task, steps: list[Step], ends: TaskEnd, retry_after: float | str | None) -> None:
        self._task, self._steps, self._ends = task, deque(steps), ends
        self._headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    async def play(self, exchange: Exchange, /) -> web.StreamResponse:
        """Answer one question."""
        if self._steps:
            step = self._steps.popleft()
            if isinstance(step, str):
                return await POLL_FAULTS[step].play(exchange)
            if step is None or isinstance(step, int | float):
                return exchange.respond(self._task.going_on(step), headers=self._headers)
            return await step.play(exchange)
        if self._ends == "forgotten":
            return exchange.error(404, "task not found", code="task_not_found", type="invalid_request_error")
        return exchange.respond(self._end(exchange), headers=self._headers if self._ends == "never" else None)

    def _end(self, exchange: Exchange) -> dict[str, Any]:
        if self._ends == "never":
            return self._task.going_on(None)
        if self._ends in {"failed", "expired"}:
            return self._task.failed(self._ends)
        return self._task.finished(exchange, empty=self._ends == "empty")


async def _torn(exchange: Exchange) -> web.StreamResponse:
    body = compact_json({"id": "x", "status": "processing"})
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    await exchange.send(head.encode() + body[:-9])
    return exchange.fin()


POLL_FAULTS: dict[str, Answer] = {
    "429": rate_limited(0),
    "500": fails(500, "upstream is down", code="do_request_failed"),
    "401": fails(401, "无效的令牌"),
    "torn": Played(_torn),
    "broken": raw(body=b'{"id":"x","status":"proc'),
    "login": raw(body=_LOGIN_PAGE, headers={"Content-Type": "text/html; charset=utf-8"}),
    "missing": fails(404, "task not found", code="task_not_found"),
    "gone": fails(410, "the task has expired", code="task_expired"),
}
"""What may come in place of an answer to a question about a task.

A refusal, an error of the relay, one of the key, half a body, broken JSON, a page to sign in at, and that there is no
such task, or not any longer.
"""
