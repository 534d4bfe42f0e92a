"""Orders of images that a relay answers with a task: waiting for it, and returning to it later.

An order is sent once. After that, its task is asked for by GET alone, on the relay's own origin, so whatever becomes of
the waiting, nothing is ordered or paid for twice.

Sources: .github/WIRE.md, section 1.12.
"""

from __future__ import annotations

import asyncio
import copy
import math
import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import msgspec

from tutuclient import wire
from tutuclient._logger import logger
from tutuclient._unset import UNSET
from tutuclient.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    ConfigError,
    ImageTaskError,
    ImageTaskTimeoutError,
    InsufficientQuotaError,
    NotFoundError,
    RateLimitError,
    TutuError,
    UnexpectedResponseError,
    printable,
)
from tutuclient.finding import ImageFinder
from tutuclient.resources.endpoint import Endpoint, stamped
from tutuclient.resources.generic import is_within
from tutuclient.resources.resource import Resource
from tutuclient.resources.responses import APIResponse, OpenResponse
from tutuclient.retry import retry_after_of
from tutuclient.settings import clean_timeout
from tutuclient.transport.admission import answering_items
from tutuclient.types.image_tasks import ImageTask
from tutuclient.types.images import ImageError, ImagesResponse
from tutuclient.types.provenance import Origin, set_origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
    from typing import Self

    from tutuclient._meta import Meta
    from tutuclient._unset import Unset
    from tutuclient.errors import ImageTaskReason
    from tutuclient.resources.endpoint import RequestInfo
    from tutuclient.settings import Settings, Timeout
    from tutuclient.transport import Call, Transport
    from tutuclient.transport.reply import Reply

S = TypeVar("S")
T = TypeVar("T")


# Pauses between two questions, in seconds, where the relay does not say; they grow by half each time.
_FIRST_S: Final = 1.0
_MOST_S: Final = 10.0
# However short a pause the relay asks for, it is not asked in a busy loop; nor is one of a day taken at its word.
_LEAST_S: Final = 0.2
_LONGEST_S: Final = 3600.0
# A question is small: one that is not answered within this time is asked again.
_ANSWER_S: Final = 60.0
# In a row: questions that failed, answers that could not be read, and "not found" of a task that was just accepted,
# which relays with several servers say before all of them know it.
_MOST_FAILED: Final = 10
_MOST_UNREAD: Final = 3
_MOST_MISSING: Final = 5
_GONE: Final = 410
_NO_SUCH_PATH: Final = frozenset({404, 405, 501})
_PASSING: Final = frozenset({408, 409, 425})
# Headers of an order that are not those of a question about it.
_OF_THE_BODY: Final = frozenset({"content-type", "idempotency-key"})


