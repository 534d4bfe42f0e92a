"""Forms written as the standard says and servers read them, with files that are read while they are sent."""

from __future__ import annotations

import enum
import math
import tracemalloc
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.differing import difference
from tests.forms import Entry, entries_of
from tutuclient import wire
from tutuclient.errors import ConfigError, MediaError
from tutuclient.media.sources import PIECE_BYTES
from tutuclient.media.upload import Upload
from tutuclient.settings import UNSET

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(255, 0, -1))


async def written(form: wire.Form) -> bytes:
    await form.open()
    sent = b"".join([piece async for piece in form.pieces()])
    assert len(sent) == form.size_bytes
    assert form.plain in {None, sent}
    return sent


class Kind(enum.Enum):
    ONE = "one"


ZEROS = "00000000-0000-0000-0000-000000000001"


async def entries_in(fields: dict[str, Any], *files: wire.FormFile) -> list[Entry]:
    form = wire.form(fields, files)
    return entries_of(form.content_type, await written(form))


@pytest.mark.parametrize(
    ("fields", "entries"),
    [
        ({"model": "m", "n": 2}, [("model", "m"), ("n", "2")]),
        ({"n": np.int64(2), "t": np.float32(0.5), "on": np.bool_(True)}, [("n", "2"), ("t", "0.5"), ("on", "true")]),
        ({"n": Decimal("0.5"), "kind": Kind.ONE, "of": UUID(int=1)}, [("n", "0.5"), ("kind", "one"), ("of", ZEROS)]),
        ({"a": MappingProxyType({"b": np.array([1, 2])})}, [("a[b][]", "1"), ("a[b][]", "2")]),
        ({"stream": True, "store": False}, [("stream", "true"), ("store", "false")]),
        ({"temperature": 0.5, "speed": 1.0, "top": 0}, [("temperature", "0.5"), ("speed", "1.0"), ("top", "0")]),
        ({"a": None, "b": "", "c": [], "d": UNSET}, [("b", "")]),
        ({"kinds": ["word", "segment"]}, [("kinds[]", "word"), ("kinds[]", "segment")]),
        ({"kinds": (kind for kind in "ab")}, [("kinds[]", "a"), ("kinds[]", "b")]),
        (
            {"chunking": {"type": "server_vad", "threshold": 0.2, "on": True, "off": None}},
            [("chunking[type]", "server_vad"), ("chunking[threshold]", "0.2"), ("chunking[on]", "true")],
        ),
        ({"deep": [{"a": [1, 2]}]}, [("deep[][a][]", "1"), ("deep[][a][]", "2")]),
        ({"prompt": "图像 🙂\nsecond line\r\n--tutu"}, [("prompt", "图像 🙂\nsecond line\r\n--tutu")]),
    ],
)
async def test_writes_fields_as_text(fields: dict[str, Any], entries: list[tuple[str, str]]) -> None:
    assert await entries_in(fields) == [Entry(*entry) for entry in entries]


@pytest.mark.parametrize("value", [object(), b"bytes", bytearray(b"x"), 1j, "\ud83d", {"a": object()}, [b"x"]])
def test_what_has_no_place_in_a_form_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="cannot be written as a form") as caught:
        wire.form({"a": value})
    assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"n": math.nan}, "n is nan"),
        ({"a": {"b": [1.0, math.inf]}}, r"a\[b\]\[\] is inf"),
        ({"a": np.float32("nan")}, "a is nan"),
        ({"a": {"b": object()}}, r"a\[b\] is an object"),
        ({"a": Decimal("NaN")}, "a is nan"),
    ],
)
def test_names_the_place_of_what_a_form_cannot_hold(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        wire.form(fields)


def test_a_field_without_a_name_that_is_text_is_refused() -> None:
    nameless: Any = {1: "x"}
    with pytest.raises(ConfigError, match="1 is not a name of a field"):
        wire.form(nameless)


def test_a_form_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigError, match="cannot be written as a form"):
        wire.form({"a": endless})


