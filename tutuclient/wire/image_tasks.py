"""Tasks in answers: what a relay says of images that it is still making, in whatever form.

Sources: .github/WIRE.md, section 1.12; the words of each state are those of the relays named there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from tutuclient.errors import printable
from tutuclient.types.json import is_list, is_object
from tutuclient.wire.error_detection import ACCEPTED, STATUSES, TASK_NAMES, error_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient._meta import Meta

TaskState: TypeAlias = Literal["running", "done", "failed", "expired", ""]
"""What a task's status means; "" for a word that is not known, and for none."""

# Where tasks are asked for, below the base URL: APIMart, EvoLink; sub2api and new-api; ToAPIs, LemonData.
_PATHS = ("/tasks/{}", "/images/tasks/{}", "/images/generations/{}")
_ADDRESSES = ("poll_url", "polling_url", "pollUrl", "pollingUrl", "status_url", "statusUrl", "query_url", "task_url")
_INTERVALS = ("polling_interval_seconds", "poll_interval_seconds", "poll_after_seconds", "retry_after")
_OUTER = ("data", "output", "result", "task", "job", "response")
_LAYERS = 4
# Characters of a name, of a status, of an address and of a number: what is longer is none.
_MOST_ID = 256
_MOST_STATUS = 100
_MOST_ADDRESS = 2048
_MOST_NUMBER = 32
_MOST_PAUSE_S = 3600.0
_MOST_TASKS = 100

_RUNNING = ACCEPTED | {"inprogress", "generating", "pre_processing", "preparing", "not started", "wait", "retrying"}
_DONE = frozenset(
    {"completed", "complete", "succeeded", "succeed", "success", "successful", "finished", "finish", "done", "ready"}
)
_FAILED = frozenset(
    {
        *("failed", "fail", "failure", "error", "errored", "rejected", "cancelled", "canceled", "cancel", "aborted"),
        *("blocked", "request moderated", "content moderated", "moderated", "timeout", "timed_out", "terminated"),
    }
)
_EXPIRED = frozenset({"expired", "expire", "deleted", "gone"})
_NOT_FOUND = re.compile(
    r"task[\W_]{0,3}(?:id[\W_]{0,3})?(?:\w+\W{1,3}){0,2}?(?:not[ _]?(?:found|exist)|does(?: not|n't) exist|is unknown)"
    r"|(?:no such|unknown) (?:image )?task|任务(?:ID)?\s?不存在|(?:找不到|未找到)\S{0,4}任务",
    re.IGNORECASE,
)


class TaskBody(NamedTuple):
    """What an answer says of a task.

    Attributes:
        id: Its name; "" where the answer does not repeat it.
        status: The relay's word for its state, or "".
        state: What that word means.
        progress: From 0 to 100, or None.
        poll_url: Where the relay wants to be asked for it, or None.
        paths: Where it is probably asked for, below the base URL, where the relay does not say.
        model: The model, or "".
        retry_after: Seconds until it wants to be asked again, as the body says, or None.
        reason: Why it failed: the error in it, with ``message``, ``code`` and ``type`` as far as they are there.
    """

    id: str
    status: str
    state: TaskState
    progress: int | None
    poll_url: str | None
    paths: tuple[str, ...]
    model: str
    retry_after: float | None
    reason: dict[str, Any]


def paths_of(task_id: str, kind: object = "") -> tuple[str, ...]:
    """Return where a task is probably asked for, below the base URL, the surest first.

    Args:
        task_id: Its name.
        kind: The ``object`` of the answer that names it, where there is one.
    """
    name = quote(task_id, safe="")
    first = 1 if task_id.startswith("imgtask") else 2 if kind == "generation.task" else 0
    return tuple(path.format(name) for path in (_PATHS[first], *(each for each in _PATHS if each != _PATHS[first])))


def find_task(value: Any, meta: Meta | None = None) -> TaskBody | None:
    """Return the task that an order of images was answered with; None where there is none.

    Args:
        value: The decoded answer; whatever is not an object or a list is none.
        meta: How the call went: with status 202, ``Location`` is where the task is asked for (RFC 9110, section
            15.3.3).
    """
    location = None
    if meta is not None and meta.status_code in {201, 202}:
        location = meta.headers.get("location") or meta.headers.get("content-location")
    for tree in _layers(value):
        name, address = _name_in(tree), _address_in(tree)
        if (name and _is_order(tree, named=location is not None)) or address:
            return _read(tree, name or _last_step(address or ""), address or location)
    name = _last_step(location or "")
    return _read({}, name, location) if name else None


def find_tasks(value: Any, meta: Meta | None = None) -> list[TaskBody]:
    """Return the tasks that an order was answered with: one, or one for each image; [] where there are none."""
    found = find_task(value, meta)
    if found is not None:
        return [found]
    trees = [tree.get(name) for tree in _layers(value) for name in ("data", "tasks", "result", "output")]
    for items in (value, *trees):
        if is_list(items) and 1 < len(items) <= _MOST_TASKS and all(map(is_object, items)):
            tasks = [find_task(item) for item in items]
            if all(task is not None and task.id for task in tasks):
                return [task for task in tasks if task is not None]
    return []