class OrdersImages(Resource):
    """Endpoints that may answer an order of images with a task, which is waited for."""

    _waits = True

    def submitting(self) -> Self:
        """Return a copy whose calls return the task of an order, without waiting for it."""
        resource = copy.copy(self)
        resource._waits = False  # noqa: SLF001  (a copy of our own)
        return resource

    def _answer_of(self, images: ImagesResponse, task: ImageTask, info: RequestInfo) -> Any:  # noqa: ARG002  (for others)
        """Return what the endpoint answers with, of the images of a task that is finished."""
        return images

    # These make the call at once and return what sends it, as those of ``Resource`` do.

    def _send(  # pyright: ignore[reportIncompatibleMethodOverride]  (any coroutine will do)
        self, call: Call, read: Callable[[bytes | bytearray, Reply, RequestInfo], T], info: RequestInfo
    ) -> Coroutine[Any, Any, T]:
        return self._order(call, read, info) if call.makes_image else super()._send(call, read, info)

    def _open(  # pyright: ignore[reportIncompatibleMethodOverride]  (likewise)
        self, call: Call, begin: Callable[[Reply, RequestInfo], Awaitable[S]], info: RequestInfo
    ) -> Coroutine[Any, Any, S]:
        opening = super()._open(call, begin, info)
        return self._with_task(opening, call) if call.makes_image else opening

    async def _order(
        self, call: Call, read: Callable[[bytes | bytearray, Reply, RequestInfo], T], info: RequestInfo
    ) -> T:
        def read_order(data: bytes | bytearray, reply: Reply, info: RequestInfo) -> Any:
            try:
                return read(data, reply, info)
            except UnexpectedResponseError as error:
                # It is an answer all the same, so it is the result of the attempt, as middleware sees it.
                task = self._task_in(error.body, call, reply.meta)
                if task is None:
                    raise
            if task.error is not None:
                raise task.error
            return task

        async def settle(answer: Any) -> Any:
            return await self._settle(answer, call, info)

        result: Any = await self._with_task(super()._send(call, read_order, info), call)
        face: object = result
        if isinstance(face, OpenResponse):
            return cast("T", result.then(settle))
        if not isinstance(face, APIResponse):
            return cast("T", await settle(result))
        answer = result.parse()
        parsed = await settle(answer)
        if not isinstance(answer, ImageTask) or answer.result is None:
            return cast("T", result.further(_always(parsed)))
        # The bytes are those of the finished task, which ``parsed`` was read from.
        return cast("T", APIResponse(answer.result.meta, call, answer.result.raw, parsed))

    async def _settle(self, answer: Any, call: Call, info: RequestInfo) -> Any:
        """Return what the call returns, of an answer that may be a task."""
        if not isinstance(answer, ImageTask):
            return answer if self._waits else _finished(answer)
        await _note_task(call, answer)
        if not self._waits:
            return answer
        source = cast("ClientTasks", answer._source)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (``_task_in`` has set it)
        spent = 0.0 if answer.meta is None else answer.meta.elapsed_s
        images = await source.wait_within(answer, call.timeout.total, spent=spent)
        return self._answer_of(images, answer, info)

    async def _with_task(self, sending: Coroutine[Any, Any, T], call: Call) -> T:
        """Add to an error of an order the task that the answer names beside it, or in place of a stream."""
        try:
            return await sending
        except APIError as error:
            if error.task is None and error.outcome == "unknown":
                response: Meta | None = getattr(error, "response", None)
                task = self._task_in(error.body, call, response)
                if task is not None:
                    error.with_task(task).add_note("its images may be had without a second order: error.task.wait()")
                    await _note_task(call, task)
            raise

    def _task_in(self, value: object, call: Call, meta: Meta | None) -> ImageTask | None:
        """Return the task that an order was answered with, or None; it may have failed already."""
        bodies = wire.find_tasks(value, meta)
        tasks = [self._task_of(found, value, call, meta) for found in bodies]
        return _as_one(tasks, ClientTasks(call.settings, self._transport, call)) if tasks else None

    def _task_of(self, found: wire.TaskBody, value: object, call: Call, meta: Meta | None) -> ImageTask:
        model = call.fields.get("model") if call.fields else None
        task = ImageTask(
            found.id,
            poll_url=_without_key(found.poll_url, call.settings.api_key),
            status=found.status,
            progress=found.progress,
            model=found.model or (model if isinstance(model, str) else ""),
            paths=found.paths,
            meta=meta,
            source=ClientTasks(call.settings, self._transport, call),
        )
        task.retry_after = _asked(found, meta)
        if found.state in {"failed", "expired"}:
            _ended(task, found, value, meta, call.settings.api_key)
        return task


