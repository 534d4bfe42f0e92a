"""images generate, edit and vary: the API's image endpoints, each ordered once and its image kept."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.cli.conftest import LONG, Done, Terminal, interrupted, one_line, process, size_of, wait_until_it_sleeps
from tutuclient.testing import Server, fails, raw, sample_picture, sends, streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing import Scripted


def gives(*addresses: str, delay: float = 0.0) -> Scripted:
    return sends({"created": 1, "data": [{"url": address} for address in addresses]}, delay=delay)


def test_generate_saves_an_image_and_prints_where(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("images", "generate", "a red circle", "-o", "a.png", "--size", "256×256", "--quality", "low")
    assert done == (0, "a.png\n", "")
    assert size_of("a.png") == (256, 256)
    (sent,) = relay.requests
    assert sent.path == "/v1/images/generations"
    assert sent.json == {"prompt": "a red circle", "model": "gpt-image-1", "size": "256x256", "quality": "low"}


def test_several_images_are_numbered_and_described(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("images", "generate", "三只猫", "-o", "cats.png", "-n", "3", "--json")
    described = done.json
    assert [each["path"] for each in described["images"]] == ["cats-1.png", "cats-2.png", "cats-3.png"]
    assert described["images"][0]["size_bytes"] == Path("cats-1.png").stat().st_size
    assert described["usage"]["total_tokens"] > 0
    assert (described["model"], described["attempts"]) == ("gpt-image-1", 1)
    assert described["request_id"]
    assert relay.requests[0].json["n"] == 3
    assert (done.code, done.err) == (0, "")


def test_generate_reads_a_pipe(tutu: Callable[..., Done], relay: Server) -> None:
    assert tutu("images", "generate", "-", "-o", "a.png", stdin="一只猫\n".encode()).code == 0
    assert relay.requests[0].json["prompt"] == "一只猫"


def test_edit_sends_images_and_mask_as_files(tutu: Callable[..., Done], relay: Server) -> None:
    Image.new("RGBA", (720, 540)).save("mask.png")
    done = tutu(
        "images", "edit", "cat.png", "-", "a blue sky", "--mask", "mask.png", "-o", "sky.png", "--quality", "low",
        stdin=sample_picture(),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out == "sky.png\n"
    (sent,) = relay.requests
    assert sent.path == "/v1/images/edits"
    for field in (
        b'name="image[]"; filename="cat.png"',
        b'name="mask"; filename="mask.png"',
        b"a blue sky",
        b'name="quality"',
    ):
        assert field in sent.body


def test_vary_orders_variations(tutu: Callable[..., Done], relay: Server) -> None:
    Path("cats").mkdir()
    done = tutu("images", "vary", "cat.png", "-o", "cats/", "--n", "2", "--size", "256x256")
    assert done.code == 0, done.err
    assert len(list(Path("cats").iterdir())) == len(done.out.splitlines()) == 2
    (sent,) = relay.requests
    assert sent.path == "/v1/images/variations"
    assert b"dall-e-2" in sent.body
    assert tutu("images", "vary", "-", "-o", "one.png", stdin=sample_picture()).out == "one.png\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("generate", "cat", "-o", "there.png"), "there.png exists already"),
        (("generate", "cat", "-o", "two.png", "-n", "3"), "two-2.png exists already"),
        (("generate", " ", "-o", "a.png"), "the prompt is empty"),
        (("generate", "cat", "-o", "-", "--json"), "both want stdout"),
        (("edit", "missing.png", "a hat", "-o", "a.png"), "missing.png"),
        (("edit", "https://pictures.example/cat.png", "a hat", "-o", "a.png"), "is an address"),
        (("edit", "cat.png", "a hat", "--mask", "notes.txt", "-o", "a.png"), "notes.txt"),
        (("vary", "-", "-o", "a.png"), "no image: stdin is empty"),
        (("vary", "cat.png", "-o", "missing/a.png"), "the folder missing does not exist"),
        (("vary", "cat.png", "-o", "a.png", "--n", "11"), "(see tutuclient images vary --help)"),
    ],
)
def test_what_cannot_work_is_refused_before_it_costs_anything(
    tutu: Callable[..., Done], relay: Server, arguments: tuple[str, ...], words: str
) -> None:
    Path("there.png").touch()
    Path("two-2.png").touch()
    Path("notes.txt").write_text("no picture")
    done = tutu("images", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in one_line(done.err)
    assert relay.requests == []


@pytest.mark.parametrize(
    "arguments", [("generate", "a cat"), ("edit", "cat.png", "a hat"), ("vary", "cat.png")], ids=lambda given: given[0]
)
def test_an_order_of_unknown_outcome_is_not_repeated(
    tutu: Callable[..., Done], relay: Server, arguments: tuple[str, ...]
) -> None:
    relay.faults("reset_after_request", times=3)
    done = tutu("images", *arguments, "-o", "a.png")
    assert done.code == 7
    assert "billed" in one_line(done.err)
    assert len(relay.requests) == 1


def test_a_relay_without_the_endpoint_says_so(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(501, "API not implemented", code="api_not_implemented"))
    done = tutu("images", "vary", "cat.png", "-o", "a.png")
    assert done.code != 0
    assert "API not implemented" in one_line(done.err)
    assert len(relay.requests) == 1


def test_an_answer_without_images(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(gives())
    done = tutu("images", "generate", "cat", "-o", "a.png")
    assert (done.code, done.out) == (8, "")
    one_line(done.err)


def test_an_image_that_cannot_be_fetched_keeps_its_address(tutu: Callable[..., Done], relay: Server) -> None:
    good, gone = relay.host(sample_picture(), "good.png"), f"{relay.base_url}/files/gone.png"
    relay.answers(gives(good, gone))
    done = tutu("images", "generate", "cat", "-o", "a.png", "-n", "2")
    assert (done.code, done.out) == (8, "a-1.png\n")
    assert f"it is here: {gone}" in done.err
    assert len(relay.requests) == 1


def test_an_image_as_base64_has_no_address(tutu: Callable[..., Done], relay: Server) -> None:
    data = {"b64_json": b64encode(sample_picture()).decode(), "revised_prompt": "a cat, orange"}
    relay.answers(raw(200, json.dumps({"data": [data]}).encode()))
    (image,) = tutu("images", "generate", "cat", "-o", "a.png", "--json").json["images"]
    assert (image["url"], image["path"], image["revised_prompt"]) == (None, "a.png", "a cat, orange")
    assert Path("a.png").read_bytes() == sample_picture()


def events(*drafts: bytes, final: bytes | None, usage: dict[str, int] | None = None) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = [
        {"type": "image_generation.partial_image", "partial_image_index": number, "b64_json": b64encode(draft).decode()}
        for number, draft in enumerate(drafts)
    ]
    if final is not None:
        done = {"type": "image_generation.completed", "b64_json": b64encode(final).decode(), "usage": usage}
        frames.append(done)
    return frames


@pytest.fixture
def pictures() -> list[bytes]:
    """Return three small images that differ."""
    made = []
    for colour in ("red", "green", "blue"):
        out = BytesIO()
        Image.new("RGB", (8, 8), colour).save(out, "PNG")
        made.append(out.getvalue())
    return made


@pytest.mark.parametrize("arguments", [("generate", "cat"), ("edit", "cat.png", "a hat")], ids=lambda given: given[0])
def test_drafts_are_saved_beside_the_image(
    tutu: Callable[..., Done], relay: Server, pictures: list[bytes], arguments: tuple[str, ...]
) -> None:
    one, two, final = pictures
    relay.answers(streams(events(one, two, final=final), done=False))
    done = tutu("images", *arguments, "-o", "a.png", "--partial", "2")
    assert done == (0, "a-draft-1.png\na-draft-2.png\na.png\n", "")
    assert [Path(name).read_bytes() for name in done.out.split()] == [one, two, final]
    assert b"partial_images" in relay.requests[0].body


@pytest.mark.slow
def test_a_draft_is_there_before_the_image(relay: Server, pictures: list[bytes]) -> None:
    relay.answers(streams(events(pictures[0], final=None), done=False, then="hang"))
    with process("images", "generate", "cat", "-o", "a.png", "--partial", "1") as started:
        until = time.monotonic() + LONG
        while not Path("a-draft-1.png").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        wait_until_it_sleeps(started.pid)  # It has noted what it saved.
        done = interrupted(started)
    assert (done.code, done.out) == (130, "a-draft-1.png\n")
    assert "bill the order all the same" in done.err


def test_drafts_as_json(tutu: Callable[..., Done], relay: Server, pictures: list[bytes]) -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    relay.answers(streams(events(pictures[0], final=pictures[1], usage=usage), done=False))
    described = tutu("images", "generate", "cat", "-o", "a.png", "--partial", "1", "--json").json
    assert [each["path"] for each in described["drafts"]] == ["a-draft-1.png"]
    assert [each["path"] for each in described["images"]] == ["a.png"]
    assert described["usage"]["total_tokens"] == 3


def test_a_relay_that_sends_no_drafts(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(gives(relay.host(sample_picture(), "a.png")))
    assert tutu("images", "generate", "cat", "-o", "a.png", "--partial", "3") == (0, "a.png\n", "")


def test_a_stream_that_is_cut_keeps_what_had_come(
    tutu: Callable[..., Done], relay: Server, pictures: list[bytes]
) -> None:
    relay.answers(streams(events(pictures[0], final=None), done=False, then="reset"))
    done = tutu("images", "generate", "cat", "-o", "a.png", "--partial", "1")
    assert (done.code, done.out) == (7, "a-draft-1.png\n")
    assert len(relay.requests) == 1


def test_drafts_need_room(tutu: Callable[..., Done], relay: Server) -> None:
    Path("a-draft-2.png").touch()
    for output, words in (("a.png", "a-draft-2.png exists already"), ("-", "drafts need a file or a folder")):
        done = tutu("images", "generate", "cat", "-o", output, "--partial", "2")
        assert done.code == 2
        assert words in one_line(done.err)
    assert relay.requests == []


@pytest.mark.slow
def test_interrupting_an_order_says_that_it_may_be_billed(relay: Server) -> None:
    relay.answers(raw(200, b"{}", delay=30))
    with process("images", "generate", "cat", "-o", "a.png") as started:
        asyncio.run(relay.wait_requests(1, 20))
        done = interrupted(started)
    assert (done.code, done.out) == (130, "")
    assert "bill the order all the same" in done.err


def test_images_alone_shows_its_help(tutu: Callable[..., Done]) -> None:
    done = tutu("images")
    assert (done.code, done.err) == (2, "")
    assert "Usage: tutuclient images" in done.out


@pytest.mark.slow
def test_a_terminal_shows_what_is_waited_for_and_a_summary(relay: Server) -> None:
    relay.answers(gives(relay.host(sample_picture()), delay=0.4))
    with Terminal("images", "generate", "cat", "-o", "a.png") as terminal:
        assert terminal.end() == 0
    assert "gpt-image-1" in terminal.plain
    assert "a.png\r\n" in terminal.plain
    assert "45.1 kB · gpt-image-1" in terminal.plain
