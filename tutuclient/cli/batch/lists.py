"""Lists of items: JSON lines, CSV with a header, and plain lines of URLs, paths or prompts."""

from __future__ import annotations

import csv
import json
from array import array
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from tutuclient.errors import ConfigError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    # The number of a line, and the item of it.
    Rows = Iterator[tuple[int, "Entry"]]
    Needs = AbstractSet[str]

SUFFIXES: Final = frozenset({".jsonl", ".ndjson", ".csv", ".tsv", ".txt"})
"""How the names of lists end."""

_OWN: Final = ("image", "images", "prompt", "messages")
_COLUMNS: Final = ("image", "prompt", "id")
_LONGEST_CELL: Final = 100_000_000  # a data URI with an image; csv's own limit is 128 kB


class Entry(NamedTuple):
    """An item.

    Attributes:
        name: Its id, or what tells it from the others where it has none.
        item: What ``client.map`` takes.
    """

    name: str
    item: Any


class Listed(NamedTuple):
    """A list that has been read to its end.

    Attributes:
        total: Its items.
        notes: What a person should know of it.
        read: Returns the items, from the first.
    """

    total: int
    notes: list[str]
    read: Callable[[], Iterator[Entry]]


def read_list(path: Path, needs: Needs) -> Listed:
    """Check a list and count it. Paths in it are relative to its folder.

    Args:
        path: The list; its extension says what it is.
        needs: What each item has to have: "image", "prompt" or both. Without "image" images are to be made of prompts.

    Raises:
        ConfigError: A line cannot be read, or two items have one id; nothing was sent.
    """
    kind = path.suffix.lower()
    if kind == ".txt":
        return _once(path, needs)
    notes: list[str] = []
    if kind in {".jsonl", ".ndjson"}:

        def rows() -> Rows:
            return _json_rows(path, needs)
    else:
        header = _header(path, needs)
        notes += header.notes

        def rows() -> Rows:
            return _table_rows(path, header, needs)

    return Listed(_check_ids(path, rows), notes, lambda: (entry for _, entry in rows()))


def _check_ids(path: Path, rows: Callable[[], Rows]) -> int:
    """Return how many rows there are, all of which can be read, each of a name of its own."""
    digests = array("Q", (_digest(entry.name) for _, entry in rows()))
    if not digests:
        raise ConfigError(f"{printable(str(path))} holds no items")
    if any(one == other for one, other in pairwise(sorted(digests))):
        lines: dict[str, int] = {}
        for number, entry in rows():
            if (first := lines.setdefault(entry.name, number)) != number:
                raise ConfigError(
                    f"lines {first} and {number} of {printable(path.name)} have the same id, "
                    f"{printable(entry.name, 80)}: give each an id of its own (without one, the image is the id)"
                )
    return len(digests)


def _digest(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


# --- Lines ---


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines, numbered from 1, each with its end, decoded; the mark that Windows writes before UTF-8 goes."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise ConfigError(f"{printable(path.name)} is UTF-16: save it as UTF-8 (in Excel: CSV UTF-8)")
                try:
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise ConfigError(_of_another_encoding(path, number, line, error)) from error
    except OSError as error:
        raise ConfigError(f"{printable(str(path))} cannot be read: {error.strerror}") from error


def _of_another_encoding(path: Path, number: int, line: bytes, error: UnicodeDecodeError) -> str:
    name = printable(path.name)
    what = f"line {number} of {name} is not UTF-8 (byte {line[error.start]:#04x} at {error.start + 1})"
    try:
        line.decode("gb18030")
    except UnicodeDecodeError:
        return f"{what}: save it as UTF-8"
    return f"{what} but may be GBK: save it as UTF-8 (in Excel: CSV UTF-8; or iconv -f GB18030 -t UTF-8 {name})"


def _once(path: Path, needs: Needs) -> Listed:
    """Return a list of plain lines: URLs, paths or prompts, each once."""
    from tutuclient.batch.items import digest
    from tutuclient.batch.keys import Keys

    if len(needs) > 1:
        raise ConfigError(f"{printable(path.name)} has images and no prompts: put the prompt behind it, in quotes")

    def read() -> Iterator[Entry]:
        seen = Keys()
        for _, line in _lines(path):
            if (text := line.strip()) and (key := digest(text)) not in seen:
                seen.add(key)
                yield Entry(text, (text, _image(text, path)) if "image" in needs else text)

    total = sum(1 for _ in read())
    if not total:
        raise ConfigError(f"{printable(str(path))} holds no items")
    repeated = sum(1 for _, line in _lines(path) if line.strip()) - total
    lines = "line" if repeated == 1 else "lines"
    notes = [f"{repeated:,} repeated {lines} of {printable(path.name)} left out"] if repeated else []
    return Listed(total, notes, read)


def _image(text: str, path: Path) -> str | Path:
    """Return an image that a list names: a URL as it is, a path relative to the list's folder."""
    if text.startswith(("http://", "https://", "data:")):
        return text
    return path.parent / Path(text).expanduser()


# --- JSON ---


def _json_rows(path: Path, needs: Needs) -> Rows:
    name = printable(path.name)
    for number, line in _lines(path):
        if not line.strip():
            continue
        where = f"line {number} of {name}"
        try:
            value: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where} is not JSON ({printable(str(error), 200)}): write one value a line") from error
        yield number, _json_entry(value, line, where, path, needs)


