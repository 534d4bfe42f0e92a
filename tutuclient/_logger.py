"""The logger "tutuclient", of which nothing is raised into the call that writes to it.

``logging`` passes on what a filter, a record factory or the ``emit`` of a handler raises, if that does not catch it
itself: https://docs.python.org/3/library/logging.html#exceptions-raised-during-logging. An answer that was paid for
must not be lost over a full disk or a queue of the log.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from typing import Any, Final


class Logger(logging.LoggerAdapter[logging.Logger]):
    """Writes to a logger by its name, and shows what that raises as ``logging`` does: on stderr, or nowhere.

    Args:
        name: The logger's name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name), {})

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write a line if the logger is enabled for its level; all other methods come here."""
        if not self.isEnabledFor(level):
            return
        try:
            # The line of code that a record names is that of whoever called this.
            kwargs.setdefault("stacklevel", 2)
            self.logger.log(level, msg, *args, **kwargs)
        except Exception:  # noqa: BLE001  (whatever a handler raises)
            if logging.raiseExceptions and sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]
                with contextlib.suppress(Exception):
                    sys.stderr.write(f"--- Logging error of {self.name} ---\n{traceback.format_exc()}")


logger: Final = Logger("tutuclient")
