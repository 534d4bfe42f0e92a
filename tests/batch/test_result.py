"""What ``batch.result`` promises: budgets that can be kept, and a summary that says how to go on."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tutuclient import BatchResult, BatchStoppedError, BatchSummary, Budget, ConfigError, RateLimitError

RETRY = "retry_failed=True tries again what failed"
RESEND = "resend_unknown=True orders again what may be paid for"


def test_a_result_is_ok_without_an_error() -> None:
    result: BatchResult[str] = BatchResult(0, "a", "text")
    assert result.ok
    result.error = RateLimitError("no")
    assert not result.ok


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "5M"])
@pytest.mark.parametrize("name", ["tokens", "requests", "images"])
def test_a_budget_is_a_whole_number(name: str, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=rf"Budget\({name}=…\) takes a whole number from 1 up"):
        Budget(**{name: wrong})


def test_a_summary_says_what_was_done_and_how_to_go_on() -> None:
    summary = BatchSummary(
        done=3,
        skipped=4,
        failed=Counter(RateLimitError=2),
        unknown=["a"],
        tokens=50,
        rate=9.6,
        advice={"RateLimitError": "slow down"},
        stopped="the budget of 50 tokens is reached",
        journal=Path("run"),
    )
    assert str(summary).splitlines() == [
        "3 answered, 2 failed, 4 answered before; 50 tokens, 0.0 s, 0 refusals, pace learnt 9.6/s",
        "  2 x RateLimitError, such as: slow down",
        "  1 of unknown outcome, maybe done and billed: a",
        "  stopped: the budget of 50 tokens is reached",
        f"  the same call with journal='run' goes on; {RETRY}; {RESEND}",
    ]


def test_a_summary_of_a_run_that_is_at_its_end_says_only_what_may_be_tried_again() -> None:
    failed = BatchSummary(failed=Counter(MediaError=1), journal=Path("run"))
    assert str(failed).endswith(f"  the same call with journal='run' and {RETRY}")
    unknown = BatchSummary(failed=Counter(OutcomeUnknownError=1), unknown=["a"], journal=Path("run"))
    assert str(unknown).endswith(f"  the same call with journal='run' and {RETRY}; {RESEND}")
    refused = BatchSummary(failed=Counter(RateLimitError=2), deferred=1, journal=Path("run"))
    assert str(refused).endswith(f"  the same call with journal='run' goes on; {RETRY}")


def test_a_summary_tells_of_damaged_lines() -> None:
    assert "2 lines of the journal were damaged" in str(BatchSummary(done=3, damaged=2))


def test_a_summary_of_a_run_that_went_well_is_a_line() -> None:
    assert str(BatchSummary(done=3, journal=Path("run"))) == "3 answered, 0 failed; 0 tokens, 0.0 s, 0 refusals"


def test_a_summary_names_no_more_than_can_be_read() -> None:
    assert str(BatchSummary(unknown=[f"item{number}" for number in range(1000)])).endswith("item9 …")


def test_a_stop_can_be_pickled() -> None:
    error = BatchStoppedError("enough", "budget", BatchSummary(done=3))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
    assert (str(again), again.reason, again.summary.done) == ("enough", "budget", 3)
