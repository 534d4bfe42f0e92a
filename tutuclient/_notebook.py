"""Something that is shown once in a notebook's cell, and again in the same place as it grows.

IPython is asked only where it runs already: it is neither imported nor needed. JupyterLab, VS Code and Colab show what
is displayed under an id, and replace it when the id comes again.

Source: https://jupyter-client.readthedocs.io/en/stable/messaging.html#update-display-data.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S: Final = 0.1
"""Seconds between two updates: a browser has to lay out what comes, and a notebook to send it."""


class Shown:
    """A place in the output of the cell that runs now.

    Args:
        every_s: Seconds between two updates; those in between are left out.
    """

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._id = f"tutuclient-{os.urandom(8).hex()}"
        self._begun = False
        self._next = 0.0

    @staticmethod
    def is_possible() -> bool:
        """Return whether this runs in a notebook's kernel."""
        return getattr(_shell(), "kernel", None) is not None

    def update(self, draw: Callable[[], tuple[str, str]], *, last: bool = False) -> None:
        """Show what ``draw`` returns, HTML and text, unless too little time has passed; ``last`` is shown always."""
        now = time.monotonic()
        if now < self._next and not last:
            return
        page, words = draw()
        data, transient = {"text/html": page, "text/plain": words}, {"display_id": self._id}
        _shell().display_pub.publish(data, metadata={}, transient=transient, update=self._begun)
        self._begun, self._next = True, time.monotonic() + self._every_s


def _shell() -> Any:
    """Return the shell of IPython that this runs in, or None."""
    ipython: Any = sys.modules.get("IPython")
    get_ipython = getattr(ipython, "get_ipython", None)
    return None if get_ipython is None else get_ipython()
