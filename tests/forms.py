"""Forms as a server reads them, by the standard library's parser of mail, which is none of ours."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import HTTP
from typing import NamedTuple


class Entry(NamedTuple):
    name: str
    value: str | bytes
    filename: str | None = None
    mime: str | None = None


def entries_of(content_type: str, body: bytes) -> list[Entry]:
    whole = message_from_bytes(b"Content-Type: %s\r\n\r\n%s" % (content_type.encode(), body), policy=HTTP)
    assert not whole.defects
    entries = []
    for part in whole.iter_parts():
        assert not part.defects
        name, filename = (part.get_param(key, header="content-disposition") for key in ("name", "filename"))
        value = part.get_payload(decode=True)
        assert isinstance(value, bytes)
        entries.append(
            Entry(str(name), value.decode())
            if filename is None
            else Entry(str(name), value, str(filename), part.get_content_type())
        )
    return entries
