"""The log raises nothing into a call, whatever its handlers do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import TutuClient, user
from tutuclient._logger import Logger, logger
from tutuclient.testing import fails, says

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient.testing import Server

KEY = "sk-0123456789abcdefghij"
ASK: dict[str, Any] = {"model": "m", "messages": [user("hi")]}


class Full(logging.Handler):
    """A handler of the kind that does not catch what it raises."""

    def emit(self, record: logging.LogRecord) -> None:
        raise BlockingIOError(f"the queue is full: {record.levelname}")


@pytest.fixture(params=[logging.DEBUG, logging.INFO, logging.WARNING])
def _full(request: pytest.FixtureRequest) -> Iterator[None]:
    log = logging.getLogger("tutuclient")
    handler, level = Full(), log.level
    log.addHandler(handler)
    log.setLevel(request.param)
    yield
    log.removeHandler(handler)
    log.setLevel(level)


def refuse(*_: object) -> Any:
    raise ValueError("an observer that raises is logged too")


@pytest.mark.usefixtures("_full")
@pytest.mark.parametrize("options", [{}, {"observers": [refuse]}, {"on_usage": refuse}])
async def test_no_answer_is_lost_over_a_handler_that_raises(
    server: Server, capsys: pytest.CaptureFixture[str], options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    server.answers(fails(500, "no"), says("one"), says("one two"))
    async with TutuClient(KEY, server.base_url, max_retries=1, **options) as client:
        assert (await client.chat.completions.create(**ASK)).text == "one"
        async with client.chat.completions.stream(**ASK) as stream:
            assert [piece async for piece in stream.text()] == ["one", " two"]
    is_quiet = not options and request.node.callspec.params["_full"] == logging.WARNING
    assert ("--- Logging error of tutuclient ---" in capsys.readouterr().err) is not is_quiet


def test_nothing_is_shown_where_logging_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Logger("tutuclient.of_this_test")
    log.logger.addHandler(Full())
    log.warning("lost")
    assert "the queue is full: WARNING" in capsys.readouterr().err
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.warning("lost")
    assert capsys.readouterr().err == ""


def test_a_record_names_the_line_that_wrote_it(caplog: pytest.LogCaptureFixture) -> None:
    logger.warning("here %d", 1)
    assert (caplog.records[0].funcName, caplog.records[0].filename) == (
        "test_a_record_names_the_line_that_wrote_it",
        "test_logger.py",
    )
    assert caplog.records[0].getMessage() == "here 1"
