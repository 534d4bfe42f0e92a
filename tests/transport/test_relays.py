"""What a loop knows of several relays: names, shares of the slots, one pace made of several."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import KEY
from tutuclient import ConfigError, Relay
from tutuclient.chooser import Fault
from tutuclient.pace import PaceState
from tutuclient.settings import Settings
from tutuclient.transport.admission import Admission, Room, combined, first_slot, new_pace
from tutuclient.transport.call import Call
from tutuclient.transport.relays import Relays, Route
from tutuclient.wire import encode


def made(*relays: Relay, slots: int = 12) -> tuple[Settings, Relays]:
    settings = Settings.make(relays=relays, user_agent="tutuclient/1", max_concurrency=slots)
    room = Room(settings.slots)
    loop = asyncio.get_running_loop()
    known: dict[str, Admission] = {}

    def admission(each: Settings) -> Admission:
        account = each.relay.account if each.relay is not None else ""
        return known.setdefault(account or each.base_url, Admission(loop, new_pace(each), room))

    return settings, Relays(settings, loop, admission, settings.slots)


def call(settings: Settings, model: str = "m", path: str = "/chat/completions") -> Call:
    fields = {"model": model}
    return Call(settings, "POST", path, body=encode(fields), fields=fields, query="?a=b")


A, B, C = Relay("a.example", KEY, name="a"), Relay("b.example", KEY, name="b"), Relay("c.example", KEY, name="c")


async def test_slots_are_divided_by_weight_among_those_that_work() -> None:
    _, relays = made(Relay("a.example", KEY, weight=2, name="a"), B, C)
    windows = [int(each.pace.window) for each in relays.admissions]
    assert windows == [6, 3, 3]
    relays.chooser.failed(0, "", fault=Fault(1), now=0.0, started_at=0.0)
    relays.changed(0, "away")
    assert [int(each.pace.window) for each in relays.admissions] == [12, 6, 6]
    relays.chooser.succeeded(0, "", 1.0)
    relays.changed(0, "back")
    assert [int(each.pace.window) for each in relays.admissions] == [6, 3, 3]


async def test_every_relay_has_one_slot_at_least() -> None:
    _, relays = made(A, B, C, slots=1)
    assert [int(each.pace.window) for each in relays.admissions] == [1, 1, 1]


async def test_a_call_is_directed_with_its_path_and_query() -> None:
    settings, relays = made(A, B)
    one = call(settings)
    route = Route(relays, one, None)
    seen = set()
    for _ in range(2):
        slot = route.acquire_nowait()
        assert slot is not None
        seen.add((route.relay, one.url))
        slot.release()
    assert seen == {
        ("a", "https://a.example/v1/chat/completions?a=b"),
        ("b", "https://b.example/v1/chat/completions?a=b"),
    }


async def test_an_address_is_its_own_relays() -> None:
    settings, relays = made(A, B)
    route = Route(relays, call(settings, path="https://b.example/api/status"), None)
    assert route.size == 1
    assert route.acquire_nowait() is not None
    assert route.relay == "b"
    with pytest.raises(ConfigError, match="none of the relays"):
        Route(relays, call(settings, path="https://elsewhere.example/"), None)


async def test_a_call_that_waits_takes_the_slot_that_is_free_first_and_no_other() -> None:
    _, relays = made(A, B, slots=2)
    a, b = relays.admissions
    first, second = a.acquire_nowait(), b.acquire_nowait()
    assert first is not None
    assert second is not None
    loop = asyncio.get_running_loop()
    waiting = asyncio.ensure_future(first_slot((a, b), loop.create_future(), item=False, again=False))
    await asyncio.sleep(0)
    assert (a.waiting, b.waiting) == (1, 1)
    second.release()
    slot = await waiting
    assert slot is not None
    assert slot.admission is b
    assert (a.waiting, b.waiting, a.is_idle) == (0, 0, False)
    first.release()
    slot.release()
    assert (a.is_idle, b.is_idle, a.pace.in_flight, b.pace.in_flight) == (True, True, 0, 0)


def test_paces_are_added_up() -> None:
    one = PaceState(window=8, rate=2.0, refusals=3, in_flight=1, waiting=4, gate=9.0)
    other = PaceState(window=8, rate=1.5, refusals=1, in_flight=2, waiting=4, gate=0.0)
    assert combined([one, other], 12, 4) == PaceState(12, 3.5, 4, 3, 4, 0.0)
    unlimited = PaceState(window=8, rate=None, refusals=0, in_flight=0, waiting=0, gate=0.0)
    assert combined([one, unlimited], 512, 4).rate is None
