"""What ``batch.items`` promises: every form of item is read, named, and known again by what its answer depends on."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tutuclient import ConfigError, MediaError, Upload, image, user
from tutuclient.batch.items import Item, Reader, digest, identity
from tutuclient.testing import sample_picture

MESSAGES = [{"role": "user", "content": "hi"}]
PICTURE = sample_picture()


def item(given: Any, *, task: Any = "ask", prompt: str | None = "what?", **shared: Any) -> Item:
    read = Reader(task, prompt, shared).read(given, 3)
    if read.fault is not None:
        raise read.fault
    return read


@dataclass
class OpenFile:
    """What fsspec's ``open_files`` gives."""

    path: str
    fs: object = None

    def open(self) -> io.BytesIO:
        return io.BytesIO(PICTURE)

    def __enter__(self) -> io.BytesIO:
        return self.open()

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(PICTURE)
    return path


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_path_names_its_item(path: Path) -> None:
    assert item(path).id == item(str(path)).id == str(path)
    with path.open("rb") as file:
        assert item(file).id == str(path)
    with PIL.Image.open(path) as picture:
        assert item(picture).id == str(path)


def test_a_url_names_its_item() -> None:
    assert item("https://example.org/a.png").id == "https://example.org/a.png"


def test_an_upload_and_a_part_are_named_by_what_they_show(path: Path) -> None:
    assert item(Upload(path)).id == item(image(path)).id == item(image(Upload(path))).id == str(path)
    assert item({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}).id.endswith("/a.png")
    assert len(item(Upload(PICTURE)).id) == 16


def test_rows_of_datasets_and_files_of_fsspec_have_names() -> None:
    assert item({"bytes": PICTURE, "path": "a.png"}).id == "a.png"
    assert item(OpenFile("bucket/a.png")).id == "bucket/a.png"


@pytest.mark.parametrize(
    "given", [PICTURE, {"bytes": PICTURE, "path": None}, MESSAGES, io.BytesIO(PICTURE), "data:image/png;base64,AAAA"]
)
def test_what_has_no_name_is_named_by_its_digest(given: Any) -> None:
    assert len(item(given).id) == 16
    assert item(given).id == item(given).id


def test_an_id_of_its_own_counts(path: Path) -> None:
    assert item(("one", path)).id == "one"
    assert item({"id": "one", "image": path}).id == "one"
    assert item(("one", {"id": "two", "image": path})).id == "two"
    assert item(("one", MESSAGES)).id == "one"


# --- contents --------------------------------------------------------------------------------------------------------


def test_a_dict_has_images_a_prompt_and_fields() -> None:
    read = item({"images": [PICTURE, "b.png"], "image": "c.png", "prompt": "how?", "max_tokens": 5})
    assert (read.sources, read.prompt, read.fields) == ([PICTURE, "b.png", "c.png"], "how?", {"max_tokens": 5})


def test_messages_stand_alone() -> None:
    read = item(MESSAGES, prompt=None)
    assert (read.messages, read.sources) == (MESSAGES, [])
    assert item({"messages": MESSAGES, "id": "x"}).messages == MESSAGES


def test_a_part_is_an_image() -> None:
    part = image("https://example.org/a.png")
    assert item(part).sources == [part]


def test_a_text_is_a_prompt_where_images_are_generated() -> None:
    read = item("a red panda", task="generate", prompt=None)
    assert (read.prompt, read.sources) == ("a red panda", [])
    assert item({"prompt": "a cat", "id": "cat"}, task="generate", prompt=None).id == "cat"


@pytest.mark.parametrize(
    ("given", "options", "why"),
    [
        ((7, PICTURE), {}, "the first of a pair is its id"),
        ({"id": 7, "image": PICTURE}, {}, "its id has to be a text"),
        ({"id": "", "image": PICTURE}, {}, "its id has to be a text"),
        (PICTURE, {"prompt": None}, "item 3 has no prompt"),
        ({"prompt": "how?"}, {}, "item 3 has no image"),
        ({"image": PICTURE, "stream": True}, {}, "stream is the same for the whole run"),
        ({"image": PICTURE, "response_format": {}}, {}, "response_format is the same for the whole run"),
        (MESSAGES, {"task": "edit"}, "messages have their images in them"),
        ({"messages": MESSAGES, "image": PICTURE}, {}, "messages have their images in them"),
        ({"prompt": "a cat", "image": PICTURE}, {"task": "generate"}, "makes images from words"),
        (np.zeros((4, 4, 3), np.uint8), {}, r"item 3: a ndarray is no image, and PIL.Image.fromarray\(…\)"),
        ({"image": np.zeros((4, 4))}, {"task": "edit"}, r"PIL.Image.fromarray\(…\)"),
        ((PICTURE, 7), {}, "the first of a pair is its id, a text; got bytes"),
    ],
)
def test_what_cannot_be_sent_says_why(given: Any, options: Any, why: str) -> None:
    with pytest.raises((ConfigError, MediaError), match=why):
        item(given, **options)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_changed_file_is_another_item(path: Path) -> None:
    before = item(path).key
    assert item(path).key == before
    os.utime(path, ns=(1, 1))
    touched = item(path).key
    path.write_bytes(PICTURE + b"x")
    assert len({before, touched, item(path).key}) == 3


@pytest.mark.parametrize("shape", ["path", "text", "upload", "part", "file", "messages"])
def test_it_is_so_in_every_form(path: Path, shape: str) -> None:
    def read() -> int:
        with path.open("rb") as file:
            given: dict[str, Any] = {
                "path": path,
                "text": str(path),
                "upload": Upload(path),
                "part": image(path),
                "file": file,
                "messages": [user("what?", image(path))],
            }
            return item(("same", given[shape])).key

    before = read()
    assert read() == before
    os.utime(path, ns=(1, 1))
    assert read() != before


