"""What a run is of: a folder, a glob, image files, URLs, or a list (.jsonl, .csv, .txt), read as the run needs it.

A list is checked to its end before anything is sent: a line that cannot be read should be known before half of the
lines are paid for.
"""

from __future__ import annotations

import heapq
import os
from collections import Counter
from contextlib import suppress
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from tutuclient.cli.batch.lists import SUFFIXES, Entry, read_list
from tutuclient.errors import ConfigError, printable
from tutuclient.media.kinds import IMAGE_ENDINGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from collections.abc import Set as AbstractSet

Place: TypeAlias = dict[str, str]

_IMAGES: Final = frozenset(f".{ending}" for ending in IMAGE_ENDINGS.split("|"))
_MAGIC: Final = frozenset("*?[")
_AT_ONCE: Final = 256
_SHOWN: Final = 5
_ONE: Final = "give one folder, one glob in quotes or one list, or several image files"


class Source(NamedTuple):
    """What a run is of.

    Attributes:
        what: It, in words.
        place: What it depends on besides its items; a run that goes on has to be of the same place.
        total: How many items there are.
        notes: What a person should know of it.
        read: Returns the items, from the first.
    """

    what: str
    place: Place
    total: int
    notes: list[str]
    read: Callable[[], Iterator[Entry]]

    def items(self) -> AsyncIterator[Any]:
        """Yield what ``client.map`` takes. Disks are slow, so it is read in a thread, a few hundred at a time."""
        return _in_batches(self.read())

    def sample(self, count: int) -> list[Entry]:
        """Return so many items at random: always the same, and among those of a larger sample.

        They are those with the smallest digests of their names, so that a second sample of a run asks nothing again.
        """
        return heapq.nsmallest(count, self.read(), key=lambda entry: _digest(entry.name))


def open_source(names: list[str], base: Path, run: Path, needs: AbstractSet[str]) -> Source:
    """Find what a run is of, and count it.

    Args:
        names: The arguments of the command.
        base: The folder that they are relative to.
        run: The run's folder, which is left out.
        needs: What each item has to have of its own: "image", "prompt" or both.

    Raises:
        ConfigError: There is nothing, or it cannot be read; nothing was sent.
    """
    name, path, makes = names[0], absolute(names[0], base), "image" not in needs
    kind = _kind(path)
    if len(names) == 1 and kind == "file" and path.suffix.lower() in SUFFIXES:
        return _listed(name, path, needs)
    if makes:
        found = "is no list" if kind else "is not there"
        raise ConfigError(f"{printable(name, 80)} {found}: --generate takes a list of prompts (.txt, .jsonl, .csv)")
    if len(needs) > 1:
        raise ConfigError(f"there is no prompt: it comes last, in quotes, behind {printable(name, 80)}")
    if len(names) > 1 or kind == "file" or _is_url(name):
        return _files(names, base)
    if kind == "folder":
        return _folder(name, path, run)
    if _MAGIC & set(name):
        return _glob(name, base, run)
    raise ConfigError(f"there is no file or folder {printable(name)}: {_ONE}")


def _kind(path: Path) -> str:
    with suppress(OSError, ValueError):  # Names that are too long, or hold a NUL.
        return "folder" if path.is_dir() else "file" if path.is_file() else ""
    return ""


def absolute(name: str, base: Path) -> Path:
    """Return a path without dots and without ``~``; symbolic links stay, since they are the names that were given."""
    return Path(os.path.abspath(base / Path(name).expanduser()))  # noqa: PTH100  (``resolve`` would follow links)


def _is_url(name: str) -> bool:
    return name.startswith(("http://", "https://", "data:"))


def _digest(name: str) -> bytes:
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()


async def _in_batches(entries: Iterator[Entry]) -> AsyncIterator[Any]:
    from tutuclient._threads import in_thread

    while batch := await in_thread(lambda: list(islice(entries, _AT_ONCE))):
        for entry in batch:
            yield entry.item


def _listed(name: str, path: Path, needs: AbstractSet[str]) -> Source:
    found = read_list(path, needs)
    what = f"{_count(found.total, 'item' if 'image' in needs else 'prompt')} of {printable(name)}"
    return Source(what, {"list": str(path)}, found.total, found.notes, found.read)


# --- Files that are named one by one ---


def _files(names: list[str], base: Path) -> Source:
    """Return the source of images that were named one by one, mostly by the shell for a glob."""
    paths = {name: absolute(name, base) for name in names if not _is_url(name)}
    for name, path in paths.items():
        kind = _kind(path)
        if kind == "folder":
            raise ConfigError(f"{printable(name)} is a folder, and there are others beside it: {_ONE}")
        if not kind:
            raise ConfigError(f"there is no file {printable(name)}: {_ONE}; the prompt comes last, in quotes")
        if path.suffix.lower() in SUFFIXES and len(names) > 1:
            raise ConfigError(f"{printable(name)} is a list, and there are others beside it: {_ONE}")
    unique = list(dict.fromkeys(names))

    def read() -> Iterator[Entry]:
        for name in unique:
            path = paths.get(name)
            if path is None:
                yield Entry(name, name)
            else:
                yield _entry(path, base)

    return Source(_count(len(unique), "image"), {"files": str(base)}, len(unique), [], read)