async def test_files_stand_behind_the_fields_with_their_names_and_kinds(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    entries = await entries_in(
        {"model": "m", "reference": path},
        wire.FormFile("image[]", Upload(path)),
        wire.FormFile("image[]", Upload(JPEG)),
        wire.FormFile("mask", Upload(PNG), {"image/png"}),
    )
    assert entries == [
        Entry("model", "m"),
        Entry("reference", PNG, "cat.png", "image/png"),
        Entry("image[]", PNG, "cat.png", "image/png"),
        Entry("image[]", JPEG, "picture.jpg", "image/jpeg"),
        Entry("mask", PNG, "picture.png", "image/png"),
    ]


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("cat.png", b'"cat.jpg"'),
        ("cat", b'"cat.jpg"'),
        ("cat.JPEG", b'"cat.JPEG"'),
        ("图 1.png", '"图 1.jpg"'.encode()),
        ('a"b\\c.jpg', b'"a%22b%5Cc.jpg"'),
        ("a\r\nX-Evil: 1.jpg", b'"a%0D%0AX-Evil: 1.jpg"'),
        ("a\x00\x7f.jpg", b'"a%00%7F.jpg"'),
        ("\udcff.jpg", b'"?.jpg"'),
        ("a%20.jpg", b'"a%20.jpg"'),
    ],
)
async def test_a_file_is_called_by_what_it_is_and_its_name_escapes_nothing(name: str, sent: bytes) -> None:
    upload = Upload(JPEG)
    upload.name = name
    body = await written(wire.form({}, [wire.FormFile("image", upload)]))
    head = body.partition(b"\r\n\r\n")[0]
    assert head.split(b"\r\n")[1:] == [
        b'Content-Disposition: form-data; name="image"; filename=' + sent,
        b"Content-Type: image/jpeg",
    ]


async def test_the_name_of_a_field_escapes_nothing_either() -> None:
    body = await written(wire.form({'a"\r\nb': "x"}))
    assert body.split(b"\r\n")[1] == b'Content-Disposition: form-data; name="a%22%0D%0Ab"'


async def test_a_file_of_the_wrong_kind_is_refused_before_anything_is_sent() -> None:
    form = wire.form({}, [wire.FormFile("mask", Upload(JPEG), {"image/png"})])
    with pytest.raises(MediaError, match=r"mask must be image/png; <image/jpeg 259 B .*> is image/jpeg"):
        await form.open()


async def test_a_file_that_is_missing_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="There is no file"):
        await wire.form({}, [wire.FormFile("image", Upload(tmp_path / "nothing.png"))]).open()


async def test_a_small_form_is_sent_at_once() -> None:
    form = wire.form({"model": "m"}, [wire.FormFile("image", Upload(PNG)), wire.FormFile("mask", Upload(PNG))])
    await form.open()
    assert form.plain is not None
    assert [entry.name for entry in entries_of(form.content_type, form.plain)] == ["model", "image", "mask"]


async def test_a_large_file_is_read_anew_for_each_attempt(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(PNG + bytes(3 * PIECE_BYTES))
    form = wire.form({"n": 1}, [wire.FormFile("image", Upload(path)), wire.FormFile("mask", Upload(PNG))])
    first = await written(form)
    assert difference(await written(form), first) == ""
    assert form.plain is None
    image = entries_of(form.content_type, first)[1]
    assert (image.name, image.filename, image.mime) == ("image", "large.png", "image/png")
    assert isinstance(image.value, bytes)
    assert difference(image.value, path.read_bytes()) == ""
    path.write_bytes(PNG)
    with pytest.raises(MediaError, match="changed"):
        await form.open()


async def test_two_forms_have_their_own_boundaries() -> None:
    one, other = (wire.form({"a": 1}) for _ in range(2))
    assert one.content_type != other.content_type
    assert one.content_type.startswith("multipart/form-data; boundary=tutu-")


async def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(PNG + bytes(20 * 2**20))
    form = wire.form({"n": 1}, [wire.FormFile("image", Upload(path))])
    await form.open()
    tracemalloc.start()
    try:
        size = 0
        async for piece in form.pieces():
            size += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == form.size_bytes > 20 * 2**20
    assert peak < 2**20


names = st.text(st.characters(codec="utf-8"), max_size=8)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


@given(fields=st.dictionaries(names, trees, max_size=4), data=st.binary(max_size=40))
async def test_any_fields_and_any_bytes_make_a_form_that_can_be_read(fields: dict[str, Any], data: bytes) -> None:
    entries = await entries_in(fields, wire.FormFile("file", Upload(PNG + data)))
    assert entries[-1] == Entry("file", PNG + data, "picture.png", "image/png")
    texts = [entry.value for entry in entries[:-1]]
    assert texts == [*_texts(fields)]


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [text for item in inner for text in _texts(item)]
    if value is None:
        return []
    return [{True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)]
