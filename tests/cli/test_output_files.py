"""Where images are saved: a bad place is an error before anything is paid for, and no paid image is lost."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import LONG, SKY, Done, Terminal, finished, interrupted, one_line, process, taken_from
from tutuclient.cli.output import Spinner
from tutuclient.cli.output_files import Target, save_images
from tutuclient.media.image import GeneratedImage
from tutuclient.testing import Server, draws, raw, sample_picture, says

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing import Recorded
    from tutuclient.testing.exchange import Answer


def test_several_images_are_numbered(tutu: Callable[..., Done], relay: Server) -> None:
    one, two = (relay.host(sample_picture(), f"{name}.png") for name in ("one", "two"))
    relay.answers(*[says(f"![a]({one})\n![b]({two})")] * 3)
    assert tutu("edit", "cat.png", "both", "-o", "sky.png").out == "sky-1.png\nsky-2.png\n"
    Path("folder").mkdir()
    assert tutu("edit", "cat.png", "both", "-o", "folder").out == "folder/one.png\nfolder/two.png\n"


@pytest.mark.slow
def test_the_image_goes_to_stdout(relay: Server) -> None:
    one, two = (relay.host(sample_picture(), f"{name}.png") for name in ("one", "two"))
    relay.answers(says(f"![a]({one})\n![b]({two})"))
    with Path("out.png").open("wb") as out:
        done = finished("edit", "cat.png", "both", "-o", "-", stdout=out)
    assert done.code == 0
    assert Path("out.png").read_bytes() == sample_picture()
    assert taken_from(done.err.rpartition("another is here: ")[2]) == sample_picture()


def test_edit_refuses_before_it_costs_anything(tutu: Callable[..., Done], relay: Server) -> None:
    Path("there.png").touch()
    Path("link.png").symlink_to("nowhere")
    Path("closed").mkdir(mode=0o500)
    cases = {
        ("-o", "there.png"): "there.png exists already: choose another name, or pass --overwrite",
        ("-o", "link.png"): "link.png exists already",
        ("-o", "missing/sky.png"): "the folder missing does not exist",
        ("-o", "missing/"): "the folder missing does not exist",
        ("-o", "-", "--json"): "both want stdout",
    }
    if not os.access("closed", os.W_OK):  # Root may write anywhere.
        cases["-o", "closed/sky.png"] = "the folder closed is not writable"
    for output, words in cases.items():
        done = tutu("edit", "cat.png", SKY, *output)
        assert (done.code, done.out) == (2, "")
        assert words in one_line(done.err)
    assert relay.requests == []


def test_a_folder_that_may_not_be_written_to(
    tutu: Callable[..., Done], relay: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "the folder . is not writable" in tutu("generate", "cat", "-o", "sky.png").err
    assert relay.requests == []


def test_overwrite_replaces(tutu: Callable[..., Done]) -> None:
    assert tutu("edit", "cat.png", SKY, "-o", "cat.png", "--overwrite").code == 0
    assert Path("cat.png").read_bytes() != sample_picture()


def test_an_image_that_cannot_be_fetched_keeps_its_address(tutu: Callable[..., Done], relay: Server) -> None:
    address = f"{relay.base_url}/files/gone.png"
    relay.answers(draws(address), draws(address))
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png")
    assert (done.code, done.out) == (8, "")
    assert f"it is here: {address}" in done.err
    (image,) = tutu("edit", "cat.png", SKY, "-o", "sky.png", "--json").json["images"]
    assert (image["url"], image["path"]) == (address, None)
    assert image["error"]
    assert len(relay.requests) == 2


def test_an_image_whose_name_was_taken_meanwhile_is_kept_elsewhere(tutu: Callable[..., Done], relay: Server) -> None:
    def taken(_: Recorded) -> Answer:
        Path("sky.png").touch()
        return draws(sample_picture(), form="b64")

    relay.answers(taken)
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png")
    assert (done.code, done.out) == (8, "")
    assert "sky.png exists already: choose another name, or pass --overwrite" in done.err
    assert taken_from(done.err.rpartition("it is here: ")[2]) == sample_picture()


@pytest.mark.parametrize("form", ["b64", "url"])
def test_a_name_that_only_the_bytes_ask_for_costs_no_image(tutu: Callable[..., Done], relay: Server, form: str) -> None:
    # Faults of section 4: `edit -o sky.jpg` with a sky.png there was paid, and then failed.
    Path("sky.png").write_bytes(b"precious")
    image = sample_picture()
    relay.answers(*[draws(image if form == "b64" else relay.host(image, "x.png"), form=form)] * 3)
    done = tutu("edit", "cat.png", SKY, "-o", "sky.jpg")
    assert (done.code, done.out) == (0, "sky-2.png\n")
    assert "sky.png exists already, so it is saved beside it" in done.err
    assert tutu("edit", "cat.png", SKY, "-o", "sky.jpg", "--json").json["images"][0]["path"] == "sky-3.png"
    assert Path("sky-2.png").read_bytes() == Path("sky-3.png").read_bytes() == image
    assert Path("sky.png").read_bytes() == b"precious"
    assert tutu("edit", "cat.png", SKY, "-o", "sky.jpg", "--overwrite").out == "sky.png\n"
    assert Path("sky.png").read_bytes() == image


def test_a_damaged_image_never_leaves_the_folder_it_was_meant_for(tutu: Callable[..., Done], relay: Server) -> None:
    part = sample_picture()[:-40]
    relay.answers(*[draws(part, form="b64")] * 3)
    for name in ("sky-damaged.png", "sky-damaged-2.png", "sky-damaged-3.png"):
        done = tutu("edit", "cat.png", SKY, "-o", "sky.jpg")
        assert f"it is here: {name}" in done.err
        assert "damaged=True" not in done.err
        assert Path(name).read_bytes() == part


def test_a_damaged_image_for_stdout_gets_no_name_like_an_option(tutu: Callable[..., Done], relay: Server) -> None:
    part = sample_picture()[:-40]
    relay.answers(draws(part, form="b64"))
    done = tutu("edit", "cat.png", SKY, "-o", "-")
    assert (done.code, done.out) == (8, "")
    [place] = [line.rpartition(": ")[2] for line in done.err.splitlines() if "it is here" in line]
    assert Path(place).read_bytes() == part
    assert not Path(place).name.startswith("-")
    Path(place).unlink()


def test_a_damaged_image_is_kept_beside_and_reported(tutu: Callable[..., Done], relay: Server) -> None:
    part = sample_picture()[:-40]
    relay.answers(*[draws(part, form="b64")] * 2)
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png")
    assert (done.code, done.out) == (8, "")
    assert "is incomplete" in done.err
    assert "it is here: sky-damaged.png" in done.err
    assert Path("sky-damaged.png").read_bytes() == part
    (image,) = tutu("edit", "cat.png", SKY, "-o", "sky.png", "--json").json["images"]
    assert image["path"] == "sky-damaged-2.png"
    assert "damaged" in image["error"]


@pytest.mark.slow
def test_interrupting_a_download_says_where_the_image_is(relay: Server) -> None:
    address = f"{relay.base_url}/files/slow.png"
    relay.answers(draws(address))
    relay.answers(raw(200, b"", delay=30), path="/v1/files/slow.png")
    with process("edit", "cat.png", SKY, "-o", "sky.png") as started:
        asyncio.run(relay.until(lambda: bool(relay.downloads), LONG))
        done = interrupted(started)
    assert done == (130, "", f"note: not saved, but made and paid for: {address}\n")


@pytest.mark.usefixtures("relay")
def test_saving_in_a_device_is_refused(tutu: Callable[..., Done]) -> None:
    done = tutu("edit", "cat.png", SKY, "-o", os.devnull, "--overwrite")
    assert (done.code, done.out) == (2, "")
    assert "the image cannot be saved there" in done.err


@pytest.mark.slow
def test_an_image_is_not_written_to_a_terminal(relay: Server) -> None:
    with Terminal("generate", "cat", "-o", "-") as terminal:
        assert terminal.end() == 2
    assert "stdout is the terminal; name a file" in terminal.shown
    assert relay.requests == []


@pytest.mark.parametrize("as_json", [False, True])
async def test_stopped_when_an_image_has_its_name_already_it_is_reported(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    named = asyncio.Event()

    class Slow(GeneratedImage):
        async def save(self, path: Any, **_: Any) -> Path:
            named.set()
            await asyncio.sleep(0)  # The file has its name, and the folder is synced.
            return Path(path)

    fetcher: Any = None
    images = [Slow(fetcher, "https://a.example/x.png") for _ in range(3)]
    with Spinner("") as spinner:
        stopped = asyncio.create_task(save_images(images, Target("sky.png", False, as_json), spinner))
        await named.wait()
        stopped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopped
    told = capsys.readouterr()
    assert told.out == ("" if as_json else "sky-1.png\n")
    assert ("note: saved before it was stopped: sky-1.png\n" in told.err) is as_json
    assert told.err.count("note: not saved, but made and paid for: https://a.example/x.png") == 2
