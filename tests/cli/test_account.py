"""models, for people and for programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Done, Terminal, one_line
from tutuclient.testing import Server, raw

if TYPE_CHECKING:
    from collections.abc import Callable


def test_models_in_a_pipe_are_one_a_line(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(raw(200, b'{"data": [{"id": "gpt-4o-mini"}, {"id": "gpt-4o"}]}'))
    assert tutu("models") == (0, "gpt-4o\ngpt-4o-mini\n", "")


def test_models_as_json(tutu: Callable[..., Done]) -> None:
    listed = tutu("models", "--json").json
    assert {"id": "gpt-4o", "owned_by": "openai", "endpoints": ["openai"]} in listed["models"]
    assert listed["attempts"] == 1


def test_one_model(tutu: Callable[..., Done]) -> None:
    assert tutu("models", "gpt-4o") == (0, "gpt-4o\n", "")
    described = tutu("models", "gpt-4o", "--json").json
    assert (described["id"], described["owned_by"], described["attempts"]) == ("gpt-4o", "openai", 1)
    assert described["request_id"]


def test_a_model_that_is_listed_and_not_described_is_shown_as_it_is_listed(
    tutu: Callable[..., Done], relay: Server
) -> None:
    assert tutu("models", "gpt-4o-image", "--json").json["owned_by"] == "custom"
    assert [seen.path for seen in relay.requests] == ["/v1/models/gpt-4o-image", "/v1/models"]


def test_a_model_that_is_not_there(tutu: Callable[..., Done]) -> None:
    done = tutu("models", "gpt-99")
    assert (done.code, done.out) == (4, "")
    assert "(tutuclient models lists what there is)" in one_line(done.err)


def test_no_models(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(raw(200, b'{"object":"list","data":[]}'))
    assert tutu("models") == (0, "", "note: the relay lists no models for this key\n")


@pytest.mark.slow
def test_a_terminal_shows_models_as_a_table() -> None:
    with Terminal("models", NO_COLOR="1") as terminal:
        assert terminal.end() == 0
    assert re.search(r"gpt-4o-image +custom +openai", terminal.shown)


def test_the_balance_for_people_and_for_programs(tutu: Callable[..., Done], relay: Server) -> None:
    relay.account.balance = 12.5
    assert tutu("balance") == (0, "12.5 USD left, 0 USD used\n", "")
    told = tutu("balance", "--json").json
    assert (told["remaining"], told["limit"], told["unit"], told["unlimited"]) == (12.5, 12.5, "USD", False)
    relay.account.unlimited = True
    assert tutu("balance").out == "no limit, 0 USD used\n"


def test_a_balance_that_ends_or_is_not_told(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(raw(200, b'{"hard_limit_usd": 5, "access_until": 1800000000}'), raw(200, b"{}"))
    assert tutu("balance").out == "the relay does not say what is left, ends 2027-01-15 08:00 UTC\n"


def test_a_relay_without_billing_endpoints(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(*[raw(404, b'{"error": {"message": "Invalid URL"}}')] * 2)
    assert tutu("balance").code == 4


@pytest.mark.slow
def test_a_narrow_terminal_cuts_no_name() -> None:
    with Terminal("models", NO_COLOR="1", COLUMNS="30") as terminal:
        assert terminal.end() == 0
        assert "gpt-3.5-turbo-instruct" in terminal.plain.split()