class ClientTasks(Resource):
    """The tasks of a client: what asks its relay for them.

    Args:
        settings: The client's settings.
        transport: What sends its requests.
        order: The call that ordered the images, where it was made by this client: its own headers and limits hold for
            the questions about it too.
    """

    def __init__(self, settings: Settings, transport: Transport, order: Call | None = None) -> None:
        # One attempt a question: how often it is asked again is decided here, where it is known that it may be.
        super().__init__(
            msgspec.structs.replace(settings, retry=msgspec.structs.replace(settings.retry, max_retries=0)), transport
        )
        self._order = order
        limits: Timeout = settings.timeout if order is None else order.timeout
        self._limits = limits
        self._find = ImageFinder(self._downloads, True, limits, settings.retry)

    def task(self, name: str, poll_url: str | None = None) -> ImageTask:
        """Return to a task by its id; see ``Images.task``. Nothing is sent, and the address is not checked yet."""
        names = name.split(",") if poll_url is None else []
        if len(names) > 1 and all(names):
            return _as_one([self.task(each) for each in names], self)
        return ImageTask(name, poll_url=poll_url, paths=wire.paths_of(name) if name else (), source=self)

    async def poll(self, task: ImageTask) -> None:
        """Request the state of a task once; see ``ImageTask.poll``."""
        for part in task.parts:
            if not part.done:
                await self.poll(part)
        if task.parts:
            if all(part.done for part in task.parts):
                await self._wait_for_parts(task, None, math.inf)
            return
        try:
            await self._look_for(task, math.inf)
        except APIError as error:
            failure = self._of(error, task)
            raise failure from failure.__cause__

    async def wait(self, task: ImageTask, timeout: float | Timeout | Unset | None) -> ImagesResponse:
        """Poll a task until it is finished; see ``ImageTask.wait``."""
        total = self._limits.total if timeout is UNSET else clean_timeout(timeout).total
        return await self.wait_within(task, total)

    async def wait_within(self, task: ImageTask, total: float | None, *, spent: float = 0.0) -> ImagesResponse:
        """Poll a task until it is finished, or until a deadline has passed.

        Args:
            task: The task.
            total: Seconds until the deadline, or None for no limit.
            spent: How many of them are over already.
        """
        now = asyncio.get_running_loop().time()
        deadline = math.inf if total is None else now + total - spent
        wait = self._wait_for_parts if task.parts else self._wait_until
        return await wait(task, total, deadline)

    async def _wait_until(self, task: ImageTask, total: float | None, deadline: float) -> ImagesResponse:
        clock = asyncio.get_running_loop().time
        waiting = _Waiting(task)
        # Questions go before the items of a run: they take no time, and end what is under way.
        with _one_by_one():
            while task.result is None:
                pause = waiting.pause()
                if waiting.is_asked and clock() + pause >= deadline:
                    raise _too_late(task, total, waiting.error, pause)
                await asyncio.sleep(max(min(pause, deadline - clock()), 0.0))
                if clock() >= deadline:
                    raise _too_late(task, total, waiting.error)
                try:
                    await self._look_for(task, deadline)
                except APIError as error:
                    if not waiting.goes_on_after(error):
                        failure = self._of(error, task)
                        raise failure from failure.__cause__
                    # Not the relay's own words, in which it may quote the prompt.
                    logger.debug("image task %s: %s; it is asked for again", printable(task.id), type(error).__name__)
                else:
                    waiting.answered()
        return task.result

    async def _wait_for_parts(self, task: ImageTask, total: float | None, deadline: float) -> ImagesResponse:
        """Wait for the tasks of each image. One that comes to nothing costs none of the others."""
        failed: list[APIError] = []
        for part in task.parts:
            try:
                if part.error is not None:
                    failed.append(part.error)
                else:
                    await self._wait_until(part, total, deadline)
            except ImageTaskError as error:
                failed.append(error)
            except APIError as error:
                error.with_task(task)
                raise
        task.status = task.parts[-1].status
        if len(failed) == len(task.parts):
            raise failed[0].with_task(task)
        task.result = self._joined(task, failed)
        return task.result

    def _joined(self, task: ImageTask, failed: list[APIError]) -> ImagesResponse:
        """Return the images of the parts as one answer, with the reason in the place of one that was not made."""
        results = [part.result for part in task.parts if part.result is not None]
        images = [image.to_dict() for result in results for image in result.data]
        body = {
            "created": results[0].created,
            "data": [*images, *({"error": {"message": str(each)}} for each in failed)],
        }
        meta = results[0].meta
        joined = wire.read_images(msgspec.json.encode(body), meta)
        set_origin(joined, Origin(meta, self._find))
        return joined

    def _of(self, error: APIError, task: ImageTask) -> APIError:
        """Return the error of a question: whatever it says, the image may be there, or may come yet."""
        if isinstance(error, ImageTaskError):
            return error.with_task(task)
        if _is_missing(error):
            missing = _error(
                "not_found",
                task,
                f"the relay does not know it ({printable(error.message, 200)}). It may have been made with another "
                "key, be forgotten by now, or be asked for at an address that poll_url= has to name",
                error.body,
            )
            missing.__cause__ = error
            return missing.with_details(attempts=error.attempts, request_id=error.request_id).with_task(task)
        return error.with_details(outcome="unknown").with_task(task)

    async def _look_for(self, task: ImageTask, deadline: float) -> None:
        """Request a task at its address, or at those where it may be; ``deadline`` is on the loop's clock."""
        first: APIError | None = None
        clock = asyncio.get_running_loop().time
        for address in self._addresses(task):
            left = deadline - clock()
            if left <= 0 and first is not None:
                break
            try:
                await self._get(task, address, left)
            except APIStatusError as error:
                if error.status_code == _GONE:
                    raise _gone(task, error) from error
                if not _is_elsewhere(error):
                    raise
                first = first or error
            else:
                task._paths = (address,)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (found)
                return
        raise first or ConfigError("an image task without an id and without an address cannot be asked for")

    def _addresses(self, task: ImageTask) -> tuple[str, ...]:
        if task.poll_url is None:
            return task._paths  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (ours)
        base = self._settings.base_url + "/" if self._order is None else self._order.url
        address = address_within(task.poll_url, base, self._settings.origin)
        return (address,) if address is not None else _refused(task, self._settings.origin)

    async def _get(self, task: ImageTask, address: str, left: float) -> None:
        """Send one question, and write down the answer."""

        def read(data: bytes | bytearray, reply: Reply, _: RequestInfo) -> None:
            self._note(task, data, reply)

        limits = msgspec.structs.replace(self._limits, total=min(left, _ANSWER_S))
        headers, query = self._own(address)
        endpoint: Endpoint[None, Any] = Endpoint("images.task", address, method="GET", read=read)
        await self._whole(endpoint, extra_headers=headers, extra_query=query, timeout=limits)

    def _own(self, address: str) -> tuple[Mapping[str, str] | None, Mapping[str, str] | None]:
        """Return the headers and the query that the order was sent with, for a question about it."""
        order = self._order
        if order is None:
            return None, None
        headers = {name: value for name, value in (order.own_headers or {}).items() if name.lower() not in _OF_THE_BODY}
        named = dict(parse_qsl(urlsplit(address).query))
        query = {name: value for name, value in parse_qsl(urlsplit(order.url).query) if name not in named}
        return headers or None, query or None

    def _note(self, task: ImageTask, data: bytes | bytearray, reply: Reply) -> None:
        """Read an answer into the task.

        Raises:
            ImageTaskError: The task failed, expired, or has no image.
            APIError: It says nothing of a task.
        """
        value = wire.read_value(data, reply.meta)
        found = wire.read_task(value)
        state = "" if found is None else found.state
        if found is not None:
            task.status = found.status or task.status
            task.progress = found.progress if found.progress is not None else task.progress
            task.model = found.model or task.model
        task.meta, task.retry_after = reply.meta, _asked(found, reply.meta)
        if state == "running":
            return
        if found is not None and state in {"failed", "expired"}:
            raise _ended(task, found, value, reply.meta, self._settings.api_key)
        try:
            images = wire.read_images(data, reply.meta)
        except APIStatusError as error:
            if state != "done":
                raise
            raise _because(task, error, value) from error
        except UnexpectedResponseError as error:
            if state == "done":
                raise _without_image(task, value) from error
            if found is None:
                raise
            return  # A word that is not known: it is asked for again.
        (self._order or reply.call).report_usage(images.usage, reply.meta)
        task.result = stamped(images, reply, Origin(reply.meta, self._find))


