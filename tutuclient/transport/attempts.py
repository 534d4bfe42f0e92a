"""Attempts: a slot, a connection, the request, the head of the answer; repeated as the retry policy allows."""

from __future__ import annotations

import asyncio
import math
import random
import time
from inspect import isawaitable
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import urljoin

from tutuclient import wire
from tutuclient._descriptors import out_of_descriptors
from tutuclient._logger import logger
from tutuclient._meta import Headers, Meta
from tutuclient.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    RateLimitError,
    TutuError,
    UnexpectedResponseError,
)
from tutuclient.limits import RetryBudget
from tutuclient.retry import is_refusal, next_delay, retry_after_of, worth_repeating
from tutuclient.settings import origin_of, with_key
from tutuclient.transport import aiohttp_internals, exceptions
from tutuclient.transport.admission import answering_items
from tutuclient.transport.caller_session import NotedBody
from tutuclient.transport.connection import Guard, Progress, progress_of_attempt
from tutuclient.transport.deadlines import Limits
from tutuclient.transport.middleware import through
from tutuclient.transport.reply import Reply
from tutuclient.wire import rate_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import aiohttp

    from tutuclient.transport.admission import Slot, SlotSource
    from tutuclient.transport.call import Call
    from tutuclient.transport.pool import Pool
    from tutuclient.wire import Body

T = TypeVar("T")


_ERROR_BYTES = 64 * 2**10
# How long to read the body of an error whose status is known already.
_ERROR_S = 5.0
_MAX_HOPS = 4
# Statuses of a relay, or of what stands behind it, that has too much to do: 529 is Anthropic's.
_OVERLOADED = frozenset({503, 504, 524, 529})
# Pauses while there are no file descriptors, in seconds; and how long to wait when no other call holds any.
_DESCRIPTORS_S = 0.01
_DESCRIPTORS_MAX_S = 0.5
_FUTILE_S = 5.0
# In so many turns of the loop, what lies in a socket is read; TLS takes one more than plain TCP.
_TURNS = 3


class _Refusals:
    """How a call has been refused; one that never was, as nearly all, needs none.

    Attributes:
        last: The last error, while it is a refusal.
        since: When those in a row began.
        in_a_row: How many they are.
        total: How many there were in all.
    """

    __slots__ = ("in_a_row", "last", "since", "total")

    def __init__(self) -> None:
        self.last: TutuError | None = None
        self.since = math.inf
        self.in_a_row = self.total = 0

    def add(self, error: TutuError, now: float) -> None:
        """Note one more."""
        self.last, self.since = error, min(self.since, now)
        self.in_a_row += 1
        self.total += 1

    def end_row(self) -> None:
        """Note an error that is none."""
        self.last, self.since, self.in_a_row = None, math.inf, 0


