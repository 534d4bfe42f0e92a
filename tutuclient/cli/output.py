"""Output for people and for programs: sanitized text, notes, errors, JSON, and a spinner."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from tutuclient.errors import printable

if TYPE_CHECKING:
    from typing import Self

    from rich.progress import Progress

    from tutuclient.media.image import GeneratedImage
    from tutuclient.types import ChatCompletion, Usage


class _Line:
    """The state of stdout's current line.

    Attributes:
        open: The last text did not end it.
        closed: It was ended for that reason, and nothing came after.
    """

    open = False
    closed = False


def write(text: str) -> None:
    """Print text on stdout that is sanitized already."""
    if text:
        _Line.open, _Line.closed = not text.endswith("\n"), False
    sys.stdout.write(text)
    sys.stdout.flush()


def end_line() -> None:
    """End the line of streamed text, so that the next output begins a line of its own."""
    if _Line.open:
        write("\n")
        _Line.closed = True


def end_interrupted_line() -> None:
    """End the line after Ctrl-C, also behind the ``^C`` of a terminal, so that a prompt begins a new one."""
    end_line()
    if not _Line.closed and sys.stdin.isatty() and sys.stderr.isatty():
        sys.stderr.write("\n")
        sys.stderr.flush()
    _Line.closed = False


def note(text: str) -> None:
    """Print a note on stderr: what a person should know and no program needs."""
    Console(stderr=True).print(Text(f"note: {text}", "dim"), soft_wrap=True)


def print_error(text: str) -> None:
    """Print an error on stderr, in one line."""
    # Where there is no terminal, rich breaks lines at 80 columns unless told not to (Textualize/rich discussion 4188):
    # an error is one line, for people and for grep. A ``Text``, since rich reads [brackets] in a str as markup.
    Console(stderr=True).print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)


def print_dim(words: list[str | None]) -> None:
    """Print details on stderr in a dim line, such as how long a call took."""
    shown = " · ".join(printable(word, 200) for word in words if word)
    Console(stderr=True).print(Text(shown, "dim"), soft_wrap=True)


def print_times(started: float, *details: str | None) -> None:
    """Print on a terminal how long a call took, and details; ``started`` is of ``time.monotonic()``."""
    if sys.stderr.isatty():
        print_dim([f"{time.monotonic() - started:.1f} s", *details])


def sanitize(text: str) -> str:
    """Return text that is safe to print: newlines and tabs stay, carriage returns go, other controls are escaped."""
    # A carriage return would let an answer overwrite what was printed before it on the same line.
    lines = text.replace("\r", "").split("\n")
    return "\n".join("\t".join(printable(cell, len(cell)) for cell in line.split("\t")) for line in lines)


def last_line(text: str) -> str:
    """Return the last line that is not empty, without its Markdown."""
    lines = [line.strip("> \t`") for line in text.splitlines()]
    return printable(next((line for line in reversed(lines) if line), ""), 200)


def human_size(size: int) -> str:
    """Return a size for people: 12.3 kB, 4.5 MB."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"  # noqa: PLR2004  (decimal units)


def location_of(image: GeneratedImage) -> str:
    """Return where to find an image that was not saved."""
    return printable(image.url, 4000) if image.url else f"its data are in the answer ({image.mime})"


def image_fields(image: GeneratedImage) -> dict[str, Any]:
    """Return an image's fields for ``--json``."""
    return {"url": image.url, "mime": image.mime, "size_bytes": image.size_bytes}


def call_fields(request_id: str | None, attempts: int, started: float) -> dict[str, Any]:
    """Return a call's fields for ``--json``; ``started`` is of ``time.monotonic()``."""
    return {"request_id": request_id, "attempts": attempts, "elapsed": round(time.monotonic() - started, 3)}


def usage_fields(usage: Usage | None) -> dict[str, Any] | None:
    """Return the usage's fields for ``--json``; None when the relay reports none."""
    names = ("prompt_tokens", "completion_tokens", "total_tokens", *(("seconds",) if hasattr(usage, "seconds") else ()))
    return None if usage is None else {name: getattr(usage, name) for name in names}


def answer_fields(answer: ChatCompletion, started: float, images: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an answer's fields for ``--json``."""
    return {
        "text": answer.text,
        "images": images,
        "usage": usage_fields(answer.usage),
        "finish_reason": answer.finish_reason,
        "model": answer.model or None,
        **call_fields(answer.meta.request_id, answer.meta.attempts, started),
    }


def print_json(value: dict[str, Any]) -> None:
    """Print an object in one line. Characters that JSON allows and a terminal might obey are escaped."""
    # JSON can be written in ASCII, so that no program has to guess the encoding of a pipe.
    utf = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(value, ensure_ascii=not utf)
    unsafe = r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
    write(re.sub(unsafe, lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


class Spinner:
    """A line on stderr that shows what is waited for, and for how long. Nothing where stderr is not a terminal."""

    def __init__(self, what: str) -> None:
        self._progress: Progress | None = None
        self._what = what

    def __enter__(self) -> Self:
        console = Console(stderr=True)
        # Not ``isatty`` alone: rich also knows terminals that cannot redraw a line (TERM=dumb).
        if console.is_interactive:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.table import Column

            words = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1))
            self._progress = Progress(
                SpinnerColumn(),
                TimeElapsedColumn(),
                words,
                console=console,
                expand=True,
                transient=True,
                # Otherwise rich replaces sys.stdout while the spinner turns (rich.live.Live.start), by a proxy that
                # keeps streamed text back until its line ends (rich.file_proxy.FileProxy.write).
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._progress.add_task(printable(self._what, 200), total=None)
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def update(self, what: str) -> None:
        """Change the text."""
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], description=what)

    def stop(self) -> None:
        """Remove the line."""
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.stop()