class _Waiting:
    """How often a task has been asked for in vain, and how long to wait until the next time."""

    def __init__(self, task: ImageTask) -> None:
        self._task = task
        # One that was just accepted is given a moment; one that is returned to may be finished.
        self._is_new = task.meta is not None and not task.done
        self._asked_before = 0
        self._in_a_row = self._unread = self._missing = 0
        self._seen = False
        self._pause: float | None = task.retry_after
        self.error: APIError | None = None

    @property
    def is_asked(self) -> bool:
        """Whether the pause is one that the relay asks for."""
        return self._pause is not None

    def pause(self) -> float:
        """Return how many seconds to wait before the next question."""
        if self._pause is not None:
            return max(self._pause, _LEAST_S)
        if not self._is_new and not self._asked_before:
            return 0.0
        return min(_FIRST_S * 1.5**self._asked_before, _MOST_S) * random.uniform(0.9, 1.0)

    def answered(self) -> None:
        """Note that a question was answered, and the task goes on."""
        self._seen, self.error = True, None
        self._in_a_row = self._unread = 0
        self._asked_before += 1
        self._pause = self._task.retry_after

    def goes_on_after(self, error: APIError) -> bool:
        """Return whether to ask again after an error, and note it."""
        self.error = error
        self._asked_before += 1
        self._pause = error.retry_after if isinstance(error, APIStatusError) else None
        if isinstance(error, ImageTaskError | InsufficientQuotaError):
            return False
        if isinstance(error, RateLimitError):
            return True  # It costs time and nothing else.
        if isinstance(error, UnexpectedResponseError):
            self._unread += 1
            return self._unread < _MOST_UNREAD
        if _is_missing(error):
            self._missing += 1
            return self._is_new and not self._seen and self._missing < _MOST_MISSING
        self._in_a_row += 1
        return _may_pass(error) and self._in_a_row < _MOST_FAILED


