"""What ``batch.answering`` promises: what became of an item is written down as it was, and images are saved whole."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

from tests.batch.runs import records
from tutuclient import ImageDownloadError, JournalError, LengthFinishReasonError, NoImageError, TutuClient
from tutuclient.batch.folder import status
from tutuclient.testing import draws, rate_limited, sample_picture, says

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.testing import Server

pytestmark = pytest.mark.timeout(60)

PICTURE = sample_picture()


async def test_an_answer_is_written_with_all_that_is_known_of_it(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(rate_limited(retry_after=0), says("seen"))
    run = client.map([("a", PICTURE)], "what?", model="gpt-4o", journal=tmp_path)
    [result] = await run.gather()
    [record] = records(tmp_path)
    assert (record.k, record.id, record.res, record.fin, record.st) == ("ok", "a", "seen", "stop", 200)
    assert record.att == result.attempts == 2
    assert (record.tin, record.tout) == (result.usage.prompt_tokens, result.usage.completion_tokens)  # type: ignore[union-attr]
    assert record.model
    assert record.rid
    assert 0 < record.dur <= result.elapsed_s
    assert run.summary().tokens == result.usage.total_tokens  # type: ignore[union-attr]
    assert run.summary().requests == 2


async def test_an_error_is_written_by_its_class(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.faults("fin_after_request", times=9)
    [result] = await client.map([("a", PICTURE)], "what?", journal=tmp_path).gather()
    [record] = records(tmp_path)
    assert (record.k, record.cls, record.outcome) == ("fail", "APIConnectionError", "unknown")
    assert record.err == str(result.error)[: len(record.err)]


async def test_images_are_saved_under_the_items_name(client: TutuClient, server: Server, tmp_path: Path) -> None:
    source = tmp_path / "a cat.png"
    source.write_bytes(PICTURE)
    run = client.map([source, ("../../b/c?", source)], "blue", edit=True, journal=tmp_path / "run", ordered=True)
    first, second = await run.gather()
    [one], [two] = first.images, second.images
    assert one.parent == two.parent == tmp_path / "run" / "images"
    assert one.name.startswith("a_cat-")
    assert two.name.startswith("c_-")
    ends = {record.id: record for record in records(tmp_path / "run") if record.k == "ok"}
    assert ends[first.id].img == [(one.name, hashlib.sha256(one.read_bytes()).hexdigest())]
    assert run.summary().images == 2
    assert len(server.requests) == 2


@pytest.mark.parametrize("name", ["图" * 300, "é" * 300, "x" * 1_000_000, ".", "../..", "图\n\0", "\udcff\ud800"])
async def test_images_are_saved_whatever_the_items_name_is(
    client: TutuClient, server: Server, tmp_path: Path, name: str
) -> None:
    server.answers(draws())
    [result] = await client.map([{"id": name, "prompt": "a cat"}], generate=True, journal=tmp_path).gather()
    assert result.ok
    assert [path.parent for path in result.images] == [tmp_path / "images"]
    assert len(result.images[0].name.encode()) < 143
    assert await client.map([{"id": name, "prompt": "a cat"}], generate=True, journal=tmp_path).gather() == []


async def test_an_answer_without_an_image_failed_and_is_paid_for(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(says("I would rather not"))
    [result] = await client.map(["a cat"], generate=True, journal=tmp_path).gather()
    assert isinstance(result.error, NoImageError)
    assert result.outcome == "done"
    assert records(tmp_path)[-1].res == "I would rather not"
    run = client.map(["a cat"], generate=True, journal=tmp_path, retry_failed=True)
    assert await run.gather() == []
    assert len(run.summary().unknown) == 1
    assert len(server.requests) == 1


async def test_a_disk_without_room_for_images_ends_the_run(
    client: TutuClient, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def save(*_: object, **__: object) -> Path:
        raise ImageDownloadError("the disk is full", reason="not_saved")

    monkeypatch.setattr("tutuclient.media.image.GeneratedImage.save", save)
    server.answers(*[draws()] * 50)
    run = client.map([f"cat {number}" for number in range(50)], generate=True, journal=tmp_path, concurrency=2)
    with pytest.raises(JournalError, match="could not be saved: the disk is full"):
        await run.gather()
    assert 1 <= len(run.results) <= 4
    assert {result.outcome for result in run.results} == {"done"}


async def test_a_cut_off_answer_of_a_type_is_a_failure_of_its_own(client: TutuClient, server: Server) -> None:
    @dataclass
    class Sight:
        name: str

    server.answers(*[says('{"name": "Ri', finish_reason="length")] * 2)
    [result] = await client.map([PICTURE], "what?", response_format=Sight).gather()
    assert isinstance(result.error, LengthFinishReasonError)
    assert (result.finish_reason, result.outcome) == ("length", "unknown")
    assert result.usage is not None
    [plain] = await client.map([PICTURE], "what?", response_format={"type": "json_object"}).gather()
    assert isinstance(plain.error, LengthFinishReasonError)


async def test_values_of_every_kind_are_written_as_json(client: TutuClient, server: Server, tmp_path: Path) -> None:
    class Sight(pydantic.BaseModel):
        name: str

    server.answers(says('{"name": "Rio"}'))
    [result] = await client.map([PICTURE], "what?", response_format=Sight, journal=tmp_path).gather()
    assert result.value == Sight(name="Rio")
    assert records(tmp_path)[0].res == {"name": "Rio"}


async def test_odd_answers_are_written_too(client: TutuClient, server: Server, tmp_path: Path) -> None:
    class Odd(pydantic.BaseModel):
        name: str

        def model_dump(self, **_: Any) -> Any:
            raise ZeroDivisionError

    server.answers(says('{"name": "Rio"}'), says("half \ud83d a pair"))
    items = [("a", PICTURE), ("b", PICTURE)]
    [typed] = await client.map(items[:1], "what?", response_format=Odd, journal=tmp_path / "typed").gather()
    [text] = await client.map(items[1:], "what?", journal=tmp_path / "text").gather()
    assert typed.ok
    assert text.ok
    assert records(tmp_path / "typed")[0].res == "Odd(name='Rio')"
    assert records(tmp_path / "text")[0].res.startswith("half ")


@pytest.mark.parametrize("dedupe", [False, True])
async def test_an_item_that_cannot_be_read_is_written_and_tried_again(
    client: TutuClient, tmp_path: Path, *, dedupe: bool
) -> None:
    async def ask(prompt: Any) -> list[tuple[str, str]]:
        items = [("pair", {"image": PICTURE, "prompt": prompt}), {"id": "dict", "image": PICTURE, "prompt": prompt}]
        run = client.map(items, journal=tmp_path, dedupe=dedupe, ordered=True)
        return [(result.id, result.outcome) for result in await run.gather()]

    for _ in range(2):
        assert await ask(5) == [("pair", "not_sent"), ("dict", "not_sent")]
        assert status(tmp_path).failed == {"ConfigError": 2}
    assert {(record.k, record.key, record.outcome) for record in records(tmp_path)} == {("fail", "", "not_sent")}
    assert await ask("what?") == [("pair", "done"), ("dict", "done")]
    assert await ask(5) == [("pair", "not_sent"), ("dict", "not_sent")]  # What was answered stays so.
    assert (status(tmp_path).answered, status(tmp_path).failed) == (2, {})


async def test_cancelling_an_order_leaves_its_intent(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(draws(delay=30))
    run: Any = client.map(["a cat"], generate=True, journal=tmp_path, on_exit="cancel")
    async with run:
        await server.wait_requests(1)
        await asyncio.sleep(0)
    assert [record.k for record in records(tmp_path)] == ["sent"]
