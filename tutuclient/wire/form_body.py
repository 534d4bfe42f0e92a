"""Forms as multipart/form-data, whose files are read only while they are sent.

A form has text and files, so every value is written as text, the way the openai
package writes it. Relays pass on the name of a file and drop its media type
(.github/WIRE.md, section 1.2), so the name has the ending that belongs to the bytes.

Source: RFC 7578; the WHATWG HTML standard, "multipart/form-data encoding
algorithm" (how names are escaped).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import UUID

from tutuclient.diagnostics import is_binary, quoted
from tutuclient.errors import ConfigError, MediaError, printable
from tutuclient.media.upload import Upload
from tutuclient.settings import UNSET
from tutuclient.wire.json_body import Body, joined, json_value
from tutuclient.wire.messages import unpacked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterator

_ROWS = (list, tuple, set, frozenset)
_ESCAPES = {code: f"%{code:02X}" for code in (*range(32), 0x22, 0x5C, 0x7F)}


class FormFile(NamedTuple):
    """A file of a form.

    Attributes:
        field: The field it stands in.
        upload: What is sent; its ``filename`` and ``mime`` go into its header.
        accepts: The media types the API takes there; empty when that is for the upload to say.
    """

    field: str
    upload: Upload
    accepts: Collection[str] = ()


class Form(Body):
    """The form of a request, in segments: text, and files that are read only while they are sent.

    Attributes:
        values: The fields that it was made of.
        files: The files that it was made of, beside those among the fields.
    """

    __slots__ = ("_boundary", "_fields", "_files", "files", "values")

    def __init__(
        self,
        fields: bytes,
        uploads: list[FormFile],
        boundary: str,
        *,
        values: Mapping[str, Any],
        files: list[FormFile],
    ) -> None:
        super().__init__([], f"multipart/form-data; boundary={boundary}")
        self.values: Mapping[str, Any] = values
        self.files: list[FormFile] = files
        self._boundary = boundary.encode()
        self._fields = fields
        self._files = [*uploads, *files]

    @property
    def is_ready(self) -> bool:
        """Return whether it can be sent without ``open``: never, since that looks at the files."""
        return False

    async def open(self) -> None:
        """Check every file, before each attempt; small ones become part of the text.

        Raises:
            MediaError: A file cannot be used or is not of a kind the API takes, or has changed since the last attempt.
        """
        segments: list[bytes | Upload] = [self._fields]
        for field, upload, accepts in self._files:
            await upload.open()
            if accepts and upload.mime not in accepts:
                takes = ", ".join(sorted(accepts))
                raise MediaError(f"{field} must be {takes}; {upload.describe()} is {upload.mime}.")
            head = (
                f'Content-Disposition: form-data; name="{_escaped(field)}"; filename="{_escaped(upload.filename)}"\r\n'
                f"Content-Type: {upload.mime}\r\n\r\n"
            )
            # The bytes of a file name that are no UTF-8 are marked as unreadable, as browsers do.
            segments += (
                b"--%s\r\n%s" % (self._boundary, head.encode("utf-8", "replace")),
                upload.raw_inline() or upload,
                b"\r\n",
            )
        segments.append(b"--%s--\r\n" % self._boundary)
        self.segments = joined(segments)

    def _size_of(self, upload: Upload) -> int:
        return upload.size_bytes

    def _pieces_of(self, upload: Upload) -> AsyncGenerator[bytes, None]:
        return upload.raw_pieces()


def form(fields: Mapping[str, Any], files: Iterable[FormFile] = ()) -> Form:
    """Write a request's fields as a form, its files last.

    True and false are written as JSON writes them, the items of a list as
    ``name[]`` each, those of an object as ``name[key]``; None and ``UNSET`` are left
    out, since a form knows no null. An upload or a path among the fields is a file too.

    Raises:
        ConfigError: Something in it has no place in a form.
    """
    # Random, since no file is searched for it before it is sent (RFC 2046, section 5.1.1, asks for one that is not in
    # the data).
    boundary = f"tutu-{os.urandom(16).hex()}"
    uploads: list[FormFile] = []
    text: list[str] = []
    try:
        for name, value in _leaves(fields.items()):
            if isinstance(value, Upload | os.PathLike):
                uploads.append(FormFile(name, value if isinstance(value, Upload) else Upload(value)))
            else:
                text.append(
                    f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"\r\n\r\n{value}\r\n'
                )
        written = "".join(text).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the request cannot be written as a form: {printable(str(error))}") from error
    # Files last: a relay that goes by ``model`` has read it before megabytes come.
    return Form(written, uploads, boundary, values=fields, files=[*files])


def _leaves(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str | Upload | os.PathLike[str]]]:
    """Yield names with texts, and with files as they are, of whatever is nested in these."""
    for name, value in items:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
            raise TypeError(f"{name!r} is not a name of a field")
        # A form has no null, and text in its place would be a value.
        if value is None or value is UNSET:
            continue
        if isinstance(value, Enum):
            yield from _leaves([(name, value.value)])
        elif isinstance(value, str | Upload | os.PathLike):
            yield name, cast("str | Upload | os.PathLike[str]", value)
        elif isinstance(value, bool | int | float):
            yield name, _number(name, value)
        elif isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            # The brackets of openai's package, which relays parse (.github/WIRE.md, section 1.2).
            yield from _leaves((f"{name}[{key}]", item) for key, item in inner.items())
        elif type(value) in _ROWS:
            yield from _leaves((f"{name}[]", item) for item in value)
        else:
            yield from _leaves([(name, _plain(name, value))])


def _number(name: str, value: float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not math.isfinite(value):
        raise ValueError(f"{printable(name, 80)} is {value!r}, which is not a number that a relay reads")
    return str(value)


def _plain(name: str, value: object) -> Any:
    """Return what JSON has for a number or a record that is not Python's own."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if (fields := unpacked(value)) is not None:
        return fields
    found: Any = None
    try:
        found = None if is_binary(value) else json_value(value)
    except TypeError:
        found = None
    if found is None or isinstance(found, type(value)):
        raise TypeError(f"{name} is {quoted(value)}, which is neither text nor a file")
    return found


def _escaped(name: str) -> str:
    """Write a name for between quotes.

    The standard escapes quotes and line ends. Other control characters are of no
    use in a name, and a backslash is read as an escape by some (Go, Python).
    """
    return name.translate(_ESCAPES)