def _may_pass(error: APIError) -> bool:
    if isinstance(error, APIStatusError):
        return error.status_code >= 500 or error.status_code in _PASSING  # noqa: PLR2004  (errors of a server)
    return isinstance(error, APIConnectionError) and error.code not in {"certificate", "proxy"}


def _is_missing(error: APIError) -> bool:
    """Return whether an error says that there is no such task: relays have 400 for it too."""
    words = f"{error.code or ''} {error.message}"
    return isinstance(error, NotFoundError) or (isinstance(error, APIStatusError) and wire.is_unknown_task(words))


def _is_elsewhere(error: APIStatusError) -> bool:
    """Return whether the task may be asked for at another address."""
    return error.status_code in _NO_SUCH_PATH or _is_missing(error)


@contextmanager
def _one_by_one() -> Generator[None, None, None]:
    token = answering_items.set(None)
    try:
        yield
    finally:
        answering_items.reset(token)


def settings_of_task(settings: Settings, relay: str | None, poll_url: str | None) -> Settings:
    """Return the settings to ask for a task with: of several relays, those for the one that has it.

    Args:
        settings: The client's.
        relay: The name of the relay that accepted the order, where it is known.
        poll_url: Where that wants to be asked for it, or None.

    Raises:
        ConfigError: There are several relays, and nothing says which of them.
    """
    if not settings.relays or relay:
        return settings.at(relay) if settings.relays and relay else settings
    found = [each for each in settings.relays if poll_url and is_within(poll_url, each.origin)]
    if len(found) != 1:
        raise ConfigError(
            "the client has several relays, and an image task is known to the one that accepted the order: "
            "client.with_options(relay=its name) asks that one; task.meta.relay and error.relay have the name"
        )
    return found[0]


def address_within(poll_url: str, base: str, origin: str) -> str | None:
    """Return where to ask for a task, in full; None where that is not the relay's own origin."""
    try:
        address = urljoin(base, poll_url)
    except ValueError:
        return None
    # ``urljoin`` removes line breaks and tabs, as browsers do.
    return address if poll_url.isprintable() and "#" not in address and is_within(address, origin) else None


def _without_key(poll_url: str | None, key: str) -> str | None:
    """Return an address without the key, which some relays write into its query: a task is kept, shown and pickled."""
    if poll_url is None or not key or key not in poll_url:
        return poll_url
    parts = urlsplit(poll_url)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if key not in value]
    address = urlunsplit(parts._replace(query=urlencode(query)))
    return None if key in address else address


async def _note_task(call: Call, task: ImageTask) -> None:
    state = printable(task.status or "accepted", 40)
    logger.info("%s: the relay answered with the image task %s (%s)", call.shown, printable(task.id, 200), state)
    if (item := answering_items.get()) is not None:
        await item.task_accepted(task)


