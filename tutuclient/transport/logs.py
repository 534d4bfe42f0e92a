"""The log of calls: one line a call at INFO, one an attempt at DEBUG, on the logger "tutuclient".

A line has what was asked, of which model, and how it went. It never has a key, a prompt, an image or a query, nor the
text of an error, in which relays quote what they were sent.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from tutuclient._logger import logger
from tutuclient.errors import TutuError, printable
from tutuclient.transport.observing import CallListener

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient._meta import Meta
    from tutuclient.errors import Outcome
    from tutuclient.transport.observing import CallEnd, How, ObservedCall

VARIABLE: Final = "TUTU_LOG"
_LEVELS: Final = {"info": logging.INFO, "debug": logging.DEBUG}
_OFF: Final = frozenset({"", "0", "off", "none", "false"})
_LONGEST = 120
# What needs no quotes to be told from the words around it.
_PLAIN = re.compile(r"[\w.:/@+-]+", re.ASCII)


class Handler(logging.StreamHandler[Any]):
    """Writes the lines to stderr, unless the program has handlers of its own, which get them anyway."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)-5s %(name)s: %(message)s", "%H:%M:%S"))
        self.addFilter(lambda _: not logging.getLogger().handlers)


def start(*variables: str, getenv: Callable[[str], str | None] = os.getenv) -> None:
    """Begin to write the log to stderr, if one of the variables asks for it; the first that is set counts.

    A value that is not known is said once, as a warning: a program must not end over how it is watched.
    """
    for variable in variables:
        value = getenv(variable)
        if value is not None:
            break
    else:
        return
    word = value.strip().lower()
    level = _LEVELS.get(word)
    if level is None:
        if word not in _OFF and (variable, word) not in _REPORTED:
            _REPORTED.add((variable, word))
            logger.warning("%s=%s is not known: write info, debug or off; no log is written", variable, word_of(word))
        return
    if not any(isinstance(handler, Handler) for handler in logger.logger.handlers):
        logger.logger.addHandler(Handler())
        logger.setLevel(level)


_REPORTED: set[tuple[str, str]] = set()


def word_of(text: str) -> str:
    """Return a text of others as one word of a line: what could forge a line, or another word, is escaped or quoted."""
    shown = printable(text, _LONGEST)
    return shown if _PLAIN.fullmatch(shown) else f'"{shown.replace(chr(34), chr(39))}"'


class LogLines(CallListener):
    """Writes the lines of one call."""

    def __init__(self, call: ObservedCall) -> None:
        self._call = call
        self._attempt = 0
        self._began = 0.0
        self._first_s: float | None = None
        self._usage: Any = None

    @property
    def _what(self) -> str:
        call = self._call
        model = call.model
        return f"{call.method} {printable(call.path, _LONGEST)}{f' model={word_of(model)}' if model else ''}"

    def attempt_begins(self, number: int, headers: dict[str, str]) -> None:
        """Note when it began."""
        del headers
        self._attempt, self._began = number, time.monotonic()

    def attempt_ends(self, how: How, error: BaseException | None, meta: Meta) -> None:
        """Write the line of an attempt."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s attempt=%d outcome=%s%s time=%.3fs",
                self._what,
                self._attempt,
                _outcome(how, error),
                self._answered_by(meta, error),
                time.monotonic() - self._began,
            )

    def usage(self, usage: Any) -> None:
        """Keep it for the end."""
        self._usage = usage

    def first_content(self, elapsed_s: float) -> None:
        """Keep it for the end."""
        self._first_s = elapsed_s

    def ends(self, end: CallEnd) -> None:
        """Write the line of the call."""
        first = "" if self._first_s is None else f" first_content={self._first_s:.3f}s"
        logger.info(
            "%s outcome=%s%s attempts=%d%s%s time=%.3fs",
            self._what,
            # An order of an image that was left may be billed all the same.
            _outcome(end.how, end.error, end.outcome if self._call.makes_image else None),
            self._answered_by(end.meta, end.error),
            end.meta.attempts,
            _tokens(self._usage),
            first,
            end.elapsed_s,
        )

    def _answered_by(self, meta: Meta, error: BaseException | None) -> str:
        status = f" relay={word_of(self._call.masked(meta.relay))}" if meta.relay else ""
        status += f" status={meta.status_code}" if meta.status_code else ""
        name = meta.request_id or getattr(error, "request_id", None)
        return f"{status} request_id={word_of(self._call.masked(str(name)))}" if name else status


def _outcome(how: How, error: BaseException | None, left: Outcome | None = None) -> str:
    if how != "failed" or error is None:
        return how if left is None or how == "answered" else f"{how}({left})"
    done = error.outcome if isinstance(error, TutuError) else None
    return f"{type(error).__name__}{f'({done})' if done else ''}"


def _tokens(usage: Any) -> str:
    """Return how many tokens went in and came out, as far as the relay says; all kinds of usage have these names."""
    given, made = getattr(usage, "input_tokens", None), getattr(usage, "output_tokens", None)
    if given is None and made is None:
        return ""
    return f" tokens={'?' if given is None else given}{'' if made is None else f'+{made}'}"