class Attempts:
    """All attempts of one call, under one deadline."""

    __slots__ = (
        "_admission",
        "_call",
        "_item",
        "_limits",
        "_loop",
        "_meta",
        "_over",
        "_pool",
        "_progress",
        "_refusals",
        "_slot",
        "_started",
    )

    def __init__(self, pool: Pool, call: Call) -> None:
        task = asyncio.current_task()
        if task is None:
            raise APIConnectionError("a call has to be awaited within a task")
        self._pool = pool
        self._loop = pool.loop
        self._call = call
        self._started = pool.loop.time()
        self._meta = Meta(attempts=1)
        self._progress = Progress()
        self._admission: SlotSource = pool.admission(call.settings)
        call.proxy = pool.route
        self._slot: Slot | None = None
        self._refusals: _Refusals | None = None
        self._over = False
        # An item of a run waits for its turn before its deadline begins.
        self._item = answering_items.get()
        self._limits = Limits(pool.timer, task, call.timeout.total if self._item is None else None, self._started)

    async def run(self, use: Callable[[Reply], Awaitable[T]]) -> T:
        """Run attempts until one succeeds, or another is not worth it, or the deadline has no room for it."""
        call, limits = self._call, self._limits
        maybe_done = False
        kept = False
        spent = 0
        try:
            while True:
                meta = self._meta
                wrapped = call.settings.attempt_middleware
                try:
                    result = await (self._wrapped(use) if wrapped else self._attempt(use))
                except TutuError as raised:
                    error = wire.without_key(raised, call.settings.api_key)
                else:
                    self._pool.budget.put_back(spent)
                    kept = call.stream
                    return result
                if call.observation is not None:
                    call.observation.attempt_ends("failed", error, meta)
                maybe_done = maybe_done or error.outcome == "unknown"
                error.with_details(attempts=meta.attempts)
                try:
                    spent = await self._pause(error, maybe_done=maybe_done)
                except TutuError as last:
                    last.with_details(outcome="unknown" if maybe_done else None)
                    raise
                self._meta = Meta(attempts=meta.attempts + 1, waited_s=meta.waited_s)
        finally:
            if not kept:
                limits.stop()

    async def _pause(self, error: TutuError, *, maybe_done: bool) -> int:
        """Wait until the call may be repeated after ``error``, or raise it; return what that took from the budget."""
        if self._over:
            raise error
        number = self._note(error)
        if self._pool.closed and isinstance(error, APIConnectionError):
            raise self._closed(error)
        if self._progress.stale and self._meta.attempts == 1 and self._is_free(error):
            return 0  # The connection was stale, which says nothing of the relay: that costs no retry.
        return await self._wait_after(error, number, maybe_done=maybe_done)

    async def _wait_after(self, error: TutuError, number: int, *, maybe_done: bool) -> int:
        """Wait for the next attempt, as ``_pause`` does; ``number`` is what ``_note`` has returned."""
        call, limits = self._call, self._limits
        cost = self._cost(error)
        delay = next_delay(error, number, call.retry, makes_image=call.makes_image)
        if delay is None or delay >= min(limits.left(), self._patience()):
            raise error
        if not self._pool.budget.take(cost):
            error.add_note("not tried again: the client's budget for retries is used up (RetryPolicy.budget)")
            raise error
        logger.debug("%s: it is tried again in %.2f s", call.shown, delay)
        try:
            await self._end_order(error, maybe_done=maybe_done)
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            if limits.caught() is None:
                raise
            raise error from None
        return cost

    async def _end_order(self, error: TutuError, *, maybe_done: bool) -> None:
        """Report to a run that the order of its item was not done, and is about to be sent again."""
        if self._item is not None and self._call.makes_image and not maybe_done:
            await self._item.order_not_done(error)

    def _note(self, error: TutuError) -> int:
        """Note an error; return the number by which the pause grows: of refusals in a row, else of other attempts."""
        refusals = self._refusals
        if is_refusal(error):
            refusals = self._refusals = refusals or _Refusals()
            refusals.add(error, self._loop.time())
            if self._item is not None:
                self._item.refused()
                self._limits.begin(None)  # It was not admitted: its deadline begins when it is.
            return refusals.in_a_row
        if refusals is None:
            return self._meta.attempts
        refusals.end_row()
        return self._meta.attempts - refusals.total

    def _is_free(self, error: TutuError) -> bool:
        """Return whether the call is sent again, at no cost, after an idle connection died under it."""
        call = self._call
        return not call.once and (call.is_safe or worth_repeating(error, call.retry, makes_image=call.makes_image))

    def _closed(self, error: TutuError) -> TutuError:
        return APIConnectionError(
            f"{self._call.what}: the client was closed while the call was running",
            outcome=error.outcome,
            attempts=error.attempts,
            request_id=error.request_id,
        )

    @staticmethod
    def _cost(error: TutuError) -> int:
        """Return what a retry after ``error`` takes from the budget: a refusal costs time, and nothing else."""
        if isinstance(error, RateLimitError) or is_refusal(error):
            return 0
        return RetryBudget.COST_OF_TIMEOUT if isinstance(error, APITimeoutError) else RetryBudget.COST

    def _patience(self) -> float:
        """Return for how many seconds yet the call may be refused."""
        most = self._call.retry.refused_max
        if most is None:
            return math.inf
        now = self._loop.time()
        return most if self._refusals is None else min(self._refusals.since, now) + most - now

    async def _wrapped(self, use: Callable[[Reply], Awaitable[T]]) -> T:
        """Run an attempt within the caller's middleware, whose time counts."""

        async def attempt(_: Call) -> T:
            return await self._attempt(use)

        call, limits = self._call, self._limits
        try:
            result: T = await through(call.settings.attempt_middleware, call, self._meta.attempts, attempt)
        except asyncio.CancelledError:
            kind = limits.caught()
            if kind is None:
                raise
        else:
            return result
        raise self._timeout_error(kind, sent=self._progress.connected and self._progress.sent)

    async def _attempt(self, use: Callable[[Reply], Awaitable[T]]) -> T:
        self._slot = self._admission.acquire_nowait() or await self._wait_for_slot()
        call, limits = self._call, self._limits
        if self._item is not None or call.observation is not None:
            self._begin()
        self._progress = Progress()
        reply: Reply | None = None
        try:
            if call.settings.key_source is not None:
                await self._renew_key(call.settings.key_source)
            if self._item is not None and call.makes_image:
                await self._item.before_order()
            limits.limit("first_token", call.timeout.first_token)
            try:
                reply = await self._open()
            except TutuError as error:
                reply = await self._open_with_descriptors(error)
            result = await use(reply)
        except asyncio.CancelledError:
            kind = limits.caught()
            self._give_up(reply, "dropped" if kind is None else "overloaded")
            if kind is None:
                raise
            late = kind
        except BaseException as error:
            self._give_up(reply, error)
            limits.ease()
            raise
        else:
            self._finish(reply)
            return result
        finally:
            if self._progress.body is not None:
                await self._end_body(reply)
        raise self._timeout_error(late, sent=self._progress.connected and self._progress.sent)

    def _finish(self, reply: Reply) -> None:
        self._meta.elapsed_s = self._loop.time() - self._started
        observation = self._call.observation
        if self._call.stream:
            self._pool.streams.add(reply)
            if observation is not None:
                observation.opened(reply, self._meta, self._loop)
        else:
            self._limits.ease()
            reply.close()
            if observation is not None:
                observation.attempt_ends("answered", None, self._meta)

    async def _renew_key(self, source: Callable[[], Awaitable[str] | str]) -> None:
        key = source()
        self._call.settings = with_key(self._call.settings, await key if isawaitable(key) else key)

    async def _end_body(self, reply: Reply | None) -> None:
        """Close the body of the request, unless it is still being sent while a stream has begun."""
        body = self._progress.body
        if body is not None and not (self._call.stream and reply is not None and reply.is_open):
            await body.aclose()

    def _begin(self) -> None:
        """Begin an attempt that has got its turn, of an item of a run or of a call that is observed."""
        if self._item is not None:
            self._item.admitted()
            if self._limits.deadline == math.inf:  # The deadline of an item begins when it has waited for its turn.
                self._started = self._loop.time()
                self._limits.begin(self._call.timeout.total)
        if self._call.observation is not None:
            self._call.observation.attempt_begins(self._meta)

    def _give_up(self, reply: Reply | None, why: BaseException | Literal["overloaded", "dropped"]) -> None:
        """Release the slot, with what the end of the attempt says of the relay's load, and the connection."""
        if why == "dropped" and self._progress.connected and self._call.observation is not None:
            self._call.observation.left()
        if (slot := self._slot) is not None:
            if isinstance(why, APIStatusError) and is_refusal(why):
                asked = why.retry_after
                # Who will not wait so long must not make the others wait.
                kept = asked is not None and asked <= self._call.retry.retry_after_max
                slot.refused(asked if kept else None, wire.stated_limit(why))
            else:
                slot.release(why if isinstance(why, str) else self._load_in(why))
        if reply is not None:
            reply.close()

    def _load_in(self, error: BaseException) -> Literal["done", "overloaded", "dropped"]:
        """Return what an error says of the relay's load: one about the request's contents is an answer too."""
        if isinstance(error, APIConnectionError):
            return "overloaded" if self._progress.connected else "dropped"
        if isinstance(error, APIStatusError) and error.status_code in _OVERLOADED:
            return "overloaded"
        return "done" if isinstance(error, APIError) and not isinstance(error, RateLimitError) else "dropped"

    async def _wait_for_slot(self) -> Slot:
        """Wait until the pace, and the calls that came before, let the call start."""
        limits, admission, began = self._limits, self._admission, self._loop.time()
        refusal = None if self._refusals is None else self._refusals.last
        # An item of a run waits as long as the run does.
        pool = self._call.timeout.pool if self._item is None else None
        pool_until = math.inf if pool is None else began + pool
        refused_until = began + self._patience()
        again = refusal is not None
        while True:
            now = self._loop.time()
            closed = admission.closed_for(now)
            if closed and now + closed >= min(limits.deadline, refused_until):
                raise self._not_admitted("pool", closed)
            limits.limit("pool", min(pool_until, refused_until if refusal or closed else math.inf) - now)
            try:
                slot = await admission.acquire(item=self._item is not None, again=again)
                break
            except asyncio.CancelledError:
                kind = limits.caught()
                if kind is None:
                    raise
                now = self._loop.time()
                closed = admission.closed_for(now)
                if kind != "pool" or refusal or closed or now >= pool_until:
                    raise self._not_admitted(kind, closed) from None
                again = True  # The gate has opened meanwhile: it waits as for any slot.
        limits.ease()
        self._meta.waited_s += self._loop.time() - began
        return slot

    def _not_admitted(self, kind: str, closed: float) -> TutuError:
        """Return the error of a call that waits no longer for its turn."""
        self._over = True
        if self._refusals is not None and self._refusals.last is not None:
            self._meta.attempts -= 1  # This one was not sent.
            return self._refusals.last
        if closed:
            return RateLimitError(
                f"{self._call.what}: not sent: the relay asked all calls to pause, or refuses all, for {closed:.1f} s "
                "yet at least, which is beyond the deadline (timeout=) or RetryPolicy.refused_max",
                outcome="not_sent",
                retry_after=closed,
            )
        return exceptions.timeout_error("pool", self._call.what, self._call.seconds(kind), sent=False)

    def _timeout_error(self, kind: str, *, sent: bool) -> TutuError:
        call = self._call
        resolving = "" if self._progress.connected else self._pool.resolving(call)
        error = exceptions.timeout_error(
            kind,
            call.what,
            call.seconds(kind),
            sent=sent,
            makes_image=call.makes_image,
            resolving=resolving,
            proxy=call.proxy,
        )
        return error.with_details(request_id=self._meta.request_id)

    async def _open_with_descriptors(self, error: TutuError) -> Reply:
        """Open an answer; while there are no file descriptors, wait until other calls have closed some.

        Nothing was sent, so that is no attempt. The slot is kept: the call that got it would meet the same.

        Args:
            error: Why it could not be opened; raised when that has nothing to do with file descriptors.
        """
        pause, futile = _DESCRIPTORS_S, 0.0
        while True:
            if error.outcome in {"unknown", "rejected"} or not out_of_descriptors(error):
                raise error
            lacking = exceptions.descriptors_error(self._call.what)
            cause = error.__cause__
            pause = min(2 * pause, _DESCRIPTORS_MAX_S)
            delay = pause * random.uniform(0.5, 1)
            # Without other calls, only the rest of the process may still close some.
            futile += delay if self._pool.slots.total - self._pool.slots.free == 1 else 0.0
            if futile > _FUTILE_S:
                raise lacking from cause
            logger.debug("%s: no file descriptors are left; again in %.2f s", self._call.shown, delay)
            self._limits.ease()
            try:
                await asyncio.sleep(delay)
            except asyncio.CancelledError:
                if self._limits.caught() is None:
                    raise
                raise lacking from cause
            self._meta.waited_s += delay
            await self._end_body(None)
            self._progress = Progress()
            self._limits.limit("first_token", self._call.timeout.first_token)
            try:
                return await self._open()
            except TutuError as again:
                error = again

    async def _open(self) -> Reply:
        """Send the request and wait for the head of a good answer."""
        call, meta = self._call, self._meta
        if call.body is not None and not call.body.is_ready:
            await call.body.open()
        url = call.url
        meta.asked = (call.method, url)
        for _ in range(_MAX_HOPS):
            response = await self._exchange(url)
            status = meta.status_code = response.status
            meta.headers = response.headers
            if (stated := rate_headers(response.headers)) is not None:
                self._admission.headers(self._loop.time(), stated)
            meta.headers_s = meta.elapsed_s = self._loop.time() - self._started
            if call.observation is not None:
                call.observation.head(meta)
            if 200 <= status < 300:  # noqa: PLR2004  (2xx)
                return self._reply(response)
            url = _redirected(response, url)
            if not url:
                break
            response.close()
        raise await self._status_error(response)  # pyright: ignore[reportPossiblyUnboundVariable]  (there is one hop at least)

    def _reply(self, response: aiohttp.ClientResponse | aiohttp_internals.Response) -> Reply:
        try:
            reply = self._new_reply(response, self._slot)
        except UnexpectedResponseError:
            response.close()
            raise
        if not self._call.stream:  # Its head is its first token.
            self._limits.ease()
        elif self._slot is not None:
            self._slot.admitted()
        return reply

    def _new_reply(self, response: aiohttp.ClientResponse | aiohttp_internals.Response, slot: Slot | None) -> Reply:
        fast_path = self._pool.fast_path
        return Reply(response, self._call, self._meta, self._limits, slot, self._started, fast_path=fast_path)

    async def _exchange(self, url: str) -> aiohttp.ClientResponse | aiohttp_internals.Response:
        """Send the request and wait for the head of an answer."""
        pool, progress = self._pool, self._progress
        progress.begin_exchange()
        with exceptions.Translated(self._translate, foreign=pool.caller_session is not None):
            fast = pool.fast_request(self._call) if url is self._call.url else None
            if fast is None:
                response: aiohttp.ClientResponse | aiohttp_internals.Response = await self._request(url)
            else:
                timeout = pool.connect_timeout(self._call.timeout)
                response = await aiohttp_internals.send(
                    pool.egress(self._call).connector, *fast, timeout, pool.header_bytes, progress
                )
        if progress.connection is not None:
            progress.connection.receive_body(response.content)
        return response

    def _translate(self, error: BaseException) -> TutuError:
        if isinstance(error, TutuError):
            return error
        call, progress, connection = self._call, self._progress, self._progress.connection
        if connection is not None and connection.failure is not None:
            error = connection.failure
        # Over a session of the caller's, where GET has no body that tells, only aiohttp's class does.
        connected = progress.connected and (
            self._pool.caller_session is None or not isinstance(error, exceptions.UNCONNECTED)
        )
        silent = connection is not None and not connection.answered
        progress.stale = progress.reused and silent and isinstance(error, exceptions.DIED)
        return progress.failure or exceptions.broken(
            error,
            call.what,
            connected=connected,
            sent=progress.sent,
            makes_image=call.makes_image,
            stale=progress.stale and call.once,
            proxy=call.proxy,
            resolving="" if progress.connected else self._pool.resolving(call),
        )

    async def _request(self, url: str) -> aiohttp.ClientResponse:
        pool, call = self._pool, self._call
        session = pool.session_for(call)
        headers = call.headers
        data: bytes | AsyncIterator[bytes] | NotedBody | None = None
        if call.body is not None:
            data = call.body.plain
            if data is None:
                headers["Content-Length"] = str(call.body.size_bytes)
                data = _Upload(call.body, self._progress)
            elif pool.caller_session is not None:
                data = NotedBody(data, self._progress, call)
        elif pool.caller_session is not None:
            self._progress.connected = True  # Nobody tells whether there is a connection yet.
        token = progress_of_attempt.set(self._progress)
        try:
            return await session.request(
                call.method,
                pool.url(url),
                data=data,
                # Whoever observes the session may serialize them: vcrpy writes YAML, of plain strings only.
                headers=_plain(headers) if aiohttp_internals.is_watched(session) else headers,
                allow_redirects=False,
                timeout=pool.connect_timeout(call.timeout),
                **pool.egress(call).request_options,
            )
        finally:
            progress_of_attempt.reset(token)

    async def _status_error(self, response: aiohttp.ClientResponse | aiohttp_internals.Response) -> APIError:
        """Return the error for an answer whose status is one."""
        call, meta = self._call, self._meta
        if response.status == 407 and call.proxy is not None and not call.proxy.is_socks:  # noqa: PLR2004  (RFC 9110, section 15.5.8)
            response.close()
            return exceptions.proxy_error(call.what, response.status, call.proxy)
        data = b""
        self._limits.ease()
        try:
            # Without a slot: the attempt still holds its own, and releases it itself.
            reply = self._new_reply(response, None)
            timer = self._loop.call_later(min(_ERROR_S, self._limits.left() / 2), reply.fail, "tail")
            try:
                data = await reply.read_start(_ERROR_BYTES)
            finally:
                timer.cancel()
        except UnexpectedResponseError:
            logger.debug("%s: the error's body is compressed and cannot be read", call.shown)
        finally:
            response.close()
        meta.headers = Headers(meta.headers)
        return wire.error_of_status(call.what, data, meta, retry_after=retry_after_of(meta.headers, time.time()))


