"""What ``batch.report.figures`` promises: counts that add up, in little memory."""

from __future__ import annotations

import random
from array import array
from itertools import pairwise
from typing import Any

import pytest

from tests.batch.report.samples import BEGAN, fail, ok, sent
from tutuclient.batch.lines import Record
from tutuclient.batch.report.figures import Figures, Timeline, course, latency, may_be_paid_for, status_of


def figures(*records: Record, orders: bool = False) -> dict[str, Any]:
    found = Figures(orders=orders)
    for row, record in enumerate(records):
        found.add(record, row)
    return found.summary()


@pytest.mark.parametrize(
    ("record", "status", "paid"),
    [
        (ok(1), "answered", False),
        (fail(1), "failed", False),
        (fail(1, outcome="not_sent"), "failed", False),
        (fail(1, outcome="unknown"), "unknown", True),
        (fail(1, outcome="done"), "failed", True),  # An image was made, and could not be had.
        (sent(1), "unknown", True),
    ],
)
def test_what_is_known_of_an_item(record: Record, status: str, paid: bool) -> None:
    assert status_of(record) == status
    assert may_be_paid_for(record, orders=True) is paid


def test_an_answer_that_cannot_be_used_is_no_order() -> None:
    assert not may_be_paid_for(fail(1, "LengthFinishReasonError", "done"), orders=False)


def test_counts_and_tokens_add_up() -> None:
    found = figures(ok(1), ok(2, tin=None, tout=None), fail(3), fail(4, outcome="unknown"), sent(5))
    assert found["counts"] == {"answered": 2, "failed": 1, "unknown": 2}
    assert found["tokens"] == {"in": 100, "out": 20, "items": 1}
    assert found["time"]["bins"] == [
        [BEGAN + 1, 1, 0, 0],
        [BEGAN + 2, 1, 0, 0],
        [BEGAN + 3, 0, 1, 0],
        [BEGAN + 4, 0, 0, 1],
        [BEGAN + 5, 0, 0, 1],
    ]
    assert (found["first"], found["last"]) == (BEGAN + 1, BEGAN + 5)


def test_each_kind_of_item_has_a_place() -> None:
    found = Figures(orders=False)
    assert [found.add(record, 0) for record in (ok(1), fail(2), ok(3), fail(4, "APITimeoutError", "unknown"))] == [
        0,
        1,
        0,
        2,
    ]
    assert found.kinds == [("answered", ""), ("failed", "RateLimitError"), ("unknown", "APITimeoutError")]


def test_classes_without_end_become_one() -> None:
    found = Figures(orders=False)
    for number in range(1000):
        found.add(fail(number, f"Error{number}"), number)
    assert len(found.kinds) == 201
    assert sum(each["count"] for each in found.summary()["failures"]) == 1000


def test_failures_come_by_class_the_most_frequent_first_with_advice_and_messages() -> None:
    records = [fail(number, st=429) for number in range(3)] + [fail(9, "APITimeoutError", "unknown", err="too late")]
    [first, second] = figures(*records)["failures"]
    assert (first["cls"], first["count"], first["statuses"]) == ("RateLimitError", 3, [(429, 3)])
    # Numbers within them differ, and it is one message all the same.
    assert first["messages"] == [["the relay answered with error 0", 3]]
    assert "--rate" in first["advice"]
    assert (second["cls"], second["outcomes"]) == ("APITimeoutError", {"unknown": 1})


def test_messages_without_end_are_not_kept() -> None:
    words = [f"{''.join(random.choices('ghijklmnop', k=12))} failed" for _ in range(5000)]
    [found] = figures(*(fail(number, err=word) for number, word in enumerate(words)))["failures"]
    assert found["count"] == 5000
    assert len(found["messages"]) == 3


def test_orders_that_may_be_paid_for_are_listed_and_counted() -> None:
    records = [sent(0, task="task-7"), fail(1, "ImageDownloadError", "done"), fail(2), ok(3)]
    paid = figures(*records, orders=True)["paid"]
    assert paid["count"] == 2
    assert [(each["row"], each["task"], each["end"]) for each in paid["items"]] == [
        (0, "task-7", "task"),
        (1, "", "done"),
    ]
    assert figures(sent(0), orders=True)["paid"]["items"][0]["end"] == "none"
    many = figures(*(sent(number) for number in range(1000)), orders=True)["paid"]
    assert (many["count"], len(many["items"])) == (1000, 200)


def test_a_timeline_stays_short_however_long_the_run() -> None:
    line = Timeline()
    for number in range(100_000):
        line.add(BEGAN + number * 7, "answered")
    bins = line.bins()
    assert len(bins) <= 2048
    assert sum(each[1] for each in bins) == 100_000
    assert bins[0][0] <= BEGAN < bins[0][0] + line.width
    assert {each[0] % line.width for each in bins} == {0}


def test_times_by_quantile_and_column() -> None:
    found = latency(array("f", [number / 100 for number in range(1, 101)]))
    assert found is not None
    assert (found["p50"], found["p90"], found["p99"], found["max"]) == (0.5, 0.9, 0.99, 1.0)
    assert sum(count for _, _, count in found["bins"]) == 100
    edges = [(low, high) for low, high, _ in found["bins"]]
    assert all(high == pytest.approx(low) for (_, high), (low, _) in pairwise(edges))


def test_no_answer_has_no_times_and_one_without_a_time_does_no_harm() -> None:
    assert latency(array("f")) is None
    found = latency(array("f", [0.0]))
    assert found is not None
    assert found["max"] == 0


def event(name: str, refusals: int = 0, **more: Any) -> Record:
    return Record(k="ev", ev=name, t=BEGAN, res={"refusals": refusals, "rate": None, "window": 8, **more})


def test_the_course_of_a_run_that_was_killed_and_went_on() -> None:
    first = [event("start"), event("rate", 30, rate=9.6, window=31), event("rate", 40, rate=9.7, window=30)]
    assert course(first) == {"starts": 1, "refusals": 40, "ended": None, "rate": 9.7, "window": 30}
    again = [*first, event("start"), event("pause", 2), event("stop", 3, why="budget", rate=9.5)]
    assert course(again) == {"starts": 2, "refusals": 43, "ended": "budget", "rate": 9.5, "window": 8}


def test_a_run_without_events_has_no_course() -> None:
    assert course([])["starts"] == 0
    assert course([Record(k="ev", ev="stop", res="odd")])["ended"] == ""
