"""Running a command: its event loop, Ctrl-C, and errors as one line and an exit code."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import sys
import threading
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer

from tutuclient import errors
from tutuclient.cli.output import end_interrupted_line, print_error, sanitize
from tutuclient.errors import TutuError, printable

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

T = TypeVar("T")

INTERRUPTED = 130
DISK: Final = 74
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})
_EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.ConfigError, 2),
    (errors.MediaError, 2),
    (errors.ImageDownloadError, 8),
    (errors.NoImageError, 8),
    (errors.SoundError, 8),
    (errors.APIResponseValidationError, 8),
    (errors.AuthenticationError, 3),
    (errors.PermissionDeniedError, 3),
    (errors.InsufficientQuotaError, 3),
    (errors.BadRequestError, 4),
    (errors.NotFoundError, 4),
    (errors.ConflictError, 4),
    (errors.PayloadTooLargeError, 4),
    (errors.UnprocessableEntityError, 4),
    (errors.RateLimitError, 5),
    (errors.APIConnectionError, 6),
)
_UNKNOWN = 7
# For these the outcome does not matter: something has to be changed first.
_DECIDED = frozenset({2, 3, 4, 8})


def new_runner() -> asyncio.Runner:
    """Return a runner: uvloop's when it is installed (extra ``speed``), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on an event loop of its own. Ctrl-C cancels it, which closes its connections."""
    with new_runner() as runner:
        try:
            # The first Ctrl-C cancels the coroutine, and KeyboardInterrupt is raised when that has ended:
            # https://docs.python.org/3/library/asyncio-runner.html#handling-keyboard-interruption.
            return runner.run(work)
        except KeyboardInterrupt:
            # A name look-up in a thread cannot be cancelled, and Python would wait for it.
            leaving = threading.Timer(1.0, os._exit, [INTERRUPTED])
            leaving.daemon = True
            leaving.start()
            raise


@contextmanager
def reporting_errors(*, debug: bool, writes_a_batch: bool = False) -> Generator[None]:
    """Turn any exception into one line on stderr and an exit code; one of its own where a batch meets a full disk."""
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        end_interrupted_line()
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has gone, as ``head`` does; Python would complain of it once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except Exception as error:  # noqa: BLE001  (a traceback is for those who ask for it, with --debug)
        report_error(error, debug=debug)
        raise typer.Exit(DISK if writes_a_batch and is_full(error) else exit_code(error)) from None


def is_full(error: Exception) -> bool:
    """Return whether an error is one of the disk: it is full, or takes nothing."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in _FULL


def exit_code(error: Exception) -> int:
    """Return the exit code of an error, as ``tutuclient --help`` lists them."""
    code = next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1)
    return _UNKNOWN if code not in _DECIDED and getattr(error, "outcome", None) == "unknown" else code


def report_error(error: Exception, *, debug: bool) -> None:
    """Print in one line what went wrong and what to do, with a traceback before it under ``--debug``."""
    if debug:
        sys.stderr.write(sanitize("".join(traceback.format_exception(error))))
    # An ``APITimeoutError`` is a TimeoutError, and with that an OSError too.
    if isinstance(error, OSError) and not isinstance(error, TutuError):
        print_error(f"the output could not be written: {error.strerror or printable(str(error))}")
        return
    if not isinstance(error, TutuError):
        print_error(
            f"unexpected {type(error).__name__}: {printable(str(error))} (--debug shows where; please report it)"
        )
        return
    print_error(error_message(error))


def error_message(error: TutuError) -> str:
    """Return in one line what went wrong, and what to do."""
    words = [as_options(printable(error.message, 2000))]
    if isinstance(error, errors.NotFoundError) and not _is_about_models(error):
        words.append("(tutuclient models lists what there is)")
    elif isinstance(error, errors.InternalServerError):
        words.append("(an error of the relay: try again later)")
    elif isinstance(error, errors.RateLimitError) and error.retry_after:
        words.append(f"(the relay asks to wait {error.retry_after:g} s)")
    # A GET costs nothing, so nobody has to look into the relay's log for one.
    if error.outcome == "unknown" and "billed" not in error.message and not _was_a_get(error):
        words.append("(it may have been done and billed: check the relay's log before you repeat it)")
    if error.attempts > 1:
        words.append(f"[{error.attempts} attempts]")
    if error.request_id and error.request_id not in error.message:
        words.append(f"[request id {printable(error.request_id, 200)}]")
    return " ".join(words)


def _is_about_models(error: errors.NotFoundError) -> bool:
    """Return whether the list of models itself was not found."""
    return error.message.startswith("GET /models ")


def _was_a_get(error: TutuError) -> bool:
    """Return whether the call was a GET, which costs nothing."""
    response = getattr(error, "response", None)
    return error.message.startswith("GET ") or (response is not None and response.asked[0] == "GET")


def as_options(message: str) -> str:
    """Return a message with command line options for Python keywords: ``--max-side 2048`` for ``max_side=2048``."""
    # Errors are written for programs; a person at the command line has options in place of keywords.
    message = _IN_PYTHON.sub("--api-key KEY --base-url URL", message)
    message = re.sub(
        r"(?<![\w.])(?:(api_key|base_url|max_side|max_wait|timeout)=(\d+|…)?|(api_key|base_url|max_side)(?![\w(]))",
        lambda found: f"--{(found[1] or found[3]).replace('_', '-')}{f' {found[2]}' if found[2] else ''}",
        message,
    )
    message = _FOR_PYTHON.sub(_left_out, message)
    return _SWITCHES.sub(lambda found: f"--{found[1].replace('_', '-')}", message)


_IN_PYTHON = re.compile(r"TutuClient\(api_key, base_url\)")
_SWITCHES = re.compile(r"(?<![\w.])(allow_change|dedupe|overwrite|resend_unknown|retry_failed)=True")
_FOR_PYTHON = re.compile(
    r"; pass default_query=[^;]*|: \.body has all of it|; what came is in \.partial|leave it out \(or pass None\) to"
)


def _left_out(found: re.Match[str]) -> str:
    """Return what is left of advice that is for Python only."""
    return "" if found[0].startswith((";", ":")) else "leave it out to"
