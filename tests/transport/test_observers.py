from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tutuclient import CallListener, ObservedCall, TutuClient, user
from tutuclient.settings import Settings
from tutuclient.transport import Call
from tutuclient.transport.observers import EVERYWHERE, observe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient.testing import Server


@pytest.fixture
def everywhere() -> Iterator[list[ObservedCall]]:
    seen: list[ObservedCall] = []

    def observer(call: ObservedCall) -> CallListener:
        seen.append(call)
        return CallListener()

    EVERYWHERE.append(observer)
    yield seen
    EVERYWHERE.remove(observer)


def settings(**more: Any) -> Settings:
    return Settings.make(KEY, "https://relay.example/v1", user_agent="t", **more)


def test_a_call_without_listeners_is_not_observed() -> None:
    assert observe(Call(settings(), "GET", "/models")) is None
    assert observe(Call(settings(observers=[lambda _: None]), "GET", "/models")) is None


def test_the_log_listens_when_its_level_is_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tutuclient"):
        assert observe(Call(settings(), "GET", "/models")) is not None


async def test_observers_of_all_clients_see_each_of_them(server: Server, everywhere: list[ObservedCall]) -> None:
    for model in ("a", "b"):
        async with TutuClient(KEY, server.base_url) as client:
            await client.chat.completions.create(model=model, messages=[user("hi")])
    assert [call.model for call in everywhere] == ["a", "b"]
    assert len(everywhere[0].observers) == 1
