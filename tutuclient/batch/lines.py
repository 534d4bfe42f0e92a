"""A line of a journal, written and read: the one place that knows what a line looks like.

Each line is one JSON object whose last key is ``crc``, the CRC-32 of the bytes before it, so that ``jq`` and pandas
read the file as it is. A line counts only if its CRC matches: what a crash or a power cut has torn is left out, never
guessed. Readers decode of it what they need, as a struct of their own: the answers are most of a line.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec

from tutuclient.errors import TutuError, printable
from tutuclient.types.json import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

T = TypeVar("T")

Kind: TypeAlias = Literal["sent", "ok", "fail", "skip", "ev"]

# Of a failed order of an image: it was made or may have been, so it is paid for, and is not ordered again by itself.
PAID: Final = frozenset({"unknown", "done"})
_TAIL: Final = b',"crc":"%08x"}'
_TAIL_BYTES: Final = len(_TAIL % 0)


class JournalError(TutuError):
    """The journal could not be written, or does not belong to this run. Nothing that it holds is lost."""


class Record(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A line of the journal.

    Attributes:
        k: ``sent`` (an intent), ``ok``, ``fail``, ``skip`` (not done, for a reason that is not the item's, such as a
            refusal or the run's end: it is done when the run goes on) or ``ev`` (an event of the run).
        ev: Of an event what it is: ``start``, ``rate``, ``pause`` or ``stop``; ``res`` has its numbers.
        id: The item's name.
        key: The digest of all that its answer depends on, as 16 hexadecimal digits; "" of an item that could not be
            read, which a later part of the run tries again.
        t: When it was written, in seconds since the epoch.
        att: Attempts.
        st: The HTTP status.
        cls: The class of the error.
        outcome: What the error says of the outcome.
        dur: Seconds from admission to the answer's end; of what failed, from its start in the run.
        tin: Tokens of the prompt.
        tout: Tokens of the answer.
        rid: The relay's request id.
        task: The id of an image task: of a ``sent``, of the one that the order was answered with.
        url: Where the relay wants to be asked for the task; "" where it does not say.
        rel: The relay that it was sent to, by name, where the client has several; else "".
        model: The model that answered.
        fin: The finish reason.
        res: The text, or the parsed value.
        img: Files under ``images/``, each with its SHA-256.
        err: The error's message, at most 2 kB.
        eq: Where equal items are asked once, the digest of the content; else "".
        same: The id of the equal item whose answer, or error, this is; "" for an item that was asked for itself.
    """

    k: Kind
    ev: str = ""
    id: str = ""
    key: str = ""
    t: float = 0.0
    att: int = 0
    st: int = 0
    cls: str = ""
    outcome: str = ""
    dur: float = 0.0
    tin: int | None = None
    tout: int | None = None
    rid: str = ""
    task: str = ""
    url: str = ""
    rel: str = ""
    model: str = ""
    fin: str = ""
    res: Any = None
    img: list[tuple[str, str]] = []
    err: str = ""
    eq: str = ""
    same: str = ""


class Head(msgspec.Struct):
    """What going on needs of a line."""

    k: Kind
    ev: str = ""
    key: str = ""
    id: str = ""
    task: str = ""
    url: str = ""
    rel: str = ""
    outcome: str = ""


_encoder = msgspec.json.Encoder()


def encode(record: Record) -> bytes:
    """Return a record as a line, with its CRC and newline."""
    try:
        body = _encoder.encode(record)[:-1]
    except (ValueError, OverflowError, TypeError):
        # Lone surrogates of a file's name or of a relay, numbers beyond 64 bits: it is written all the same.
        body = json.dumps(_writable(msgspec.to_builtins(record, enc_hook=repr))).encode()[:-1]
    return b"%b%b\n" % (body, _TAIL % zlib.crc32(body))


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if is_object(value):
        return {encodable(str(name)): _writable(each) for name, each in value.items()}
    return [_writable(each) for each in value] if is_list(value) else value


def encodable(text: str) -> str:
    """Return text that UTF-8 has: lone surrogates, as in names of files that are not UTF-8, become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def whole(line: bytes) -> bool:
    """Return whether a line (without its newline) is as it was written."""
    cut = len(line) - _TAIL_BYTES
    return cut > 0 and line[cut:] == _TAIL % zlib.crc32(line[:cut])


class Lines(Generic[T]):
    """Reads lines as a struct, which has the fields of ``Record`` that somebody needs.

    Args:
        form: The struct.
    """

    def __init__(self, form: type[T]) -> None:
        self._decode = msgspec.json.Decoder(form).decode

    def read(self, file: BinaryIO, at: int = 0) -> Iterator[tuple[int, int, T | None]]:
        """Yield where each line begins and ends, and what it says; None of one that is not as it was written.

        One without a newline is not among them: it is being written, or was torn.

        Args:
            file: The journal.
            at: Where a line begins, to read from.

        Raises:
            JournalError: A later version wrote a line. To leave it out could be to order an image twice.
        """
        decode, crc32 = self._decode, zlib.crc32  # A call less for each line is a fortieth of the time for all.
        file.seek(at)
        for line in file:
            if not line.endswith(b"\n"):
                return
            begin, at = at, at + len(line)
            said, cut = None, len(line) - 1 - _TAIL_BYTES
            if cut > 0 and line[cut:-1] == _TAIL % crc32(line[:cut]):  # As ``whole`` does.
                try:
                    said = decode(line)
                except (msgspec.DecodeError, UnicodeError) as error:
                    raise _of_a_later_version(line, error) from error
            yield begin, at, said

    def one(self, line: bytes) -> T:
        """Return what a line says. Errors as for ``read``."""
        try:
            return self._decode(line)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise _of_a_later_version(line, error) from error


def _of_a_later_version(line: bytes, error: Exception) -> JournalError:
    shown = printable(line[:80].decode(errors="replace"))
    return JournalError(
        f"the journal has a line that this version of tutuclient cannot read ({printable(str(error))}): use the "
        f"version that wrote it, or a later one; it begins with {shown}"
    )


records: Final = Lines(Record)


def record_at(path: Path, place: int) -> Record | None:
    """Return the record that begins at a place of a journal, or None when it is not as it was written."""
    with path.open("rb") as file:
        file.seek(place)
        line = file.readline().removesuffix(b"\n")
        return records.one(line) if whole(line) else None


def read(path: Path) -> Iterator[Record]:
    """Yield the records of a journal that are whole, in their order."""
    with path.open("rb") as file:
        for _, _, record in records.read(file):
            if record is not None:
                yield record
