"""From a client and the keywords of ``map`` to a run: what is checked, what is called, what a journal is of.

A question is ``chat.completions.create`` or ``parse``, an edit ``client.edit``, an image from words
``client.generate``. Whatever those do about retries, deadlines and limits holds for each item.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import AsyncIterable, Callable, Collection, Iterable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar, cast

import msgspec
from msgspec.structs import replace

from tutuclient import wire
from tutuclient.batch.answering import Call
from tutuclient.batch.fields import LOOKS, MapFields, OnExit
from tutuclient.batch.items import UNWRITTEN, Item, Reader, Task, digest, loaded
from tutuclient.batch.progress import Progress
from tutuclient.batch.result import Budget
from tutuclient.batch.run import BatchRun, Plan
from tutuclient.diagnostics import quoted
from tutuclient.errors import (
    AuthenticationError,
    ConfigError,
    InsufficientQuotaError,
    LengthFinishReasonError,
    UnexpectedResponseError,
    printable,
)
from tutuclient.media.parts import image
from tutuclient.media.sources import names_image
from tutuclient.resources.options import CallOptions
from tutuclient.settings import UNSET
from tutuclient.settings.values import clean_concurrency, clean_rate
from tutuclient.tools import Shape, is_format
from tutuclient.types.chat import ParseFields
from tutuclient.wire.keywords import is_any

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tutuclient.pace import PaceState
    from tutuclient.settings import RetryPolicy
    from tutuclient.types.chat import ChatCompletion
    from tutuclient.types.parsed import ParsedChatCompletion

T = TypeVar("T")

Items: TypeAlias = Iterable[Any] | AsyncIterable[Any]

_STOP_ON: Final = (AuthenticationError, InsufficientQuotaError)
_MAX_WAIT_S: Final = 600.0
_CUT_OFF: Final = frozenset({"length", "max_tokens", "model_length"})


class Calls(NamedTuple):
    """What a run uses of a client.

    Attributes:
        create: ``chat.completions.create``.
        parse: ``chat.completions.parse``.
        edit: ``edit``.
        generate: ``generate``.
        of_task: ``chat.completions.of_task``.
        slots: Calls in flight at most.
        tries_again: Whether calls that were refused are sent again.
        pace: Returns ``pace``.
    """

    create: Callable[..., Awaitable[Any]]
    parse: Callable[..., Awaitable[Any]]
    edit: Callable[..., Awaitable[Any]]
    generate: Callable[..., Awaitable[Any]]
    of_task: Callable[..., Awaitable[Any]]
    slots: int
    tries_again: bool
    pace: Callable[[], PaceState]


class _Ask(NamedTuple):
    """What every item is asked with, unless it has a field of its own."""

    task: Task
    response_format: Any
    fields: dict[str, Any]


def plan_run(
    calls_of: Callable[[Callable[[RetryPolicy], RetryPolicy]], Calls],
    items: Items,
    prompt: str | None,
    response_format: Any,
    given: Mapping[str, Any],
    **more: Any,
) -> BatchRun[Any]:
    """Check the keywords of ``map`` and build the run.

    Args:
        calls_of: Returns the client's calls, with a retry policy that is made of its own.
        items: See ``map``, also for what follows.
        prompt: What to ask of each.
        response_format: What to answer with.
        given: The keywords.
        **more: Fields of its ``Plan`` that are no keywords.

    Raises:
        ConfigError: They cannot work; nothing was sent.
    """
    options, fields = _split(given)
    _check_items(items)
    task = _task(options)
    if prompt is not None and not (is_any(prompt, str) and prompt.strip()):
        raise ConfigError(f"the prompt must be text, and not empty; got {quoted(prompt)}")
    if names_image(prompt):
        raise ConfigError(f"{quoted(prompt)} stands where the prompt belongs, but is the name of an image")
    if task != "ask":
        _check_images(task, options, response_format)
    ask = _Ask(task, response_format, {"model": "gpt-4o" if task == "ask" else "gpt-4o-image", **fields})
    shared = _shared(ask, options)
    plan = _plan(calls_of, ask, {"task": task, "prompt": prompt, **shared}, options)
    plan = dataclasses.replace(plan, **more)
    plan.progress = Progress(items) if options.get("progress") else None
    journal = options.get("journal")
    return BatchRun(items, Reader(task, prompt, shared, keyed=journal is not None), plan)


def _plan(
    calls_of: Callable[[Callable[[RetryPolicy], RetryPolicy]], Calls],
    ask: _Ask,
    config: dict[str, Any],
    options: Mapping[str, Any],
) -> Plan[Any]:
    journal = options.get("journal")
    max_wait = _max_wait(options.get("max_wait", _MAX_WAIT_S))
    # Only the run's own limit bounds what its items wait for while they are refused.
    calls = calls_of(partial(replace, refused_max=max_wait, retry_after_max=max_wait))
    return Plan(
        ask.task,
        Call(
            partial(_send, calls, ask, options),
            partial(_value, ask.response_format),
            None if ask.task == "ask" else partial(_resume_task, calls, ask),
        ),
        calls.pace,
        calls.slots,
        workers=clean_concurrency(options.get("concurrency", "auto"), "concurrency"),
        interval=0.0 if (rate := options.get("rate")) is None else 1 / clean_rate(rate, "rate"),
        budget=_budget(options.get("budget")),
        max_wait=max_wait,
        tries_again=calls.tries_again,
        synced=_is_synced(options.get("durability", "written")),
        folder=None if journal is None else Path(journal),
        config=config,
        stop_on=_classes(options.get("stop_on", _STOP_ON)),
        max_failures=_max_failures(options.get("max_failures")),
        ordered=bool(options.get("ordered", False)),
        restore=partial(_restored, ask.response_format) if options.get("dedupe") else None,
        on_progress=options.get("on_progress"),
        on_exit=_on_exit(options.get("on_exit"), ask.task),
        resend_unknown=bool(options.get("resend_unknown", False)),
        retry_failed=bool(options.get("retry_failed", False)),
        allow_change=bool(options.get("allow_change", False)),
    )


# --- Keywords ---


_OPTIONS: Final = (
    frozenset(MapFields.__annotations__)
    - frozenset(ParseFields.__annotations__)
    - frozenset(CallOptions.__annotations__)
    - {"model"}
)
_KNOWN: Final = wire.names(MapFields)


def _split(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the run, and the fields of each call."""
    for name in ("messages", "stream"):
        if name in given:
            raise ConfigError(f"map takes no {name}=: an item may be a list of messages, and answers come whole")
    options = {name: value for name, value in given.items() if name in _OPTIONS}
    fields = {name: value for name, value in given.items() if name not in _OPTIONS}
    check_spelling("map", given)
    wire.check_keywords(fields, _KNOWN, "map")
    return options, fields


