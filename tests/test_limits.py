"""What ``tutuclient.limits`` promises: no storm of retries. The rest is in ``transport.admission``."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tutuclient.limits import RetryBudget

COST, TIMEOUT, REWARD = RetryBudget.COST, RetryBudget.COST_OF_TIMEOUT, RetryBudget.REWARD


def test_a_budget_is_spent_and_earned_as_in_botocore() -> None:
    budget = RetryBudget(2)
    assert (budget.left, budget.take(COST), budget.left) == (10, True, 5)
    assert (budget.take(TIMEOUT), budget.left) == (False, 5)
    budget.put_back(COST)
    assert (budget.take(TIMEOUT), budget.left) == (True, 0)
    assert not budget.take(COST)
    for earned in range(1, 6):
        assert not budget.take(COST)
        budget.put_back(0)
        assert budget.left == earned * REWARD
    assert budget.take(COST)


def test_a_full_budget_earns_nothing() -> None:
    budget = RetryBudget(1)
    budget.put_back(TIMEOUT)
    budget.put_back(0)
    assert budget.left == COST


def test_what_costs_nothing_is_always_allowed() -> None:
    assert RetryBudget(0).take(0)
    assert not RetryBudget(0).take(COST)


def test_no_limit_is_no_limit() -> None:
    budget = RetryBudget(None)
    assert all(budget.take(TIMEOUT) for _ in range(1000))
    budget.put_back(COST)
    assert budget.left is None


@given(steps=st.lists(st.tuples(st.booleans(), st.sampled_from([0, COST, TIMEOUT])), max_size=60))
def test_a_budget_stays_within_its_bounds(steps: list[tuple[bool, int]]) -> None:
    budget = RetryBudget(3)
    for spend, cost in steps:
        before = budget.left or 0
        if spend:
            assert budget.take(cost) is (cost <= before)
        else:
            budget.put_back(cost)
        assert 0 <= (budget.left or 0) <= 15
