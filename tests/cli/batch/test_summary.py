"""What a run has come to, in words."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tutuclient.batch.result import BatchSummary
from tutuclient.cli.batch.command_file import Command
from tutuclient.cli.batch.summary import BUDGET, Ended, balance_words, print_summary, spent
from tutuclient.types.account import Balance


def shown(capsys: pytest.CaptureFixture[str], ended: Ended, price: dict[str, Any] | None = None, **command: Any) -> str:
    print_summary(ended, price, Path("my run"), Command([], "", "x", **command), as_json=False)
    return capsys.readouterr().out


def test_a_run_without_failures_says_where_its_answers_are(capsys: pytest.CaptureFixture[str]) -> None:
    ended = Ended(BatchSummary(done=1200, tokens=412_000, elapsed_s=12.34, refusals=4, rate=9.6), 1200)
    assert shown(capsys, ended) == (
        "1,200 answered, 0 failed; 412k tokens, 12.3 s, 4 refused, pace 9.6/s\n"
        "  tutuclient batch export 'my run' -o answers.csv\n"
    )


def test_failures_are_listed_by_class_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    summary = BatchSummary(
        failed=Counter({"APIError": 1, "MediaError": 3}),
        advice={"MediaError": "max_side=2048 makes\x1b[31m it smaller", "APIError": "no"},
        unknown=[f"item{number}" for number in range(7)],
        failed_before=2,
    )
    lines = shown(capsys, Ended(summary, 9, 9), task="edit").splitlines()
    assert lines[0].startswith("0 answered, 4 failed, 2 failed before; ")
    assert lines[1] == r"  3 x MediaError, such as: --max-side 2048 makes\x1b[31m it smaller"
    assert lines[2] == "  1 x APIError: no"
    assert lines[3] == "  7 of unknown outcome, maybe done and billed: item0, item1, item2, item3, item4 …"
    assert lines[4] == "  tutuclient batch retry 'my run'    tries again what failed"
    assert lines[5].startswith("  tutuclient batch retry 'my run' --resend-unknown    orders again")
    assert len(lines) == 6


def test_questions_of_unknown_outcome_are_not_ordered_again_but_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--resend-unknown" not in shown(capsys, Ended(BatchSummary(unknown=["a"]), 1, 9))


def test_what_was_stopped_says_how_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    ended = Ended(BatchSummary(done=1), 9, BUDGET, "the budget of 5 tokens is reached")
    print_summary(ended, None, Path("run"), Command([], "", "x"), as_json=False)
    out, err = capsys.readouterr()
    assert "to go on: the same command again with a higher --budget; what is answered is not asked again" in out
    assert err == "error: the budget of 5 tokens is reached\n"


@pytest.mark.parametrize(("code", "price"), [(BUDGET, None), (9, {"left": 7, "tokens_an_item": 1.0, "tokens": 7})])
def test_trying_again_what_failed_says_that_it_answers_the_rest_too(
    capsys: pytest.CaptureFixture[str], code: int, price: dict[str, Any] | None
) -> None:
    ended = Ended(BatchSummary(failed=Counter({"BadRequestError": 1})), 9, code)
    assert "tries again what failed, and answers the rest, which --budget bounds\n" in shown(capsys, ended, price)


def test_what_was_deferred_says_how_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    summary = BatchSummary(failed=Counter(APIConnectionError=2), deferred=2)
    assert shown(capsys, Ended(summary, 9, 6)).splitlines()[2:] == [
        "  to go on: the same command again; what is answered is not asked again"
    ]


def test_the_rest_is_priced_as_far_as_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    ended = Ended(BatchSummary(done=2), 2)
    price = {"left": 1180, "tokens_an_item": 812.4, "tokens": 958_000}
    assert "  the 1,180 left would take about 958k tokens (812 tokens an item)\n" in shown(capsys, ended, price)
    page = "1.18 USD by the relay's price page, for its usual group"
    assert f"(812 tokens an item); {page}\n" in shown(capsys, ended, {**price, "listed": 1.18})
    assert f"left would take {page}\n" in shown(capsys, ended, {**price, "tokens": None, "listed": 1.18})
    more = {**price, "money": 1.2345, "unit": "USD"}
    assert "and 1.23 USD by what the balance lost meanwhile" in shown(capsys, ended, more)
    assert "cannot be priced: the relay tells no tokens" in shown(capsys, ended, {**price, "tokens": None})
    assert "left" not in shown(capsys, ended, {**price, "left": 0})


def test_programs_get_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    ended = Ended(BatchSummary(done=2, failed=Counter(A=1), unknown=["\udcff"]), 3, 130, interrupted=1)
    print_summary(ended, None, Path("run"), Command([], "", "x"), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["answered"], found["failed"], found["unknown"]) == (2, {"A": 1}, ["\udcff"])
    assert (found["stopped"], found["price"]) == ("interrupted", None)


@pytest.mark.parametrize(
    ("balance", "words"),
    [
        (Balance(remaining=12.5, unit="USD"), "12.5 USD"),
        (Balance(remaining=500_000, unit=""), "500,000"),
        (Balance(used=3, unlimited=True), "no limit"),
        (Balance(used=3), "an unknown amount"),
    ],
)
def test_a_balance_in_words(balance: Balance, words: str) -> None:
    assert balance_words(balance) == words


def test_what_was_spent_is_known_from_two_balances_alone() -> None:
    assert spent(Balance(used=1.0), Balance(used=1.5)) == 0.5
    assert spent(Balance(remaining=2.0), Balance(remaining=1.5)) == 0.5
    assert spent(Balance(used=1.0), None) == spent(None, None) == spent(Balance(used=2.0), Balance(used=1.0)) == 0.0