def check_spelling(call: str, given: Collection[str], others: frozenset[str] = frozenset()) -> None:
    """Check that no keyword is nearly an option: without its budget, journal or checkpoint a run would be paid for.

    A misspelt field of the request is only warned of, elsewhere.

    Args:
        call: What was called, for the message.
        given: The names of the keywords that were written.
        others: Options of that call that ``map`` has not.

    Raises:
        ConfigError: It names the option.
    """
    known, options = _KNOWN | others, _OPTIONS | others
    for name in sorted(name for name in given if name not in known):
        if (near := wire.nearest(name, known)) in options and near not in given:
            raise ConfigError(
                f'{call} has no {name}=: did you mean {near}=? As a field of each request: extra_body={{"{name}": …}}'
            )


def _check_items(items: object) -> None:
    if is_any(items, str, bytes, PathLike, Mapping):
        raise ConfigError(
            f"items is {quoted(items)}, which is one: pass a list, a generator or an async iterable, such as "
            "Path('images').glob('*.jpg')"
        )
    if not isinstance(items, Iterable | AsyncIterable):
        raise ConfigError(f"items is {quoted(items)}: pass a list, a generator or an async iterable")


def _task(options: Mapping[str, Any]) -> Task:
    if options.get("edit") and options.get("generate"):
        raise ConfigError("edit and generate are two runs: an edit has images, and generate has only words")
    return "edit" if options.get("edit") else "generate" if options.get("generate") else "ask"


def _check_images(task: Task, options: Mapping[str, Any], response_format: object) -> None:
    if response_format is not UNSET:
        raise ConfigError(f"{task}= makes images: response_format is for questions")
    if options.get("journal") is None:
        raise ConfigError(
            f"{task}=True needs journal=: a folder for the images, and for the orders, so that none is paid for twice"
        )
    if task == "generate" and not LOOKS.keys().isdisjoint(options):
        raise ConfigError("detail and max_side are for images that are sent; generate sends none")


def _budget(budget: Any) -> Budget:
    if budget is not None and not isinstance(budget, Budget):
        raise ConfigError(f"budget is {quoted(budget)}: write Budget(tokens=5_000_000)")
    return budget or Budget()


