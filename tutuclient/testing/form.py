"""Multipart forms (RFC 7578; RFC 2046, section 5.1): fields, and files with their names and bytes.

The relay has read the whole body by then. What cannot be parsed raises with the message of Go's mime/multipart, which
is what new-api returns.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.parser import HeaderParser

KEPT_FILE_BYTES = 2**20
"""How much of a file a record keeps; its size and digest cover all of it."""


@dataclass(frozen=True)
class FormFile:
    """One file of a form.

    Attributes:
        name: The field it was sent in, such as ``image`` or ``image[]``.
        filename: Its file name as the client spelt it, percent signs and all.
        content_type: The part's Content-Type; ``application/octet-stream`` when it has none.
        content: Its bytes; in ``Recorded.form`` the first 1 MiB of them.
        size_bytes: The length of the whole file.
        sha256: The digest of the whole file, in hex.
    """

    name: str
    filename: str
    content_type: str
    content: bytes = field(repr=False)
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Form:
    """The parts of a multipart form.

    Attributes:
        items: Every text field in order, as name and value; a name may come more than once.
        files: Every file in order.
    """

    items: tuple[tuple[str, str], ...] = ()
    files: tuple[FormFile, ...] = ()

    @property
    def fields(self) -> dict[str, str]:
        """The text fields by name; of a name that comes more than once, the last."""
        return dict(self.items)

    def all(self, name: str) -> list[str]:
        """Return all values of a text field, in order."""
        return [value for key, value in self.items if key == name]

    def file(self, name: str) -> FormFile | None:
        """Return the first file of this field."""
        return next((each for each in self.files if each.name == name), None)

    def shortened(self) -> "Form":
        """Return the form with only so much of each file as a record should hold."""
        kept = (
            FormFile(each.name, each.filename, each.content_type, each.content[:KEPT_FILE_BYTES], each.size_bytes,
                     each.sha256)
            for each in self.files
        )  # fmt: skip
        return Form(self.items, tuple(kept))


def parse(content_type: str, body: bytes) -> Form:
    """Parse a form's body; the request's Content-Type names the boundary.

    Raises:
        ValueError: It is not a multipart form, has no boundary, or ends too early; the message is Go's.
    """
    head = Message()
    head["Content-Type"] = content_type
    if head.get_content_type() != "multipart/form-data":
        raise ValueError("request Content-Type isn't multipart/form-data")
    boundary = head.get_boundary()
    if not boundary:
        raise ValueError("no multipart boundary param in Content-Type")
    items: list[tuple[str, str]] = []
    files: list[FormFile] = []
    for block in _blocks(body, b"--" + boundary.encode()):
        top, between, content = block.partition(b"\r\n\r\n")
        if not between:
            raise ValueError("multipart: a part has no end of its headers")
        headers = HeaderParser().parsestr(top.decode("utf-8", "replace"))
        name = _parameter(headers, "name")
        filename = _parameter(headers, "filename")
        # Go's mime/multipart skips such a part as well.
        if name is None:
            continue
        if filename is None:
            items.append((name, content.decode("utf-8", "replace")))
            continue
        kind = headers.get("Content-Type", "application/octet-stream")
        files.append(FormFile(name, filename, kind, content, len(content), hashlib.sha256(content).hexdigest()))
    return Form(tuple(items), tuple(files))


def _blocks(body: bytes, delimiter: bytes) -> Iterator[bytes]:
    """Cut a body at its boundaries; what stands before the first and after the last is dropped."""
    marker = b"\r\n" + delimiter
    # The line end before a boundary belongs to it (RFC 2046, section 5.1.1), and the first boundary of a body has none.
    pieces = (b"\r\n" + body).split(marker)[1:]
    for piece in pieces:
        if piece.startswith(b"--"):
            return
        line_end = piece.find(b"\r\n")
        if line_end < 0:
            break
        yield piece[line_end + 2 :]
    raise ValueError("multipart: NextPart: EOF")


def _parameter(headers: Message, name: str) -> str | None:
    value = headers.get_param(name, header="Content-Disposition")
    # ``email`` returns a triple for a parameter in RFC 2231's encoding (``filename*=utf-8''…``).
    if isinstance(value, tuple):
        charset, _, text = value
        try:
            return text.encode("latin-1", "replace").decode(charset or "utf-8", "replace")
        except LookupError:
            return text
    return value
