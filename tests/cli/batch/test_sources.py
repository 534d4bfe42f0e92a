"""What a run is of: folders, globs, files and URLs; what is left out of them, and what is said of that."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tutuclient import ConfigError
from tutuclient.cli.batch.sources import Source, open_source

IMAGE, BOTH, PROMPT = {"image"}, {"image", "prompt"}, {"prompt"}


def touch(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def source(*names: str, needs: set[str] = IMAGE, run: str = "run") -> Source:
    return open_source([*names], Path.cwd(), Path.cwd() / run, needs)


def ids(found: Source) -> list[str]:
    names = [entry.name for entry in found.read()]
    assert len(names) == found.total
    return names


def fault(*names: str, needs: set[str] = IMAGE) -> str:
    with pytest.raises(ConfigError) as raised:
        source(*names, needs=needs)
    return str(raised.value)


def test_a_folder_has_its_images_and_those_within_it_by_name() -> None:
    touch("in/b.PNG", "in/a.jpg", "in/z/c.webp", "in/a/d.jpeg", "in/notes.txt", "in/LICENSE", "in/x.json")
    found = source("in")
    assert ids(found) == ["a/d.jpeg", "a.jpg", "b.PNG", "z/c.webp"]
    assert [entry.item for entry in found.read()][1] == ("a.jpg", Path.cwd() / "in/a.jpg")
    assert found.what == "4 images in in"
    assert found.notes == [
        "3 other files left out (without extension 1, .txt 1, .json 1); a glob in quotes takes whatever it matches"
    ]


def test_hidden_files_the_run_itself_and_pipes_are_left_out() -> None:
    touch("in/a.png", "in/.b.png", "in/.git/c.png", "in/run/images/made.png")
    os.mkfifo("in/pipe.png")
    assert ids(source("in", run="in/run")) == ["a.png"]
    assert ids(source("in/**/*.png", run="in/run")) == ["a.png"]
    assert ids(source("in/.*.png")) == [".b.png"]


def test_links_lead_to_files_and_never_in_circles() -> None:
    touch("in/a.png", "out/b.png")
    Path("in/loop").symlink_to(Path.cwd() / "in")
    Path("in/out").symlink_to(Path.cwd() / "out")
    Path("in/link.png").symlink_to(Path.cwd() / "out/b.png")
    Path("in/gone.png").symlink_to(Path.cwd() / "nothing.png")
    found = source("in")
    assert ids(found) == ["a.png", "gone.png", "link.png"]
    assert found.notes == ["2 symbolic links to folders left out: name their targets"]
    assert sorted(ids(source("in/**/*.png"))) == ["a.png", "link.png"]
    Path("alias").symlink_to(Path.cwd() / "in")
    assert len(ids(source("alias"))) == 3


def test_names_need_not_be_utf_8() -> None:
    os.makedirs(b"in")  # noqa: PTH103  (bytes)
    Path(os.fsdecode(b"in/\xff\xfe.png")).write_bytes(b"x")
    found = source("in")
    assert ids(found) == ["\udcff\udcfe.png"]
    assert found.sample(1)[0].item[1].read_bytes() == b"x"


def test_a_glob_keeps_the_names_below_its_fixed_part() -> None:
    touch("in/1/a.png", "in/2/b.png", "in/2/c.txt", "odd[1].png")
    assert sorted(ids(source("in/*/*.png"))) == ["1/a.png", "2/b.png"]
    assert sorted(ids(source("in/2/*"))) == ["b.png", "c.txt"]
    assert ids(source("odd[1].png")) == ["odd[1].png"]
    assert source("in/*/*.png").place == {"glob": str(Path.cwd() / "in/*/*.png")}


def test_files_and_urls_are_named_as_they_were() -> None:
    touch("a.png", "in/b.png")
    found = source("a.png", "in/b.png", "https://h/c.png", "a.png", str(Path.cwd() / "in/b.png"))
    assert [entry.name for entry in found.read()][:3] == ["a.png", "in/b.png", "https://h/c.png"]
    assert found.place == {"files": str(Path.cwd())}


@pytest.mark.parametrize(
    ("names", "needs", "words"),
    [
        (("absent",), IMAGE, "there is no file or folder absent: give one folder, one glob in quotes or one list"),
        (("x" * 5000,), IMAGE, "there is no file or folder"),
        (("empty",), IMAGE, "the folder empty holds no image (no .avif, .bmp,"),
        (("texts",), IMAGE, "but .txt; a glob in quotes takes whatever it matches"),
        (("in/*.gif",), IMAGE, "in/*.gif matches no file"),
        (("nowhere/*.gif",), IMAGE, "matches nothing: there is no folder"),
        (("in",), BOTH, "there is no prompt: it comes last, in quotes, behind in"),
        (("in", "empty"), IMAGE, "in is a folder, and there are others beside it"),
        (("in/a.png", "list.csv"), IMAGE, "list.csv is a list, and there are others beside it"),
        (("in/a.png", "gone.png"), IMAGE, "there is no file gone.png"),
        (("in",), PROMPT, "in is no list: --generate takes a list of prompts"),
        (("a red panda",), PROMPT, "a red panda is not there: --generate takes a list of prompts"),
    ],
)
def test_what_cannot_be_a_source_is_said(names: tuple[str, ...], needs: set[str], words: str) -> None:
    touch("in/a.png", "texts/a.txt", "list.csv")
    Path("empty").mkdir()
    assert words in fault(*names, needs=needs)


def test_a_folder_that_cannot_be_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("in/a.png", "in/shut/b.png")
    scandir = os.scandir

    def shut(path: Path) -> Any:
        if path.name == "shut":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", shut)
    found = source("in")
    assert ids(found) == ["a.png"]
    assert found.notes == [f"1 folder could not be read: {Path.cwd()}/in/shut: Permission denied"]
    assert fault("in/shut") == f"the folder {Path.cwd()}/in/shut: Permission denied"


def test_a_sample_is_the_same_each_time_and_part_of_a_larger_one() -> None:
    touch(*(f"in/{number}.png" for number in range(200)))
    found = source("in")
    few, many = ({entry.name for entry in found.sample(count)} for count in (5, 20))
    assert len(few) == 5
    assert few < many
    assert len(found.sample(1000)) == 200
    assert few != {f"{number}.png" for number in range(5)}


async def test_items_come_a_few_at_a_time_however_many_there_are() -> None:
    lines = "".join(f"https://h/{number}.png\n" for number in range(20_000))
    Path("list.txt").write_text(lines)  # noqa: ASYNC240  (a test)
    found = source("list.txt")
    tracemalloc.start()
    count = 0
    async for item in found.items():
        first: Any = item
        count += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count, first) == (20_000, ("https://h/19999.png", "https://h/19999.png"))
    assert peak < 2_000_000
