"""A report, written: the page, the records in pieces, the figures, and then in place of the one before."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from collections import Counter
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from tutuclient import __version__
from tutuclient.batch.folder import config, events, results
from tutuclient.batch.lines import JournalError, encodable
from tutuclient.batch.report.figures import Figures, course
from tutuclient.batch.report.thumbnails import Thumbnails
from tutuclient.errors import ConfigError, printable
from tutuclient.types.json import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tutuclient.batch.folder import RunConfig
    from tutuclient.batch.lines import Record

PIECE: Final = 1000
"""Records in a file of data."""

MOST_THUMBNAILS: Final = 20_000

_PAGE: Final = Path(__file__).parent / "page"
_MARK: Final = b'<meta name="generator" content="tutuclient batch report">'
_MARK_WITHIN: Final = 1000
_TEXT_CHARS: Final = 20_000
_EXACT: Final = 2**53  # Whole numbers beyond are rounded by JavaScript.
_STALE_S: Final = 3600
_MAGIC: Final = frozenset("*?[")
# What a run is about. Other fields of the request are not shown: they are whatever the caller put there.
_ABOUT: Final = ("model", "detail", "max_side", "max_tokens", "temperature")
# In a string of JavaScript that holds JSON, whose control characters are escaped already. The two separators end a line
# in older browsers; "<" is escaped so that no tag stands in the file at all.
_IN_SCRIPT: Final = str.maketrans(
    {"\\": "\\\\", "'": "\\'", "<": "\\x3c", "\u2028": "\\u2028", "\u2029": "\\u2029", "\x7f": "\\x7f"}
)


def write_report(
    run: Path, output: Path | None = None, *, root: Path | None = None, thumbnails: int = MOST_THUMBNAILS
) -> Path:
    """Write the report of a run, which may be going on: what is written so far is in it.

    Args:
        run: The run's folder.
        output: The folder of the report; ``report`` in the run's folder unless given. A report that is there is
            replaced when the new one is whole; a folder that holds anything else is left alone.
        root: What the names of items are relative to, for their thumbnails; unless given the folder that the command
            line was given, or the working directory.
        thumbnails: How many thumbnails are made at most; the others of a larger run are shown as text alone.

    Returns:
        The path of its ``index.html``.

    Raises:
        ConfigError: The folder holds no run, or the report cannot stand where it is to be.
        JournalError: The journal cannot be read, or the report cannot be written.
    """
    settings = config(run)
    named = run / "report" if output is None else output
    try:
        target = named.resolve()
        _check(run.resolve(), target)
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        part = _beside(target)
        try:
            shutil.copytree(_PAGE, part)
            with Thumbnails(
                part / "thumbs", _root_of(run) if root is None else root, target / "thumbs", thumbnails
            ) as thumbs:
                summary = _write_rows(run, part / "data", str(settings.config.get("task", "ask")), thumbs)
            summary |= {"course": course(events(run)), "images_at": _relative(run / "images", target)}
            _write_script(part / "data" / "summary.js", "summary(", summary | _about(run, settings))
            _replace(target, part)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise JournalError(
            f"the report could not be written to {printable(str(named))} ({error.strerror or error}); the run "
            "itself is as it was"
        ) from error
    return named / "index.html"


def _root_of(run: Path) -> Path:
    """Return what the names of items are relative to: what the command line noted in the run's folder, or nothing."""
    try:
        place = json.loads((run / "command.json").read_bytes())["place"]
        [(kind, name)] = place.items()
        path = Path(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Path()
    if kind == "list":
        return path.parent
    return Path(*takewhile(lambda part: not _MAGIC & set(part), path.parts)) if kind == "glob" else path


# --- The folder ---


def _check(run: Path, target: Path) -> None:
    """Check that what stands at the target, if anything, is a report."""
    if run.is_relative_to(target):
        raise ConfigError(f"the report cannot be written to {printable(str(target))}: the run is in it")
    if target.exists() and not (_is_report(target) or (target.is_dir() and not any(target.iterdir()))):
        raise ConfigError(
            f"{printable(str(target))} is there, and is no report: it would be replaced; choose another folder"
        )


def _is_report(folder: Path) -> bool:
    try:
        with (folder / "index.html").open("rb") as file:
            return _MARK in file.read(_MARK_WITHIN)
    except OSError:
        return False


def _beside(target: Path) -> Path:
    """Return a new name beside the target, so that renaming stays within a file system."""
    return target.with_name(f".{target.name}-{secrets.token_hex(4)}.part")


def _sweep(target: Path) -> None:
    """Remove what writers left that were killed."""
    ours = re.compile(rf"\.{re.escape(target.name)}-[0-9a-f]{{8}}\.part")
    for left in target.parent.iterdir():
        with contextlib.suppress(OSError):
            if ours.fullmatch(left.name) and left.stat().st_mtime < time.time() - _STALE_S:
                shutil.rmtree(left, ignore_errors=True)


def _replace(target: Path, part: Path) -> None:
    """Replace the report that may be there by a new one."""
    if not target.exists():
        part.rename(target)
        return
    old = _beside(target)
    target.rename(old)
    try:
        part.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


# --- Data ---


def _write_rows(run: Path, data: Path, task: str, thumbs: Thumbnails) -> dict[str, Any]:
    """Write the records in pieces, one of them in memory at a time, and return the figures."""
    data.mkdir()
    figures = Figures(orders=task != "ask")
    codes: list[str] = []
    marks: Counter[str] = Counter()
    for number, records in enumerate(_pieces(results(run))):
        kinds = [figures.add(record, number * PIECE + at) for at, record in enumerate(records)]
        before = thumbs.make(record.id for record in records) if task != "generate" else [""] * len(records)
        images = [_images(run, record) for record in records]
        after = iter(thumbs.make(path for paths in images for path in paths))
        rows = [
            _row(record, kind, thumb, list(zip([path.name for path in paths], after, strict=False)))
            for record, kind, thumb, paths in zip(records, kinds, before, images, strict=True)
        ]
        marks.update(thumb for thumb in before if thumb.startswith("!"))
        _write_script(data / f"{number}.js", f"rows({number},", rows)
        codes.append("".join(map(_code, kinds)))
    return {**figures.summary(), "piece": PIECE, "codes": codes, "marks": marks}


def _about(run: Path, settings: RunConfig) -> dict[str, Any]:
    config = settings.config
    return {
        "name": encodable(run.resolve().name),
        "written": round(time.time()),
        "version": __version__,
        "task": str(config.get("task", "ask")),
        "prompt": _shown(config.get("prompt")),
        "about": {name: _shown(config[name]) for name in _ABOUT if config.get(name) is not None},
    }


def _pieces(records: Iterator[Record]) -> Iterator[list[Record]]:
    while piece := list(islice(records, PIECE)):
        yield piece


def _code(kind: int) -> str:
    """Return a kind of item as one character, from "0" on."""
    return chr(ord("0") + kind)


def _images(run: Path, record: Record) -> list[Path]:
    """Return the images that an item made, as far as their names are names within the folder."""
    names = [name for name, _ in record.img if name not in {"", ".", ".."} and Path(name).name == name]
    # Absolute, as Thumbnails takes other names as relative to where the items are.
    return [run.absolute() / "images" / name for name in names]


def _row(record: Record, kind: int, before: str, after: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return what the page shows of an item; what is empty is left out."""
    facts = {
        "t": record.t,
        "d": record.dur,
        "a": record.att,
        "i": record.tin,
        "o": record.tout,
        "st": record.st,
        "r": record.rid,
        "m": record.model,
        "f": record.fin,
        "c": record.cls,
        "e": record.err,
        "oc": record.outcome,
        "task": record.task,
        "b": before,
        "n": list(after),
    }
    row: dict[str, Any] = {"id": _cut(record.id), "k": kind, **{name: value for name, value in facts.items() if value}}
    if record.res is not None:
        row["x"] = _shown(record.res)
    return row


def _cut(text: str) -> str:
    cut = len(text) - _TEXT_CHARS
    return text if cut <= 0 else f"{text[:_TEXT_CHARS]}… ({cut:,} more characters are in the journal)"


def _shown(value: Any) -> Any:
    """Return a value as the page shows it: whole where it is not too long, and with numbers that stay what they are."""
    if isinstance(value, str):
        return _cut(value)
    text = msgspec.json.encode(value).decode()
    return _exact(value) if len(text) <= _TEXT_CHARS else _cut(text)


def _exact(value: Any) -> Any:
    if isinstance(value, int) and abs(value) > _EXACT:
        return str(value)
    if is_object(value):
        return {name: _exact(each) for name, each in value.items()}
    return [_exact(each) for each in value] if is_list(value) else value


def _write_script(path: Path, call: str, value: Any) -> None:
    """Write JSON text as the last argument of a call; JSON by itself would be JavaScript, but for ``__proto__``."""
    text = msgspec.json.encode(value).decode().translate(_IN_SCRIPT)
    path.write_text(f"tutuReport.{call}'{text}');\n", encoding="utf-8", newline="\n")


def _relative(folder: Path, target: Path) -> str:
    """Return the address of a folder as the page has to write it; "" where there is none, as on another drive."""
    try:
        return quote(Path(os.path.relpath(folder.resolve(), target)).as_posix(), errors="surrogateescape") + "/"
    except ValueError:
        return ""
