"""Who observes a call: the client's observers, those of all clients, and the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from tutuclient._logger import logger
from tutuclient.transport.logs import LogLines
from tutuclient.transport.observing import Observation, ObservedCall

if TYPE_CHECKING:
    from tutuclient.settings import Observer
    from tutuclient.transport.call import Call
    from tutuclient.transport.observing import CallListener

EVERYWHERE: Final[list[Observer]] = []
"""Observers of the calls of all clients, beside those of the settings."""


def observe(call: Call) -> Observation | None:
    """Show a call that begins to its observers; return what tells their listeners, or None when there are none."""
    observers = (*call.settings.observers, *EVERYWHERE)
    seen = ObservedCall(call, observers)
    # The log comes first: its lines are written while the span of a trace is still the current one.
    listeners: list[CallListener] = [LogLines(seen)] if logger.isEnabledFor(logging.INFO) else []
    for observer in observers:
        try:
            listener = observer(seen)
        except Exception as error:  # noqa: BLE001  (whoever watches a call must not fail it)
            logger.warning("%s %s: an observer raised %s", seen.method, seen.path, type(error).__name__)
        else:
            if listener is not None:
                listeners.append(listener)
    return Observation(call, listeners) if listeners else None