def _classes(stop_on: Any) -> tuple[type[Exception], ...]:
    classes: tuple[Any, ...] = stop_on if is_any(stop_on, tuple) else (stop_on,)
    if not all(isinstance(each, type) and issubclass(each, Exception) for each in classes):
        raise ConfigError(f"stop_on is {quoted(stop_on)}: write a tuple of classes of errors")
    return classes


def _max_failures(most: Any) -> float | None:
    if most is None or (isinstance(most, int) and not isinstance(most, bool) and most >= 0):
        return cast("float | None", most)
    if isinstance(most, float) and 0 < most < 1:
        return most
    raise ConfigError(f"max_failures is {quoted(most)}: write a share, such as 0.2, or a whole number of items")


def _on_exit(given: Any, task: Task) -> OnExit:
    if given not in ("settle", "cancel", None):
        raise ConfigError(f'on_exit is {quoted(given)}: write "settle" or "cancel"')
    if given is None:  # An image that is being made is paid for.
        return "cancel" if task == "ask" else "settle"
    found: OnExit = given
    return found


def _max_wait(seconds: Any) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ConfigError(f"max_wait is {quoted(seconds)}: write a number of seconds from 0 up")
    return float(seconds)


def _is_synced(durability: Any) -> bool:
    if durability not in ("written", "synced"):
        raise ConfigError(f'durability is {quoted(durability)}: write "written" or "synced"')
    return bool(durability == "synced")


def _shared(ask: _Ask, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all answers depend on, as JSON: it is written into the run's folder, and goes into each key."""
    kept = {name: value for name, value in ask.fields.items() if name not in UNWRITTEN}
    # Values that are long, or may be anything, by their digest.
    shared = {
        name: value if isinstance(value, str | int | float | None) else f"{digest(value):016x}"
        for name, value in kept.items()
    }
    shared |= {name: options[name] for name in LOOKS if name in options}
    asked = ask.response_format
    if asked is not UNSET:
        shape = Shape(asked, "response_format").schema if is_format(asked) else asked
        shared["response_format"] = f"{digest(shape):016x}"
    return shared


# --- One item ---


async def _send(calls: Calls, ask: _Ask, options: Mapping[str, Any], item: Item) -> ChatCompletion:
    fields = {**ask.fields, **item.fields}
    if ask.task == "generate":
        return cast("ChatCompletion", await calls.generate(item.prompt, **fields))
    looks = {name: fields.pop(name, options.get(name, usual)) for name, usual in LOOKS.items()}
    if ask.task == "edit":
        sources = [await loaded(source) for source in item.sources]
        return cast("ChatCompletion", await calls.edit(sources, item.prompt, **looks, **fields))
    messages = item.messages
    if messages is None:
        parts = [image(await loaded(source), **looks) for source in item.sources]
        messages = [{"role": "user", "content": [{"type": "text", "text": item.prompt}, *parts]}]
    if is_format(ask.response_format):
        answer: ChatCompletion = await calls.parse(messages=messages, response_format=ask.response_format, **fields)
        return answer
    if ask.response_format is not UNSET:
        fields["response_format"] = ask.response_format
    return cast("ChatCompletion", await calls.create(messages=messages, **fields))


def _restored(response_format: Any, written: Any) -> Any:
    """Return a value of what the journal has of it."""
    if is_format(response_format):
        return Shape(response_format, "response_format").read(msgspec.json.encode(written).decode())
    return written


async def _resume_task(calls: Calls, ask: _Ask, item: Item, task: str, url: str | None, relay: str) -> ChatCompletion:
    """Wait for the task that an order of an earlier run was answered with."""
    fields = {**ask.fields, **item.fields}
    answer: ChatCompletion = await calls.of_task(
        task, url, model=str(fields.get("model") or ""), relay=relay, timeout=fields.get("timeout", UNSET)
    )
    return answer


def _value(response_format: Any, answer: ChatCompletion) -> Any:
    if response_format is UNSET:
        return answer.text
    if not is_format(response_format):
        if answer.finish_reason in _CUT_OFF and dict(response_format).get("type") in ("json_schema", "json_object"):
            raise LengthFinishReasonError(
                "the answer was cut off at its limit, so its JSON is not whole: a higher max_tokens may help",
                completion=answer,
            )
        return answer.text
    parsed = cast("ParsedChatCompletion[Any]", answer)
    if parsed.parsed is None:
        said = printable(parsed.message.refusal or answer.text, 200)
        raise UnexpectedResponseError(
            f"the model answered without a value of the type that was asked for: {said or 'it called tools'}",
            partial=answer,
            attempts=answer.meta.attempts,
            request_id=answer.request_id,
        )
    return parsed.parsed