def _as_one(tasks: list[ImageTask], source: ClientTasks) -> ImageTask:
    """Return the one task of an order, or one that stands for those of its images."""
    first = tasks[0]
    if len(tasks) == 1:
        return first
    names = ",".join(task.id for task in tasks)
    return ImageTask(names, status=first.status, model=first.model, parts=tuple(tasks), meta=first.meta, source=source)


def _always(value: Any) -> Callable[[Any], Any]:
    def read(_: Any) -> Any:
        return value

    return read


def _finished(images: ImagesResponse) -> ImageTask:
    """Return the task of an order that was answered with the images at once."""
    return ImageTask("", status="completed", result=images, meta=images.meta)


def _asked(found: wire.TaskBody | None, meta: Meta | None) -> float | None:
    asked = None if meta is None else retry_after_of(meta.headers, time.time())
    if asked is None and found is not None:
        asked = found.retry_after
    return None if asked is None else min(asked, _LONGEST_S)


def _error(reason: ImageTaskReason, task: ImageTask, words: str, body: object) -> ImageTaskError:
    error = ImageTaskError(
        f"image task {printable(task.id, 100)}: {words}",
        reason=reason,
        status=task.status,
        body=body,
        outcome="rejected" if reason == "failed" else None,
        attempts=1,
        request_id=None if task.meta is None else task.meta.request_id,
    )
    return error.with_task(task)


def _ended(task: ImageTask, found: wire.TaskBody, body: object, meta: Meta | None, key: str) -> ImageTaskError:
    """Return the error of a task that failed or expired, by the relay's own word; the task keeps it."""
    said = {name: str(found.reason.get(name) or "") for name in ("message", "code", "type")}
    words = f": {printable(said['message'])}" if said["message"] else ""
    if found.state == "failed":
        error = _error("failed", task, f"it ended as {found.status!r}{words}; it was not ordered again", body)
        if meta is not None and any(said.values()):
            failure = ImageError(message=said["message"], code=said["code"] or None, type=said["type"] or None)
            cause = wire.without_key(wire.error_of_image(failure, meta, body), key)
            error.code, error.type = cause.code, cause.type
            error.__cause__ = cause
    else:
        error = _error("expired", task, f"the relay does not keep it any longer ({found.status}){words}", body)
    task.error = wire.without_key(error, key)
    return error


def _because(task: ImageTask, cause: APIStatusError, body: object) -> ImageTaskError:
    task.error = error = _error("failed", task, f"no image was made: {printable(cause.message)}", body)
    return error


def _without_image(task: ImageTask, body: object) -> ImageTaskError:
    task.error = error = _error(
        "no_image", task, f"it is finished ({task.status}), and there is no image in it: .body has all of it", body
    )
    return error


def _gone(task: ImageTask, cause: APIStatusError) -> ImageTaskError:
    task.error = error = _error(
        "expired", task, f"the relay does not keep it any longer ({printable(cause.message, 200)})", cause.body
    )
    return error


def _refused(task: ImageTask, origin: str) -> NoReturn:
    raise _error(
        "other_origin",
        task,
        f"the relay wants it to be asked for at {printable(task.poll_url or '', 200)}, which is not on the relay's own "
        f"origin ({origin}), and the key goes nowhere else; client.images.task({task.id!r}) asks the relay itself",
        None,
    )


def _too_late(
    task: ImageTask, total: float | None, last: TutuError | None, pause: float | None = None
) -> ImageTaskTimeoutError:
    progress = "" if task.progress is None else f", {task.progress} %"
    asked = "" if pause is None else f"; the relay wants to be asked again in {pause:g} s only"
    error = ImageTaskTimeoutError(
        f"image task {printable(task.id, 100)}: not finished within the deadline of {total or 0:g} s (timeout=); its "
        f"status is {printable(task.status, 100) or 'not known'!r}{progress}{asked}. The relay goes on, and may bill "
        "the image: await error.task.wait() goes on waiting, client.images.task(id) returns to it from another process",
        request_id=None if task.meta is None else task.meta.request_id,
        attempts=1,
    )
    error.__cause__ = last
    return error.with_task(task)
