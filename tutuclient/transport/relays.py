"""Several relays of one client, as far as they belong to a loop; and the way of one call among them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tutuclient import wire
from tutuclient._logger import logger
from tutuclient.chooser import Chooser, another_may_do, fault_of
from tutuclient.errors import ConfigError, printable
from tutuclient.retry import is_refusal, worth_repeating
from tutuclient.settings import origin_of
from tutuclient.transport.admission import combined, first_slot

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tutuclient.chooser import Fault
    from tutuclient.errors import TutuError
    from tutuclient.pace import PaceState
    from tutuclient.settings import Proxy, Settings
    from tutuclient.transport.admission import Admission, RunItem, Slot, Waiter
    from tutuclient.transport.call import Call
    from tutuclient.wire.limits_stated import RateHeaders


class Relays:
    """What all calls of a client share of its relays, within one loop.

    Args:
        settings: The client's.
        loop: The running loop.
        admission: Returns what admits the calls of a relay.
        slots: How many calls may be in flight at once.

    Attributes:
        members: The settings for each.
        routes: The proxy that each is reached through, or None.
        admissions: What admits their calls; relays of one account have one.
        chooser: Their health, and whose turn it is.
        waiting: The calls that wait for one of them, in the order in which they came.
    """

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        admission: Callable[[Settings], Admission],
        slots: int,
    ) -> None:
        self.members: tuple[Settings, ...] = settings.relays or (settings,)
        self.routes: list[Proxy | None] = [each.route for each in self.members]
        self.loop: asyncio.AbstractEventLoop = loop
        self._slots = slots
        self._weights = [1.0 if each.relay is None else each.relay.weight for each in self.members]
        self._places = {name_of(each): place for place, each in enumerate(self.members)}
        self.admissions: list[Admission] = [admission(each) for each in self.members]
        self.chooser: Chooser = Chooser(self._weights)
        self.waiting: dict[Waiter, None] = {}
        self._share()

    def place_of(self, settings: Settings) -> int:
        """Return the number of a relay; copies of a client with other settings have the same relays."""
        return self._places[name_of(settings)]

    def state(self) -> PaceState:
        """Return the pace of all of them together."""
        admissions = list(dict.fromkeys(self.admissions))
        waiting = {waiter for admission in admissions for waiter in admission.waiters()}
        now = self.loop.time()
        return combined([each.pace.state(now) for each in admissions], self._slots, len(waiting))

    def changed(self, place: int, why: str) -> None:
        """Act on a relay that went away or came back: its share of the client's slots goes to the others, or back.

        Args:
            place: The relay.
            why: What happened, for the log.
        """
        logger.info("relay %s: %s", name_of(self.members[place]), why)
        self._share()
        for waiter in list(self.waiting):
            wake(waiter)

    def _share(self) -> None:
        """Divide the slots among the relays that work, so that a slow one cannot take those of all."""
        everyone = range(len(self.members))
        working = [place for place in everyone if not self.chooser.is_away(place)] or list(everyone)
        total = sum(self._weights[place] for place in working)
        shares: dict[Admission, float] = {}
        for place in everyone:
            admission = self.admissions[place]
            shares[admission] = shares.get(admission, 0.0) + self._weights[place] / total
        for admission, share in shares.items():
            admission.pace.bound(max(1, min(self._slots, math.ceil(self._slots * share))))


def name_of(settings: Settings) -> str:
    """Return the name of the relay that settings are for; "" where it is no one of several."""
    return "" if settings.relay is None else settings.relay.name


def wake(waiter: Waiter) -> None:
    """Wake a call that waits, so that it looks again for where to wait."""
    if not waiter.done():
        waiter.set_result(None)


class Route:
    """The way of one call among the relays: where it may go, where it is, and where it has been in vain.

    It stands where the admission of a single relay would: the slot that it returns is one at the relay chosen, and the
    call has been directed there.

    Args:
        relays: What is known of them.
        call: The call.
        item: The item of a run that it answers, or None.

    Raises:
        ConfigError: No relay has the model.
    """

    __slots__ = (
        "_avoided",
        "_body",
        "_call",
        "_fields",
        "_item",
        "_mapped",
        "_members",
        "_model",
        "_over",
        "_place",
        "_reachable",
        "_relays",
        "_started_at",
        "_tried",
        "errors",
    )

    def __init__(self, relays: Relays, call: Call, item: RunItem | None) -> None:
        self._relays = relays
        self._call = call
        self._item = item
        self._place = self._avoided = -1
        self._model = ""
        self._started_at = 0.0
        self._tried: set[int] = set()  # In this round, in vain.
        self._over: set[int] = set()  # They would answer this call with the same error again.
        self.errors: dict[int, TutuError] = {}
        self._reachable = {relays.place_of(each): each for each in call.relays or (call.settings,)}
        if not self._is_path:  # An address of one relay's own.
            origin = origin_of(call.url)
            self._reachable = {place: each for place, each in self._reachable.items() if each.origin == origin}
        self._look_at_body()

    @property
    def relay(self) -> str:
        """The name of the relay that the call was last directed to; "" while there was none."""
        return name_of(self._relays.members[self._place]) if self._place >= 0 else ""

    @property
    def size(self) -> int:
        """How many relays the call may go to."""
        return len(self._members)

    # --- Slots: see ``admission.SlotSource`` ---

    def acquire_nowait(self) -> Slot | None:
        """Return a slot at the relay whose turn it is, else at one that has room; None where none has."""
        if self._call.fields is not self._fields:  # Middleware has changed them.
            self._look_at_body()
        relays, among = self._relays, self._among()
        for place in self._standing(among, due=True):
            if (slot := relays.admissions[place].acquire_nowait()) is not None:
                return self._directed(place, slot)
        left = [*among]
        while left:
            place = relays.chooser.next_of(left)
            slot = relays.admissions[place].acquire_nowait()
            if slot is not None:
                relays.chooser.took(place, left)
                return self._directed(place, slot)
            left.remove(place)
        return None

    async def acquire(self, *, item: bool = False, again: bool = False) -> Slot:
        """Wait for a slot at any relay the call may go to. Arguments as for ``Admission.acquire``."""
        relays, loop = self._relays, self._relays.loop
        while True:
            among = self._among()
            waiter: Waiter = loop.create_future()
            relays.waiting[waiter] = None
            at = self._next_trial(among)
            timer = None if at == math.inf else loop.call_at(at, wake, waiter)
            admissions = list(dict.fromkeys(relays.admissions[place] for place in among))
            try:
                slot = await first_slot(admissions, waiter, item=item, again=again)
            finally:
                relays.waiting.pop(waiter, None)
                if timer is not None:
                    timer.cancel()
            # All that waited here were told to look again in their order: who returns keeps his place at the end.
            again = False
            if slot is None:
                continue
            here = [place for place in among if relays.admissions[place] is slot.admission]
            place = relays.chooser.next_of(here)
            if place not in self._among():  # Another call tries it since.
                slot.release("dropped")
                continue
            relays.chooser.took(place, among)
            return self._directed(place, slot)

    def closed_for(self, now: float) -> float:
        """Return for how many seconds yet nothing starts at any relay the call may go to."""
        return min(self._relays.admissions[place].closed_for(now) for place in self._among())

    def headers(self, now: float, limits: RateHeaders) -> None:
        """Report what an answer's rate limit headers say of the relay that it came from."""
        self._relays.admissions[self._place].headers(now, limits)

    # --- What becomes of it ---

    def succeeded(self) -> None:
        """Note that the relay has answered."""
        if self._relays.chooser.succeeded(self._place, self._model, self._started_at):
            self._relays.changed(self._place, "it works again")

    def began(self) -> None:
        """Note that a stream has begun: the relay is there. Whether its streams come to an end is seen at their end."""
        if self._relays.chooser.due_at(self._place, self._model) is not None:
            self.succeeded()

    def ended(self, error: TutuError | None) -> None:
        """Note that a stream has ended, with an error or whole."""
        if error is None:
            self.succeeded()
        elif (fault := fault_of(error, math.inf)) is not None and fault.row:
            self._blame(fault, error)

    def dropped(self) -> None:
        """Note that the attempt was cancelled."""
        if self._place >= 0:
            self._relays.chooser.dropped(self._place, self._model, self._started_at)

    def failed(self, error: TutuError) -> None:
        """Note how an attempt has failed."""
        place, retry = self._place, self._call.retry
        fault = fault_of(error, retry.retry_after_max)
        if place < 0 or fault is None:
            self.dropped()
            return
        self.errors[place] = error
        self._tried.add(place)
        if not worth_repeating(error, retry, makes_image=self._call.makes_image):
            self._over.add(place)
        if not fault.row or (fault.of_model and not self._model):  # Without a model, it lacks that endpoint.
            self.succeeded()
            return
        if fault.of_model and self._relays.chooser.succeeded(place, "", self._started_at):
            self._relays.changed(place, "it works again")
        self._blame(fault, error)

    def _blame(self, fault: Fault, error: TutuError) -> None:
        relays, place = self._relays, self._place
        if relays.chooser.failed(place, self._model, fault, relays.loop.time(), self._started_at):
            what = " for this model" if fault.of_model else ""
            # Not the error's text, in which relays quote what they were sent: see ``logs``.
            status = getattr(error, "status_code", None)
            words = f"{type(error).__name__}{f', status {status}' if status else ''}"
            relays.changed(place, f"away{what} for {fault.wait:g} s at least: {words}")

    def goes_on(self, error: TutuError) -> bool:
        """Return whether the call goes to another relay at once: one that has not had it in this round.

        A refusal says that a relay is there and has enough to do. So it leads to one that works and lets calls in, and
        to none that is away.
        """
        if not another_may_do(error):
            return False
        untried = [place for place in self._members if place not in self._tried and place not in self._over]
        if not is_refusal(error):
            return bool(untried)
        now = self._relays.loop.time()
        return any(not self._relays.admissions[place].closed_for(now) for place in self._standing(untried))

    def end_round(self, error: TutuError) -> TutuError:
        """Return what a round in which no relay has done the call comes to, and let the next round begin.

        That is the error of a relay which may do it yet, as soon as may be; where there is none, the last.
        """
        found = [self.errors[place] for place in self._tried if place in self.errors and place not in self._over]
        self._tried.clear()
        self._avoided = self._place if error.outcome == "unknown" else -1  # Another one is asked next, if there is one.
        if not found or not another_may_do(error):
            return error
        return min(found, key=lambda each: (not is_refusal(each), getattr(each, "retry_after", None) or 0.0))

    def told(self, error: TutuError) -> TutuError:
        """Add to the error that is raised what the other relays have answered."""
        for place, other in self.errors.items():
            if other is not error:
                name = name_of(self._relays.members[place])
                error.add_note(f"relay {name}: {type(other).__name__}: {printable(str(other), 300)}")
        return error

    def restore(self) -> None:
        """Restore the caller's own body: the call may be made again."""
        if self._mapped and self._call.fields is self._fields:
            self._call.body = self._body

    # --- Where it may go ---

    def _among(self) -> list[int]:
        """Return the relays to choose among: those that work or are to be tried, else all that the call may go to."""
        left = [place for place in self._members if place not in self._over] or list(self._members)
        untried = [place for place in left if place not in self._tried] or left
        among = self._standing(untried) or untried
        if len(among) > 1 and self._avoided in among:
            among.remove(self._avoided)
        return among

    def _standing(self, places: list[int], *, due: bool = False) -> list[int]:
        """Return which of these work or are to be tried; with ``due``, only the latter."""
        chooser, makes_image = self._relays.chooser, self._call.makes_image
        if chooser.is_well:
            return [] if due else places
        now = self._relays.loop.time()
        standings = ((place, chooser.standing(place, self._model, now, makes_image=makes_image)) for place in places)
        return [place for place, standing in standings if (standing == "due" if due else standing != "away")]

    def _next_trial(self, among: list[int]) -> float:
        """Return when a relay that is not among these may be tried, on the loop's clock."""
        chooser, makes_image = self._relays.chooser, self._call.makes_image
        dues = (
            chooser.due_at(place, self._model, makes_image=makes_image)
            for place in self._members
            if place not in among and place not in self._over and place not in self._tried
        )
        return min((due for due in dues if due is not None), default=math.inf)

    def _directed(self, place: int, slot: Slot) -> Slot:
        """Direct the call to a relay: its address, its key, its proxy, and its name of the model."""
        relays, call, member = self._relays, self._call, self._members[place]
        self._place, self._avoided, self._started_at = place, -1, relays.loop.time()
        relays.chooser.started(place, self._model, self._started_at)
        if self._item is not None:
            self._item.relay = name_of(member)
        if self._is_path:
            call.url = member.base_url + call.url[len(call.settings.base_url) :]
        call.settings, call.proxy = member, relays.routes[place]
        models = None if member.relay is None else member.relay.models
        model = self._model if models is None else models.get(self._model, self._model)
        if model != self._model:
            self._mapped = True
            call.body = _renamed(call, self._body, model)
        elif self._mapped:
            call.body = self._body
        return slot

    @property
    def _is_path(self) -> bool:
        """Whether the call is for a path that each relay has, and not for an address of one."""
        return self._call.url.startswith(f"{self._call.settings.base_url}/")

    def _look_at_body(self) -> None:
        """Note the caller's body, which middleware may change, the model that it asks, and who has that model.

        Raises:
            ConfigError: No relay has it.
        """
        call, reachable = self._call, self._reachable
        self._fields, self._body, self._mapped = call.fields, call.body, False
        self._model = model = _model_of(call)
        self._members: dict[int, Settings] = {
            place: each
            for place, each in reachable.items()
            if not model or each.relay is None or each.relay.models is None or model in each.relay.models
        }
        if not self._members:
            names = ", ".join(map(name_of, reachable.values()))
            raise ConfigError(
                f"{call.what}: none of the relays ({names}) has the model {printable(model, 80)!r}: name it in models= "
                "of the one that has it"
            )


def _model_of(call: Call) -> str:
    fields: object = call.body.values if isinstance(call.body, wire.Form) else call.fields
    model = fields.get("model") if isinstance(fields, Mapping) else None
    return model if isinstance(model, str) else ""


def _renamed(call: Call, body: wire.Body | None, model: str) -> wire.Body | None:
    """Return the body of a call with another name of its model."""
    if isinstance(body, wire.Form):
        return wire.form({**body.values, "model": model}, body.files)
    return body if call.fields is None else wire.encode({**call.fields, "model": model})
