"""Who observes a call: the client's observers, and those of all clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tutuclient.transport.observing import Observation, ObservedCall, logger

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
    listeners: list[CallListener] = []
    for observer in observers:
        try:
            listener = observer(seen)
        except Exception as error:  # noqa: BLE001  (whoever watches a call must not fail it)
            logger.warning("%s %s: an observer raised %s", seen.method, seen.path, type(error).__name__)
        else:
            if listener is not None:
                listeners.append(listener)
    return Observation(call, listeners) if listeners else None