def read_task(value: Any) -> TaskBody | None:
    """Return what the answer to a question about a task says of it; None when it says nothing of one."""
    layers = list(_layers(value))
    # Panels write a status of their own around the task, and the upstream's answer within it has one too.
    named = [tree for tree in layers if _name_in(tree)]
    found = next((tree for tree in (*named, *layers) if _status_in(tree)), None)
    return None if found is None else _read(found, _name_in(found), _address_in(found))


def is_unknown_task(text: str) -> bool:
    """Return whether the words of an error mean that the relay does not know a task."""
    return _NOT_FOUND.search(text) is not None


def _layers(value: Any, depth: int = _LAYERS) -> Iterator[dict[str, Any]]:
    """Yield the objects that may be the task, from the outermost in."""
    if is_list(value):
        # Of several, each is a task of its own, and the first one alone would lose the others.
        value = value[0] if len(value) == 1 else None
    if is_object(value) and depth:
        yield value
        for name in _OUTER:
            yield from _layers(value.get(name), depth - 1)


def _text(value: object) -> str:
    if isinstance(value, str | int) and not isinstance(value, bool):
        text = str(value).strip()
        return text if 0 < len(text) <= _MOST_ID and text.isprintable() else ""
    return ""


def _name_in(tree: dict[str, Any]) -> str:
    return next((name for key in (*TASK_NAMES, "id") if (name := _text(tree.get(key)))), "")


def _address_in(tree: dict[str, Any]) -> str | None:
    places = [tree.get(name) for name in _ADDRESSES]
    urls = tree.get("urls")  # Replicate's.
    places.append(urls.get("get") if is_object(urls) else None)
    texts = (place.strip() for place in places if isinstance(place, str))
    return next((text for text in texts if 0 < len(text) <= _MOST_ADDRESS and text.isprintable()), None)


def _is_order(tree: dict[str, Any], *, named: bool) -> bool:
    """Return whether an object with a name is an order that was accepted, and no answer of another kind."""
    if any(_text(tree.get(name)) for name in TASK_NAMES) or named:
        return True
    return str(tree.get("object") or "").endswith("task") or _state_of(_status_in(tree)) in {"running", "failed"}


def _status_in(tree: dict[str, Any]) -> str:
    values = (tree.get(name) for name in STATUSES)
    texts = (value.strip() for value in values if isinstance(value, str))
    return printable(next((text for text in texts if text), ""), _MOST_STATUS)


def _state_of(status: str) -> TaskState:
    word = status.casefold()
    bare = word.replace("-", "_").replace(" ", "_")
    for state, words in (("running", _RUNNING), ("done", _DONE), ("failed", _FAILED), ("expired", _EXPIRED)):
        if word in words or bare in words:
            return state  # type: ignore[return-value]  # of four
    return ""


def _last_step(address: str) -> str:
    """Return the last step of an address's path, by which the relay knows a task that it does not name."""
    try:
        path = urlsplit(address).path
    except ValueError:
        return ""
    return _text(unquote(path.rstrip("/").rpartition("/")[2]))


def _read(tree: dict[str, Any], name: str, address: str | None) -> TaskBody:
    status = _status_in(tree)
    return TaskBody(
        id=name,
        status=status,
        state=_state_of(status),
        progress=_progress_in(tree),
        poll_url=address,
        paths=paths_of(name, tree.get("object")) if name else (),
        model=_text(tree.get("model")),
        retry_after=_pause_in(tree),
        reason=_reason_in(tree),
    )


def _progress_in(tree: dict[str, Any]) -> int | None:
    value = tree.get("progress")
    # new-api writes "50%".
    number = _number(value.strip().removesuffix("%") if isinstance(value, str) else value)
    if number is None:
        return None
    # A share is written with a fraction: 1 is one of a hundred, as EvoLink begins.
    return round(min(max(number * 100 if 0 < number < 1 else number, 0), 100))


def _pause_in(tree: dict[str, Any]) -> float | None:
    number = next((found for name in _INTERVALS if (found := _number(tree.get(name))) is not None), None)
    return None if number is None else min(max(number, 0.0), _MOST_PAUSE_S)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str) and len(value) > _MOST_NUMBER:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if number == number and abs(number) != float("inf") else None  # noqa: PLR0124  (NaN is not itself)


def _reason_in(tree: dict[str, Any]) -> dict[str, Any]:
    error = tree.get("error")
    if is_object(error) and error:
        return error_fields(error)
    # new-api's, Kling's and Kie's.
    names = ("fail_reason", "failReason", "failure_reason", "task_status_msg", "failMsg", "error_message", "reason")
    words = [error, *(tree.get(name) for name in names)]
    found = next((word for word in words if isinstance(word, str) and word.strip()), None)
    return error_fields(tree) if found is None else {"message": found}
