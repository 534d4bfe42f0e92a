"""What ``batch.plan`` promises: every form of item reaches the relay, keywords that cannot work are said at once."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import PIL.Image
import pytest

from tests.batch.test_items import OpenFile
from tutuclient import APITimeoutError, Budget, ConfigError, TutuClient, UnexpectedResponseError, Upload, image, user
from tutuclient.batch.lines import Record, encode
from tutuclient.testing import sample_picture, says

if TYPE_CHECKING:
    from tutuclient.testing import Server

pytestmark = pytest.mark.timeout(60)

PICTURE = sample_picture()


@dataclass
class Sight:
    name: str


# --- items -----------------------------------------------------------------------------------------------------------


def forms(folder: Path) -> dict[str, Any]:
    path = folder / "a.png"
    path.write_bytes(PICTURE)
    return {
        "path": path,
        "text": str(path),
        "bytes": PICTURE,
        "bytearray": bytearray(PICTURE),
        "file": io.BytesIO(PICTURE),
        "pillow": PIL.Image.open(io.BytesIO(PICTURE)),
        "upload": Upload(PICTURE),
        "part": image(PICTURE),
        "datasets": {"bytes": PICTURE, "path": "a.png"},
        "datasets, on the disk": {"bytes": None, "path": str(path)},
        "fsspec": OpenFile("bucket/a.png"),
        "pair": ("a", path),
        "dict": {"image": path, "prompt": "what?"},
        "dict of a row": {"image": {"bytes": PICTURE, "path": "a.png"}, "id": "a"},
        "messages": [user("what?", image(path))],
        "dict of messages": {"messages": [user("what?", image(path))]},
    }


@pytest.mark.parametrize("form", list(forms(Path("/tmp"))))  # noqa: S108  (for the names alone)
async def test_an_image_is_sent_whatever_form_it_has(
    client: TutuClient, server: Server, tmp_path: Path, form: str
) -> None:
    [result] = await client.map([forms(tmp_path)[form]], "what?").gather()
    assert result.error is None
    text, shown = server.requests[0].json["messages"][0]["content"]
    assert text == {"type": "text", "text": "what?"}
    assert shown["image_url"]["url"].startswith("data:image/png;base64,")


async def test_a_url_goes_to_the_relay_as_it_is(client: TutuClient, server: Server) -> None:
    server.answers(says("seen"))
    await client.map(["https://example.org/a.png"], "what?").gather()
    [shown] = server.requests[0].json["messages"][0]["content"][1:]
    assert shown["image_url"] == {"url": "https://example.org/a.png", "detail": "high"}


async def test_fields_are_those_of_the_run_and_then_of_the_item(client: TutuClient, server: Server) -> None:
    items: list[Any] = [PICTURE, {"image": PICTURE, "id": "b", "model": "n", "max_tokens": 7, "detail": "low"}]
    run = client.map(items, "what?", model="m", max_tokens=5, temperature=0, extra_headers={"X-A": "b"}, ordered=True)
    await run.gather()
    first, second = sorted((request.json for request in server.requests), key=lambda body: body["model"])
    assert (first["model"], first["max_tokens"], first["temperature"]) == ("m", 5, 0)
    assert (second["model"], second["max_tokens"], second["temperature"]) == ("n", 7, 0)
    assert second["messages"][0]["content"][1]["image_url"]["detail"] == "low"
    assert {request.headers["X-A"] for request in server.requests} == {"b"}


async def test_answers_of_a_type_are_values(client: TutuClient, server: Server) -> None:
    server.answers(says('{"name": "Rio"}'), says("not JSON"))
    good, bad = await client.map([PICTURE, ("b", PICTURE)], "what?", response_format=Sight, concurrency=1).gather()
    assert good.value == Sight("Rio")
    assert isinstance(bad.error, UnexpectedResponseError)


async def test_each_item_has_its_deadline(client: TutuClient, server: Server) -> None:
    server.answers(says("late", delay=30), says("seen"))
    results = await client.map([PICTURE, ("b", PICTURE)], "what?", timeout=0.3, concurrency=1, ordered=True).gather()
    assert isinstance(results[0].error, APITimeoutError)
    assert results[1].value == "seen"


async def test_images_are_made_smaller(client: TutuClient, server: Server) -> None:
    await client.map([PICTURE], "what?", max_side=32).gather()
    assert server.requests[0].size_bytes < len(PICTURE)


# --- the journal's configuration -------------------------------------------------------------------------------------


async def test_another_prompt_model_or_schema_is_another_run(client: TutuClient, tmp_path: Path) -> None:
    await client.map([PICTURE], "what?", model="m", journal=tmp_path).gather()
    changes: list[tuple[str, dict[str, Any], str]] = [
        ("how?", {"model": "m"}, "prompt"),
        ("what?", {"model": "n"}, "model"),
        ("what?", {"model": "m", "max_tokens": 9}, "max_tokens"),
        ("what?", {"model": "m", "response_format": Sight}, "response_format"),
        ("what?", {"model": "m", "max_side": 9}, "max_side"),
    ]
    for prompt, changed, name in changes:
        with pytest.raises(ConfigError, match=rf"another configuration \({name} was"):
            await client.map([PICTURE], prompt, journal=tmp_path, **changed).gather()
    run = client.map([PICTURE], "how?", model="m", journal=tmp_path, allow_change=True)
    assert len(await run.gather()) == 1


@pytest.mark.parametrize("began", [{}, {"detail": "high"}, {"detail": "high", "max_side": None}, {"max_side": None}])
async def test_a_default_that_is_said_is_the_same_run(
    began: Any, client: TutuClient, server: Server, tmp_path: Path
) -> None:
    await client.map([("a", PICTURE)], "what?", journal=tmp_path, **began).gather()
    there = (tmp_path / "run.json").read_bytes()
    items = [("a", PICTURE), ("b", PICTURE)]
    spelled: list[tuple[dict[str, Any], list[str]]] = [({"detail": "high"}, ["b"]), ({}, []), (began, [])]
    for looks, asked in spelled:
        run = client.map(items, "what?", journal=tmp_path, **looks)
        assert [result.id for result in await run.gather()] == asked
    assert len(server.requests) == 2
    assert (tmp_path / "run.json").read_bytes() == there
    others: list[dict[str, Any]] = [{"detail": "low"}, {"detail": None}, {"max_side": 9}]
    for other in others:
        with pytest.raises(ConfigError, match="another configuration"):
            await client.map(items, "what?", journal=tmp_path, **other).gather()


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("kind", ["ok", "sent", "fail"])
async def test_a_journal_of_an_earlier_version_is_gone_on_with(
    kind: Any, said: bool, client: TutuClient, server: Server, tmp_path: Path
) -> None:
    # As client.map and the command had it: written down by them, not computed here.
    config = {"task": "ask", "prompt": "what?", "model": "gpt-4o"} | ({"detail": "high"} if said else {})
    (tmp_path / "run.json").write_bytes(msgspec.json.encode({"format": 1, "config": config}))
    key = "1af9c6239616892a" if said else "72be2f6b8682bce1"
    (tmp_path / "journal.jsonl").write_bytes(encode(Record(k=kind, id="cat", key=key)))
    spelled: list[dict[str, Any]] = [{}, {"detail": "high"}]
    for looks in spelled:
        run = client.map([("cat", "https://example.org/a.png")], "what?", journal=tmp_path, **looks)
        assert await run.gather() == []
        found = run.summary()
        assert (found.skipped, found.failed_before, found.unknown) == (
            int(kind == "ok"),
            int(kind == "fail"),
            ["cat"] if kind == "sent" else [],
        )
    assert server.requests == []


async def test_a_number_of_another_kind_is_not_asked_again_in_silence(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    items = [("a", PICTURE)]
    await client.map(items, "what?", journal=tmp_path, temperature=0).gather()
    with pytest.raises(ConfigError, match=r"temperature was 0, is 0\.0"):
        await client.map(items, "what?", journal=tmp_path, temperature=0.0).gather()
    assert len(server.requests) == 1


async def test_a_change_that_is_allowed_is_asked_under_its_own_keys(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    spelled: list[dict[str, Any]] = [{}, {"detail": "low"}, {}, {"detail": "high"}]
    for looks in spelled:
        run = client.map([("a", PICTURE)], "what?", journal=tmp_path, allow_change=True, **looks)
        await run.gather()
    # As versions before this one did: to change back finds what was asked before.
    assert len(server.requests) == 3
    configs = msgspec.json.decode((tmp_path / "run.json").read_bytes())["config"]
    assert configs["detail"] == "high"


async def test_pace_deadline_and_stops_may_change(client: TutuClient, server: Server, tmp_path: Path) -> None:
    await client.map([PICTURE], "what?", journal=tmp_path).gather()
    run = client.map([PICTURE], "what?", journal=tmp_path, timeout=5, rate=9, concurrency=3, max_failures=5)
    assert await run.gather() == []
    assert len(server.requests) == 1


async def test_nothing_secret_is_written(client: TutuClient, tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer sk-secret", "X-A": "sk-secret"}
    await client.map([PICTURE], "what?", journal=tmp_path, extra_headers=headers).gather()
    there = b"".join((tmp_path / name).read_bytes() for name in ("run.json", "journal.jsonl", "LOCK"))
    assert b"secret" not in there
    assert b"sk-test" not in there
    assert msgspec.json.decode((tmp_path / "run.json").read_bytes())["config"]["prompt"] == "what?"


async def test_a_changed_file_is_asked_about_again(client: TutuClient, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for number in range(2):
        path.write_bytes(sample_picture() + bytes(number))
        for _ in range(2):
            await client.map([path], "what?", journal=tmp_path / "run").gather()
        assert len(server.requests) == number + 1


# --- keywords --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "keywords", "why"),
    [
        ("images/*.jpg", {}, "which is one: pass a list"),
        (Path("images"), {}, "which is one: pass a list"),
        ({"image": "a.png"}, {}, "which is one: pass a list"),
        (5, {}, "items is 5"),
        ([], {"prompt": " "}, "the prompt must be text"),
        ([], {"prompt": "cat.jpg"}, "is the name of an image"),
        ([], {"edit": True, "generate": True}, "two runs"),
        ([], {"edit": True}, "edit=True needs journal="),
        ([], {"generate": True}, "generate=True needs journal="),
        ([], {"edit": True, "journal": "run", "response_format": Sight}, "response_format is for questions"),
        ([], {"generate": True, "journal": "run", "max_side": 5}, "generate sends none"),
        ([], {"concurrency": 0}, "concurrency must be"),
        ([], {"concurrency": "many"}, "concurrency must be"),
        ([], {"rate": "600"}, "rate must be requests per time"),
        ([], {"budget": 5}, "budget is 5: write Budget"),
        ([], {"budgets": Budget(tokens=5)}, r"map has no budgets=: did you mean budget=\?"),
        ([], {"jornal": "run"}, r"map has no jornal=: did you mean journal=\?"),
        ([], {"stop_on": "all"}, "stop_on is 'all'"),
        ([], {"max_failures": 1.5}, "max_failures is 1.5"),
        ([], {"max_failures": True}, "max_failures is True"),
        ([], {"on_exit": "wait"}, "on_exit is 'wait'"),
        ([], {"max_wait": "1h"}, "max_wait is '1h': write a number of seconds"),
        ([], {"max_wait": -1}, "max_wait is -1"),
        ([], {"durability": "none"}, 'durability is \'none\': write "written" or "synced"'),
        ([], {"messages": []}, "map takes no messages="),
        ([], {"stream": True}, "map takes no stream="),
        ([], {"response_format": int}, "response_format"),
    ],
)
async def test_keywords_that_cannot_work_are_said_at_once(
    client: TutuClient, items: Any, keywords: Any, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        client.map(items, keywords.pop("prompt", "what?"), **keywords)


async def test_a_misspelt_keyword_warns(client: TutuClient) -> None:
    with pytest.warns(UserWarning, match="temprature"):
        client.map([], "what?", temprature=0)  # type: ignore[call-overload]  # what is tested


async def test_keywords_do_what_they_say(client: TutuClient, server: Server) -> None:
    run = client.map(
        [("a", PICTURE), ("b", PICTURE)], "what?", budget=Budget(requests=5), stop_on=KeyError, rate="99/s"
    )
    assert len(await run.gather()) == 2
    assert run.summary().stopped == ""
    assert len(server.requests) == 2
