"""Bodies in a cassette: what was sent in a form that can be read and compared, and what was answered, part by part."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tutuclient.testing import form
from tutuclient.testing.cassettes.media import digest, mime_of, stand_in, with_stand_ins, without_media
from tutuclient.testing.cassettes.scrubbing import scrub, scrub_all, scrub_field
from tutuclient.testing.cassettes.split_keys import SplitKeys
from tutuclient.types.json import too_deep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RELAY = "{{tutu relay}}"
"""What stands for the relay's address in the texts of a cassette."""

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_BEGINS_AS_EVENTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data:|event:|id:|retry:|:)")
_MEDIA_TYPE = re.compile(r"(image|audio|video)/", re.IGNORECASE)


def request_body(content_type: str, body: bytes, keys: Sequence[str], origin: str) -> dict[str, Any]:
    """Return a request's body as a cassette has it: without keys, with digests for files, JSON decoded.

    Args:
        content_type: The header.
        body: The bytes.
        keys: What goes wherever it stands.
        origin: The address that the client knows the relay by.
    """
    if not body:
        return {}
    try:
        if content_type.startswith("multipart/"):
            return {"form": scrub_all(_form_parts(form.parse(content_type, body), keys), keys, names=False)}
        text = None if mime_of(body) else neutral(body.decode(), origin)
    except ValueError:  # It is no form, or no UTF-8.
        text = None
    if text is None:
        return {"media": digest(body)}
    if content_type.startswith("application/x-www-form-urlencoded"):
        pairs = parse_qsl(text, keep_blank_values=True)
        return {"form": [[scrub(name, keys), scrub_field(name, without_media(value), keys)] for name, value in pairs]}
    text = scrub(without_media(text), keys)
    try:
        kept: dict[str, Any] = {"json": _decoded(text)}
    except ValueError:
        kept = {"text": text}
    split = SplitKeys(keys)
    (kept,) = (*split.feed(kept), *split.finish(drops_beginnings=False))
    return kept


def as_recorded_now(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line of a request as it would be recorded now: earlier versions knew fewer secrets by their looks."""
    kept = dict(request)
    if "json" in kept:
        kept["json"] = json.loads(scrub(json.dumps(kept["json"], ensure_ascii=False)))
    if "text" in kept:
        kept["text"] = scrub(kept["text"])
    return kept


def _form_parts(parts: form.Form, keys: Sequence[str]) -> list[list[Any]]:
    fields: list[list[Any]] = [[name, scrub_field(name, without_media(value), keys)] for name, value in parts.items]
    return fields + [
        [each.name, {"filename": each.filename, "media": digest(each.content, each.content_type)}]
        for each in parts.files
    ]


def neutral(text: str, origin: str) -> str:
    """Return a text with ``{{tutu relay}}`` in the place of an address, also where its slashes are escaped."""
    return _address(origin).sub(RELAY, text)


def _address(origin: str) -> re.Pattern[str]:
    escaped = re.escape(origin).replace("/", r"\\?/")
    return re.compile(rf"{escaped}(?![\w:-]|\.\w)")


class Parts:
    """An answer's body on its way into a cassette: cut into events, or kept as one.

    Args:
        content_type: The answer's header.
        origin: The relay's address.
        keys: What goes wherever it stands.
        account: Whether the answer is about the account.
    """

    def __init__(self, content_type: str, origin: str, keys: Sequence[str], *, account: bool) -> None:
        self._content_type, self._origin, self._keys, self._account = content_type, origin, keys, account
        self._held = bytearray()
        self._marks: list[tuple[float, int]] = []
        self._events: bool | None = None
        self._searched = 0

    def feed(self, at: float, data: bytes) -> Iterator[dict[str, Any]]:
        """Add what was read, and yield the parts that are complete with it."""
        self._held += data
        self._marks.append((at, len(data)))
        if self._events is None:
            named = "event-stream" in self._content_type
            self._events = named or _BEGINS_AS_EVENTS.match(bytes(self._held[:64])) is not None
        if not self._events:
            return
        while found := _EVENT_END.search(self._held, self._searched):
            yield self._cut(found.end())
        # An end may be half there; what stands before it need not be searched again.
        self._searched = max(0, len(self._held) - 3)

    def finish(self) -> Iterator[dict[str, Any]]:
        """Yield what is left at the end of the body."""
        if self._held:
            yield self._cut(len(self._held))

    def _cut(self, length: int) -> dict[str, Any]:
        data = bytes(self._held[:length])
        del self._held[:length]
        self._searched = 0
        chunks: list[list[Any]] = []
        while length:
            at, size = self._marks.pop(0)
            if size > length:
                self._marks.insert(0, (at, size - length))
                size = length
            chunks.append([at, size])
            length -= size
        when = {"t": chunks[0][0]} if len(chunks) == 1 else {"chunks": chunks}
        return {**when, **self._written(data)}

    def _written(self, data: bytes) -> dict[str, Any]:
        if not self._events and (mime_of(data) is not None or _MEDIA_TYPE.match(self._content_type)):
            return {"media": digest(data, self._content_type.partition(";")[0].strip() or None)}
        # Bytes that are no UTF-8 become half surrogates, which are themselves again when they are encoded.
        text = neutral(data.decode("utf-8", "surrogateescape"), self._origin)
        text = scrub(without_media(text, whole=not self._events), self._keys, account=self._account)
        name, begins, ends = ("event", "data: ", "\n\n") if self._events else ("json", "", "")
        if text.startswith(begins) and text.endswith(ends):
            inner = text[len(begins) : len(text) - len(ends)]
            if (value := _compact(inner)) is not None:
                return {name: value}
        return {"text": text}


def _compact(text: str) -> Any:
    """Decode JSON that is written as this package writes it, so that it can be written again; None for all else."""
    try:
        value = _decoded(text)
        return value if _json(value) == text else None
    except ValueError:
        return None


def _decoded(text: str) -> Any:
    """Decode JSON.

    Raises:
        ValueError: It is none, or nested deeper than a line of a cassette, which is one level more, may be.
    """
    if too_deep(f"[{text}]".encode("utf-8", "surrogatepass")):
        raise ValueError("nested too deep")
    return json.loads(text)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def pieces(parts: Sequence[Mapping[str, Any]], origin: str) -> list[tuple[float, bytes]]:
    """Return what is to be sent, and when, in seconds from the request; one piece for each read of the recorder.

    Args:
        parts: The lines of a cassette.
        origin: The address that the client knows the relay by.

    Raises:
        ValueError: A line has a digest that cannot be read.
    """
    made: list[tuple[float, bytes]] = []
    for part in parts:
        data = _bytes_of(part, origin)
        chunks: list[tuple[float, int]] = [(at, size) for at, size in part.get("chunks", [(part.get("t", 0.0), 1)])]
        # Digests and addresses may be longer or shorter than what they stand for: the cuts move with the length.
        whole, start, counted = sum(size for _, size in chunks) or 1, 0, 0
        for at, size in chunks:
            counted += size
            end = len(data) * counted // whole
            # A read that ended one event and began another is two parts, and one piece.
            if made and made[-1][0] == at:
                made[-1] = (at, made[-1][1] + data[start:end])
            else:
                made.append((at, data[start:end]))
            start = end
    return made


def _bytes_of(part: Mapping[str, Any], origin: str) -> bytes:
    if "media" in part:
        return stand_in(part["media"])
    if "event" in part:
        text = f"data: {_json(part['event'])}\n\n"
    else:
        text = _json(part["json"]) if "json" in part else part["text"]
    return with_stand_ins(text.replace(RELAY, origin)).encode("utf-8", "surrogateescape")