def _plain(headers: dict[str, str]) -> dict[str, str]:
    """Return headers whose values are strings and nothing more, so that they can be shown and serialized."""
    return {name: str.__str__(value) for name, value in headers.items()}


class _Upload:
    """The body of a request, in pieces; notes whether it was sent to its end, and what stopped it.

    It is not a generator: aiohttp does not close those that it has not read to their end, so a file would stay open
    until the garbage collector finds it. https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/payload.py
    (AsyncIterablePayload)
    """

    def __init__(self, body: Body, progress: Progress) -> None:
        self._progress = progress
        self._pieces = body.pieces()
        self._busy = False
        progress.sent = False
        progress.body = self

    def __aiter__(self) -> _Upload:
        return self

    async def __anext__(self) -> bytes:
        progress = self._progress
        self._busy = True
        try:
            piece = await anext(self._pieces)
            progress.connected = True  # Nothing is asked for before; over a session of the caller's nothing else tells.
        except StopAsyncIteration:
            progress.sent = True
            raise
        except TutuError as error:
            progress.failure = error
            raise
        finally:
            self._busy = False
        for _ in range(_TURNS):
            if not _answers(progress.connection):
                break
            await asyncio.sleep(0)  # Let the loop read it: within TLS it is lost with the first write that fails.
        return piece

    async def aclose(self) -> None:
        """Close the source, unless it is being read: then its reader has been cancelled, which closes it."""
        if not self._busy:
            await self._pieces.aclose()


def _answers(connection: Guard | None) -> bool:
    """Return whether an answer waits in the socket that the loop has not read yet."""
    return (
        connection is not None and not connection.is_closing and not connection.answered and connection.has_unread_data
    )


def _redirected(response: aiohttp.ClientResponse | aiohttp_internals.Response, url: str) -> str:
    """Return where to send the same request instead, or "": only for 307 and 308, only within the origin.

    Source: RFC 9110, sections 15.4.8 and 15.4.9.
    """
    if response.status not in {307, 308}:
        return ""
    try:
        target = urljoin(url, response.headers.get("Location", ""))
        return target if target != url and origin_of(target) == origin_of(url) else ""
    except ValueError:  # It is not a URL.
        return ""