def test_all_that_an_answer_depends_on_is_in_its_key() -> None:
    keys = {
        item(PICTURE).key,
        item(PICTURE, prompt="how?").key,
        item(PICTURE, model="m").key,
        item(PICTURE, model="n").key,
        item(PICTURE, task="edit").key,
        item(("id", PICTURE)).key,
        item(PICTURE + b"x").key,
        item({"image": PICTURE, "max_tokens": 5}).key,
        item([{"role": "user", "content": "hi"}]).key,
        item([{"role": "user", "content": "ho"}]).key,
        item([user("what?", image(PICTURE))]).key,
        item([user("what?", image(PICTURE + b"x"))]).key,
        item([user("what?", image(PICTURE, detail="low"))]).key,
    }
    assert len(keys) == 13


def test_pixels_tell_pillow_images_apart() -> None:
    red, blue = (PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    assert identity(red) != identity(blue)
    assert identity(red) == identity(PIL.Image.new("RGB", (4, 4), "red"))


def test_reading_an_identity_leaves_a_file_where_it_was() -> None:
    file = io.BytesIO(PICTURE)
    file.seek(3)
    identity(file)
    assert file.tell() == 3


def test_all_that_a_pillow_image_is_sent_by_tells_it_apart() -> None:
    def striped(height: int) -> PIL.Image.Image:
        picture = PIL.Image.new("P", (1000, height))
        picture.putpalette([255, 0, 0, 0, 255, 0])
        return picture

    other, clear, turned, last = (striped(2000) for _ in range(4))
    other.putpalette([255, 0, 0, 0, 0, 255])
    clear.info["transparency"] = 1
    turned.info["exif"] = b"turned"
    last.putpixel((999, 1999), 1)
    assert len({identity(each) for each in (striped(2000), striped(1999), other, clear, turned, last)}) == 6


@pytest.mark.parametrize("given", ["bytes", "text", "upload", "part", "row", "messages", "file", "pillow", "dict"])
@pytest.mark.parametrize("size", [10, 10_000_000])
async def test_what_is_large_is_digested_in_a_thread(given: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = PICTURE + bytes(size)
    forms: dict[str, Any] = {
        "bytes": data,
        "text": "data:image/png;base64," + "A" * size,
        "upload": Upload(data),
        "part": image(data),
        "row": {"bytes": data, "path": "a.png"},
        "messages": [user("what?", image(data))],
        "file": io.BytesIO(data),
        "pillow": PIL.Image.new("L", (1000, size // 1000 or 1)),
        "dict": {"image": data, "id": "a"},
    }
    used: set[threading.Thread] = set()

    def watched(*parts: Any, **look: Any) -> int:
        used.add(threading.current_thread())
        return digest(*parts, **look)

    reader = Reader("ask", "what?", {})
    monkeypatch.setattr("tutuclient.batch.items.digest", watched)
    read = await reader.read_aside(forms[given], 0)
    aside = size > 10 or given in {"file", "pillow"}
    assert (threading.main_thread() in used) != aside
    assert read.key == reader.read(forms[given], 0).key != 0


async def test_what_has_a_name_is_not_digested_without_a_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader("ask", "what?", {}, keyed=False)
    monkeypatch.setattr("tutuclient.batch.items.in_thread", None)
    assert (await reader.read_aside(("a", bytes(10_000_000)), 0)).id == "a"
    assert (await reader.read_aside(("a", PIL.Image.new("L", (9, 9))), 0)).id == "a"


async def test_an_image_that_cannot_be_decoded_is_a_fault() -> None:
    broken = PIL.Image.open(io.BytesIO(PICTURE[:200]))
    assert isinstance((await Reader("ask", "what?", {}).read_aside(broken, 0)).fault, OSError)


def test_a_key_is_the_same_in_another_process() -> None:
    code = """
import io
from tutuclient import image, user
from tutuclient.batch.items import Reader, digest
def tool(): ...
class Sight: ...
print(digest(tool, Sight, object()), Reader("ask", "p", {"b": 1, "a": {2: 3}}).read([user("x", image(b"y"))], 0).key)
"""
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout  # noqa: S603  (our own code)
        for _ in range(3)
    }
    assert len(runs) == 1


def test_keys_that_are_numbers_have_their_place_in_a_digest() -> None:
    assert digest({50256: -100, 7: 1}) == digest({7: 1, 50256: -100}) != digest({7: 2, 50256: -100})


def test_names_that_are_not_utf8_are_names_all_the_same() -> None:
    name = os.fsdecode(b"caf\xe9.png")
    read = item(Path(name))
    assert read.id == "caf\\udce9.png"
    assert read.sources == [Path(name)]
    assert read.key == item(Path(name)).key != item(Path(os.fsdecode(b"caf\xe8.png"))).key


def test_deadlines_and_headers_are_no_part_of_a_key() -> None:
    fields = {"timeout": 5, "extra_headers": {"X-A": "b"}, "extra_query": {"a": "b"}}
    assert item({"image": PICTURE, **fields}).key == item({"image": PICTURE}).key


def test_without_a_journal_files_are_not_looked_at(path: Path) -> None:
    reader = Reader("ask", "what?", {}, keyed=False)
    assert reader.read(path, 0).key == 0
    assert reader.read(PICTURE, 0).id == item(PICTURE).id


def test_parts_of_a_digest_do_not_run_together() -> None:
    assert digest("ab", "c") != digest("a", "bc")
