"""Lists of items: what is read of them, and what is said of those that cannot be, before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tutuclient import ConfigError
from tutuclient.cli.batch.lists import read_list

IMAGE, BOTH, PROMPT = {"image"}, {"image", "prompt"}, {"prompt"}


def items(name: str, data: bytes | str, needs: set[str] = IMAGE) -> list[Any]:
    path = Path.cwd() / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    found = read_list(path, needs)
    read = [entry.item for entry in found.read()]
    assert len(read) == found.total
    return read


def fault(name: str, data: bytes | str, needs: set[str] = IMAGE) -> str:
    with pytest.raises(ConfigError) as raised:
        items(name, data, needs)
    return str(raised.value)


def test_csv_has_images_prompts_and_ids() -> None:
    text = 'id,Image,prompt,label\r\n1,a.png,What?,x\r\n,http://h/b.png,,y\r\n\r\n3,"c,d.png","two\nlines",z\r\n'
    assert items("list.csv", text) == [
        {"id": "1", "image": Path.cwd() / "a.png", "prompt": "What?"},
        {"id": "http://h/b.png", "image": "http://h/b.png"},
        {"id": "3", "image": Path.cwd() / "c,d.png", "prompt": "two\nlines"},
    ]
    assert read_list(Path("list.csv"), IMAGE).notes == ["of list.csv these columns are left out: label"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_csv_of_spreadsheets_is_read_whatever_separates_its_columns(separator: str, mark: bytes) -> None:
    data = mark + f"image{separator}id\r\n图.png{separator}一\r\n".encode()
    assert items("list.csv", data) == [{"id": "一", "image": Path.cwd() / "图.png"}]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            "a.png\nb.png\n",
            "has no column image: its first line has to name the columns (image, prompt, id), and is a.png",
        ),
        ("", "and is empty"),
        ("image\n", "holds no items"),
        (
            "image,id\n这张图片.png,1\n".encode("gbk"),
            "line 2 of list.csv is not UTF-8 (byte 0xd5 at 1) but may be GBK: save it",
        ),
        ("image\na.png\n".encode("utf-16"), "list.csv is UTF-16: save it as UTF-8"),
        (b"image\n\xff\xff\xff\n", "is not UTF-8 (byte 0xff at 1): save it as UTF-8"),
        ("image,id\na.png,1,2\n", "line 2 of list.csv has 3 columns, and the first line names 2"),
        ("image,id\na.png,1\nb.png,1\n", "lines 2 and 3 of list.csv have the same id, 1"),
        ("image\na.png\na.png\n", "have the same id, a.png: give each an id of its own (without one, the image is"),
        ("image,id\n,1\n", "line 2 of list.csv has no image: write one there"),
        ('image,id\n"a.png,1\nb.png,2\n', "is a quotation mark missing there, or in a line before?"),
    ],
)
def test_what_is_wrong_with_csv_is_said_with_its_line(data: bytes | str, words: str) -> None:
    assert words in fault("list.csv", data)


def test_a_prompt_is_missed_before_anything_is_sent() -> None:
    assert "line 3 of list.csv has no prompt: write one there, or put one for all of them behind the list" in fault(
        "list.csv", "image,prompt\na.png,What?\nb.png,\n", BOTH
    )
    assert "line 1 of list.jsonl has no prompt" in fault("list.jsonl", '{"image": "a.png"}\n', BOTH)
    assert "has images and no prompts: put the prompt behind it" in fault("list.txt", "a.png\n", BOTH)


def test_json_lines_are_objects_texts_or_conversations() -> None:
    lines: list[Any] = [
        {"id": 7, "image": "a.png", "prompt": "What?", "max_tokens": 5},
        {"images": ["b.png", "https://h/c.png"], "prompt": "Compare"},
        "d/e.png",
        [{"role": "user", "content": "hi"}],
        {"messages": [{"role": "user", "content": "ho"}], "id": "m"},
    ]
    here = Path.cwd()
    assert items("list.jsonl", "\r\n\r\n".join(map(json.dumps, lines)) + "\r\n") == [
        {"id": "7", "image": here / "a.png", "prompt": "What?", "max_tokens": 5},
        {"images": [here / "b.png", "https://h/c.png"], "prompt": "Compare"},
        ("d/e.png", here / "d/e.png"),
        lines[3],
        lines[4],
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"image": ', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"picture": "a.png"}', "is no item: write an object with image"),
        ("7", "is no item"),
        ('{"image": 7}', "an image is a path or a URL, and not 7"),
        ('{"image": "a.png", "id": ""}', 'has the id "": an id is a text'),
        ('{"image": "ok.png"}', "lines 1 and 2 of list.jsonl have the same id, ok.png"),
    ],
)
def test_what_is_wrong_with_a_json_line_is_said_with_its_number(line: str, words: str) -> None:
    told = fault("list.jsonl", f'{{"image": "ok.png"}}\n{line}\n')
    assert words in told
    assert "line 2 of list.jsonl" in told or "lines 1 and 2" in told


def test_plain_lines_are_images_and_count_once() -> None:
    data = "https://h/a.png\r\n  b.png \r\n\r\nhttps://h/a.png\r\n"
    assert items("urls.txt", data) == [("https://h/a.png", "https://h/a.png"), ("b.png", Path.cwd() / "b.png")]
    assert read_list(Path("urls.txt"), IMAGE).notes == ["1 repeated line of urls.txt left out"]
    assert "holds no items" in fault("empty.txt", "\n\n")


def test_prompts_are_lines_cells_or_texts() -> None:
    assert items("p.txt", "a cat\na dog\na cat\n", PROMPT) == ["a cat", "a dog"]
    assert items("p.csv", "id,prompt\n1,a cat\n,a dog\n", PROMPT) == [
        {"id": "1", "prompt": "a cat"},
        {"prompt": "a dog"},
    ]
    assert items("p.jsonl", '"a cat"\n{"prompt": "a dog", "id": "2"}\n', PROMPT) == [
        "a cat",
        {"prompt": "a dog", "id": "2"},
    ]
    assert "makes images of words: use --edit" in fault("p.jsonl", '{"prompt": "a", "image": "a.png"}\n', PROMPT)
    assert "has no column prompt" in fault("p.csv", "image\na.png\n", PROMPT)
