"""Attempts at several relays: what one surely has not done goes to the next at once, under the rules of one relay.

``max_retries``, the retry budget, the deadline and ``refused_max`` hold over all relays together:

* What a relay has surely not done (``not_sent``, or ``rejected`` where it is not the request that is wrong) goes to the
  next one at once. That costs no retry and nothing of the budget; each relay gets a call once in a round.
* When all have had it, the round is over: another is a retry, after a pause, and goes only where the call may yet
  succeed. After refusals alone it costs time, as with one relay.
* What may have been done (``unknown``) is a retry in any case, at another relay if there is one; an order of an image
  is none, and goes nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from tutuclient._logger import logger
from tutuclient.errors import APIConnectionError, TutuError
from tutuclient.retry import is_refusal
from tutuclient.transport.attempts import Attempts
from tutuclient.transport.relays import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tutuclient.transport.call import Call
    from tutuclient.transport.pool import Pool
    from tutuclient.transport.reply import Reply

T = TypeVar("T")


class RelayedAttempts(Attempts):
    """All attempts of one call at several relays, under one deadline."""

    __slots__ = ("_moves", "_route")

    def __init__(self, pool: Pool, call: Call) -> None:
        super().__init__(pool, call)
        self._moves = 0
        relays = pool.relays
        assert relays is not None  # noqa: S101  (for the type checkers: such a pool is not given to this class)
        try:
            self._route = self._admission = Route(relays, call, self._item)
        except BaseException:
            self._limits.stop()
            raise

    async def run(self, use: Callable[[Reply], Awaitable[T]]) -> T:
        """Run attempts as ``Attempts`` does, at whichever relay."""
        try:
            return await super().run(use)
        finally:
            self._route.restore()

    async def _wait_after(self, error: TutuError, number: int, *, maybe_done: bool) -> int:
        """Move on to another relay, or wait for the next round."""
        route, call = self._route, self._call
        error.with_details(relay=route.relay)
        route.failed(error)
        if route.goes_on(error) and not self._pool.closed and self._limits.left() > 0:
            logger.debug("%s: %s at relay %s; on to the next", call.shown, type(error).__name__, route.relay)
            await self._end_order(error, maybe_done=maybe_done)
            self._moves += not is_refusal(error)
            return 0
        verdict = route.end_round(error).with_details(attempts=self._meta.attempts)
        try:
            return await super()._wait_after(verdict, self._number_of(verdict, number), maybe_done=maybe_done)
        except TutuError as last:
            raise route.told(last) from last.__cause__

    def _note(self, error: TutuError) -> int:
        number = super()._note(error)
        return -(-number // self._route.size) if is_refusal(error) else max(1, number - self._moves)

    def _number_of(self, verdict: TutuError, number: int) -> int:
        """Return the number by which the pause grows after the error that a round has come to."""
        refusals = self._refusals
        if is_refusal(verdict) or refusals is None:
            return number
        return max(1, self._meta.attempts - refusals.total - self._moves)

    async def _renew_key(self, source: Callable[[], Awaitable[str] | str]) -> None:
        """Fetch the key of this relay. Where that fails the call goes on, as it does where a relay rejects its key.

        Raises:
            APIConnectionError: The function raised something, or returned no key. Nothing was sent.
        """
        try:
            await super()._renew_key(source)
        except Exception as error:
            # Only its class: whose text it is nobody knows, and it may have the key.
            raise APIConnectionError(
                f"{self._call.what}: not sent: the function that returns the key of the relay {self._route.relay} "
                f"raised {type(error).__name__}",
                outcome="not_sent",
            ) from error

    async def _open(self) -> Reply:
        self._meta.relay = self._route.relay
        return await super()._open()

    def _finish(self, reply: Reply) -> None:
        if self._call.stream:
            self._route.began()
            reply.on_end = self._route.ended
        else:
            self._route.succeeded()
        super()._finish(reply)

    def _give_up(self, reply: Reply | None, why: BaseException | Literal["overloaded", "dropped"]) -> None:
        # An idle connection that died says nothing of the relay, and the call may be repeated without more ado.
        if why == "dropped" or self._progress.stale or not isinstance(why, TutuError | str):
            self._route.dropped()
        super()._give_up(reply, why)