def _json_entry(value: Any, line: str, where: str, path: Path, needs: Needs) -> Entry:
    if isinstance(value, str) and value.strip() and len(needs) == 1:
        return Entry(value, (value, _image(value, path)) if "image" in needs else value)
    if isinstance(value, list) and "image" in needs:  # A conversation.
        return Entry(line, cast("Any", value))
    if not isinstance(value, dict) or not any(name in value for name in _OWN):
        raise ConfigError(
            f"{where} is no item: write an object with image (or images), prompt, id and fields of the request, or "
            "with messages"
        )
    item = cast("dict[str, Any]", value)
    if "messages" not in item:
        _check_needs(needs, {"image" if name == "images" else name for name in _OWN if item.get(name)}, where)
    name = _json_name(item, where)
    for field in ("image", "images"):
        if field in item:
            item[field] = _json_images(item[field], where, path)
    item.pop("id", None)
    return Entry(line, item) if name is None else Entry(name, {**item, "id": name})


def _json_name(item: dict[str, Any], where: str) -> str | None:
    """Return the id of an item, else its one image; None where there is neither."""
    given, image = item.get("id"), item.get("image")
    if given is None:
        return image if isinstance(image, str) and not item.get("images") else None
    if isinstance(given, str | int) and str(given).strip():
        return str(given)
    raise ConfigError(f"{where} has the id {printable(json.dumps(given), 80)}: an id is a text")


def _json_images(value: Any, where: str, path: Path) -> Any:
    from tutuclient.types.json import is_list

    if is_list(value):
        return [_json_images(each, where, path) for each in value]
    if isinstance(value, str):
        return _image(value, path)
    raise ConfigError(f"{where}: an image is a path or a URL, and not {printable(json.dumps(value), 80)}")


def _check_needs(needs: Needs, held: set[str], where: str) -> None:
    for name in sorted(needs - held):
        more = ", or put one for all of them behind the list, in quotes" if name == "prompt" and len(needs) > 1 else ""
        raise ConfigError(f"{where} has no {name}: write one there{more}")
    if "image" in held and "image" not in needs:
        raise ConfigError(f"{where} has an image, and --generate makes images of words: use --edit in its place")


# --- CSV ---


class _Header(NamedTuple):
    """The first line of a table: what is in which column, and what separates them."""

    columns: dict[str, int]
    separator: str
    width: int
    notes: list[str]


def _header(path: Path, needs: Needs) -> _Header:
    first = next((line for _, line in _lines(path)), "")
    wanted = "image" if "image" in needs else "prompt"
    best: _Header | None = None
    for separator in (",", ";", "\t"):
        names = [name.strip().lower() for name in next(csv.reader([first], delimiter=separator), list[str]())]
        columns: dict[str, int] = {name: names.index(name) for name in _COLUMNS if name in names}
        if wanted in columns and (best is None or len(columns) > len(best.columns)):
            others = [printable(name, 40) for name in names if name and name not in _COLUMNS]
            notes = [f"of {printable(path.name)} these columns are left out: {', '.join(others)}"] if others else []
            best = _Header(columns, separator, len(names), notes)
    if best is None:
        raise ConfigError(
            f"{printable(path.name)} has no column {wanted}: its first line has to name the columns (image, prompt, "
            f"id), and is {printable(first.strip(), 80) or 'empty'}"
        )
    return best


def _table_rows(path: Path, header: _Header, needs: Needs) -> Rows:
    csv.field_size_limit(_LONGEST_CELL)
    name = printable(path.name)
    reader = csv.reader((line for _, line in _lines(path)), delimiter=header.separator, strict=True)
    try:
        next(reader)
        for row in reader:
            if any(cell.strip() for cell in row):
                yield (
                    reader.line_num,
                    _table_entry(row, header, path, f"line {reader.line_num} of {name}", needs),
                )
    except csv.Error as error:
        raise ConfigError(
            f"line {reader.line_num} of {name} cannot be read ({error}): is a quotation mark missing "
            "there, or in a line before?"
        ) from error


def _table_entry(row: Sequence[str], header: _Header, path: Path, where: str, needs: Needs) -> Entry:
    if len(row) > header.width:
        raise ConfigError(
            f"{where} has {len(row)} columns, and the first line names {header.width}: put cells with commas into "
            "quotation marks"
        )
    cells = {name: cell for name, place in header.columns.items() if place < len(row) and (cell := row[place].strip())}
    _check_needs(needs, {*cells}, where)
    item: dict[str, Any] = dict(cells)
    if "image" in cells:
        item["image"] = _image(cells["image"], path)
    if name := cells.get("id") or cells.get("image"):
        return Entry(name, {**item, "id": name})
    return Entry(cells["prompt"], item)