def _entry(path: Path, root: Path) -> Entry:
    """Return a file, named by its path below a root, so that the name stays when the root moves."""
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return Entry(name, (name, path))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# --- Folders and globs ---


class _Seen:
    """What a walk has come across and left out."""

    def __init__(self) -> None:
        self.others: Counter[str] = Counter()
        self.links = 0
        self.unreadable: list[str] = []

    def notes(self) -> list[str]:
        notes: list[str] = []
        if self.others:
            kinds = ", ".join(f"{printable(suffix)} {count}" for suffix, count in self.others.most_common(_SHOWN))
            more = sum(self.others.values())
            notes.append(f"{_count(more, 'other file')} left out ({kinds}); a glob in quotes takes whatever it matches")
        if self.links:
            notes.append(f"{_count(self.links, 'symbolic link')} to folders left out: name their targets")
        if self.unreadable:
            shown = "; ".join(printable(each) for each in self.unreadable[:_SHOWN])
            notes.append(f"{_count(len(self.unreadable), 'folder')} could not be read: {shown}")
        return notes


def _folder(name: str, root: Path, run: Path) -> Source:
    seen = _Seen()
    total = sum(1 for _ in _walk(root, run, seen))
    if seen.unreadable and not total:
        raise ConfigError(f"the folder {printable(seen.unreadable[0])}")
    if not total:
        held = ", ".join(printable(suffix) for suffix, _ in seen.others.most_common(_SHOWN)) or "nothing"
        raise ConfigError(
            f"the folder {printable(name)} holds no image (no {', '.join(sorted(_IMAGES))}), but {held}; a glob in "
            "quotes takes whatever it matches"
        )

    def read() -> Iterator[Entry]:
        for path in _walk(root, run, _Seen()):
            yield _entry(path, root)

    return Source(f"{_count(total, 'image')} in {printable(name)}", {"folder": str(root)}, total, seen.notes(), read)


def _walk(root: Path, run: Path, seen: _Seen) -> Iterator[Path]:
    """Yield the images of a folder and of those within it, by name; hidden ones and links to folders are left out."""
    stack: list[Iterator[os.DirEntry[str]]] = [_entries(root, seen)]
    left_out = str(run)
    while stack:
        for entry in stack[-1]:
            if entry.name.startswith(".") or entry.path == left_out:
                continue
            if entry.is_dir(follow_symlinks=False):
                stack.append(_entries(Path(entry.path), seen))
                break
            if entry.is_symlink() and entry.is_dir():
                seen.links += 1
            elif (suffix := os.path.splitext(entry.name)[1].lower()) not in _IMAGES:  # noqa: PTH122  (quick)
                seen.others[suffix or "without extension"] += 1
            # A link that leads nowhere is an image that fails; a pipe, which would be waited for, is none.
            elif entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):  # noqa: PTH110  (quick)
                yield Path(entry.path)
        else:
            stack.pop()


def _entries(folder: Path, seen: _Seen) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return iter(sorted(found, key=lambda entry: entry.name))
    except OSError as error:
        seen.unreadable.append(f"{folder}: {error.strerror}")
        return iter(())


def _glob(pattern: str, base: Path, run: Path) -> Source:
    parts = Path(pattern).expanduser().parts
    fixed = next(place for place, part in enumerate(parts) if _MAGIC & set(part))
    root, rest = absolute(str(Path(*parts[:fixed])), base), str(Path(*parts[fixed:]))
    if not root.is_dir():
        raise ConfigError(f"{printable(pattern)} matches nothing: there is no folder {printable(str(root))}")
    try:
        matches = Counter(path.suffix.lower() in SUFFIXES for path in _matching(root, rest, run))
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(f"the glob {printable(pattern)} cannot be used: {printable(str(error))}") from error
    if not (total := matches.total()):
        raise ConfigError(f"{printable(pattern)} matches no file: in {printable(str(root))} there is none of that name")
    lists = f"{matches[True]:,} of the files are lists, and will fail: {_ONE}"

    def read() -> Iterator[Entry]:
        for path in _matching(root, rest, run):
            yield _entry(path, root)

    place = {"glob": str(root / rest)}
    return Source(f"{_count(total, 'file')} of {printable(pattern)}", place, total, [lists] * bool(matches[True]), read)


def _matching(root: Path, pattern: str, run: Path) -> Iterator[Path]:
    """Yield the files that match; hidden ones only where the pattern names them, as in a shell."""
    hidden = any(part.startswith(".") for part in Path(pattern).parts)
    for path in root.glob(pattern):
        if not hidden and any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if run not in path.parents and path.is_file():
            yield path
