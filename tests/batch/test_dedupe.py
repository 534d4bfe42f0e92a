"""What ``batch.dedupe`` promises: equal items are asked once, each has its result, and nothing is hidden by it."""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import PIL.Image
import pydantic
import pytest

from tests.batch.runs import answer, run_of
from tutuclient import (
    BadRequestError,
    BatchStoppedError,
    Budget,
    ConfigError,
    InsufficientQuotaError,
    LengthFinishReasonError,
    NoImageError,
    PermissionDeniedError,
    RateLimitError,
    TutuClient,
    TutuError,
    image,
    user,
)
from tutuclient.batch.dedupe import Deduplicator, Written, holds_for_equals
from tutuclient.batch.items import Reader
from tutuclient.batch.lines import Record, encode, read
from tutuclient.batch.result import BatchResult
from tutuclient.testing import draws, sample_picture, says

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.batch.items import Item
    from tutuclient.testing import Server
    from tutuclient.types.chat import ChatCompletion

pytestmark = pytest.mark.timeout(60)

PICTURE = sample_picture()
OTHER = sample_picture() + b"x"


def restored(written: Any) -> Any:
    return written


def by_id(results: list[Any]) -> dict[str, Any]:
    return {result.id: result for result in results}


class Asked:
    """A call that counts, and may fail the first time."""

    def __init__(self, error: Exception | None = None) -> None:
        self.ids: list[str] = []
        self.error = error

    async def __call__(self, item: Item) -> ChatCompletion:
        self.ids.append(item.id)
        await asyncio.sleep(0.01)
        error, self.error = self.error, None
        if error is not None:
            raise error
        return answer(f"about {item.id}")


# --- what is equal ---------------------------------------------------------------------------------------------------


async def test_equal_items_are_asked_once(client: TutuClient, server: Server, tmp_path: Path) -> None:
    one, two = tmp_path / "1.png", tmp_path / "2.png"
    one.write_bytes(PICTURE)
    two.write_bytes(PICTURE)
    with two.open("rb") as file:
        items: list[Any] = [
            one,
            two,
            ("bytes", PICTURE),
            ("buffer", bytearray(PICTURE)),
            ("stream", io.BytesIO(PICTURE)),
            ("file", file),
            ("row", {"bytes": PICTURE, "path": "a.png"}),
            {"id": "dict", "image": str(two)},
            ("other", OTHER),
        ]
        run = client.map(items, "what?", dedupe=True, ordered=True)
        results = await run.gather()
    assert len(server.requests) == 2
    assert all(result.ok and result.value == results[0].value for result in results)
    first = next(result for result in results if result.same_as is None)
    assert {result.same_as for result in results[:-1]} == {None, first.id}
    assert results[-1].same_as is None
    assert [result.id for result in results][2:] == ["bytes", "buffer", "stream", "file", "row", "dict", "other"]


async def test_what_is_not_equal_is_asked_for_itself(client: TutuClient, server: Server) -> None:
    url = "https://example.org/a.png"
    pairs: list[tuple[Any, Any]] = [
        ({"image": PICTURE}, {"image": PICTURE, "prompt": "how?"}),
        ({"image": PICTURE}, {"image": PICTURE, "max_tokens": 5}),
        ({"image": PICTURE}, {"images": [PICTURE, PICTURE]}),
        ({"image": url}, {"image": url + "?2"}),
        ({"image": image(PICTURE)}, {"image": image(PICTURE, detail="low")}),
        ({"image": image(PICTURE)}, {"image": image(PICTURE, max_side=64)}),
        ({"messages": [user("a", image(PICTURE))]}, {"messages": [user("b", image(PICTURE))]}),
        ({"image": PIL.Image.new("L", (4, 4))}, {"image": PIL.Image.new("L", (4, 5))}),
    ]
    for first, second in pairs:
        before = len(server.requests)
        run = client.map([{"id": "a", **first}, {"id": "b", **second}], "what?", dedupe=True)
        assert [result.same_as for result in await run.gather()] == [None, None]
        assert len(server.requests) == before + 2


async def test_messages_urls_and_pixels_are_equal_too(client: TutuClient, server: Server, tmp_path: Path) -> None:
    one, two = tmp_path / "1.png", tmp_path / "2.png"
    one.write_bytes(PICTURE)
    two.write_bytes(PICTURE)
    pairs: list[tuple[Any, Any]] = [
        ([user("a", image(one))], [user("a", image(two))]),
        ("https://example.org/a.png", "https://example.org/a.png"),
        (PIL.Image.open(one), PIL.Image.open(two)),
    ]
    for number, pair in enumerate(pairs, 1):
        server.answers(says("seen"))
        results = await client.map(list(zip("ab", pair, strict=True)), "what?", dedupe=True).gather()
        assert [result.value for result in results] == ["seen", "seen"]
        assert {result.same_as for result in results} in ({None, "a"}, {None, "b"})
        assert len(server.requests) == number


async def test_the_same_name_may_be_there_many_times(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(*[says("seen")] * 9)
    path, second, url = tmp_path / "a.png", tmp_path / "a.png (2)", "https://example.org/a.png"
    path.write_bytes(PICTURE)
    second.write_bytes(PICTURE)
    items: list[Any] = [url, PICTURE, path, url, {"bytes": OTHER, "path": str(path)}, second, PICTURE, url, path]
    names = [url, None, f"{path}", f"{url} (2)", f"{path} (2)", f"{path} (2) (2)", None, f"{url} (3)", f"{path} (3)"]
    for _ in range(2):
        run = client.map(items, "what?", dedupe=True, journal=tmp_path / "run", ordered=True)
        if results := await run.gather():
            assert [result.error for result in results if not result.ok] == []
            assert [name or result.id for result, name in zip(results, names, strict=True)] == [r.id for r in results]
            assert results[6].id == f"{results[1].id} (2)"
    assert run.summary().skipped == 9
    assert len(server.requests) == 3
    run = client.map([("a", PICTURE), ("a", PICTURE)], "what?", dedupe=True)
    with pytest.raises(ConfigError, match="items 0 and 1 have the same id 'a': give each its own.*]\\)$"):
        await run.gather()
    with pytest.raises(ConfigError, match="or ask about equal ones once, with dedupe=True"):
        await client.map([url, url], "what?").gather()


async def test_what_can_be_read_once_or_not_at_all_is_asked_for_itself(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    class Once(io.RawIOBase):
        def __init__(self) -> None:
            self.left = io.BytesIO(PICTURE)

        def readable(self) -> bool:
            return True

        def readinto(self, into: Any) -> int:
            return self.left.readinto(into)

    items = [("a", Once()), ("b", Once()), ("c", tmp_path / "none.png"), ("d", tmp_path / "none.png")]
    results = by_id(await client.map(items, "what?", dedupe=True).gather())
    assert [results[name].ok for name in "abcd"] == [True, True, False, False]
    assert {result.same_as for result in results.values()} == {None}
    assert len(server.requests) == 2


async def test_without_dedupe_each_is_asked(client: TutuClient, server: Server) -> None:
    results = await client.map([("a", PICTURE), ("b", PICTURE)], "what?").gather()
    assert {result.same_as for result in results} == {None}
    assert len(server.requests) == 2


# --- results, and what is counted ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("ordered", [False, True])
async def test_each_item_has_its_result_and_what_was_used_counts_once(workers: int, ordered: bool) -> None:
    asked = Asked()
    items = [(f"item{number}", bytes([number % 10])) for number in range(100)]
    run = run_of(items, asked, workers=workers, ordered=ordered, restore=restored)
    results = await run.gather()
    assert sorted(result.id for result in results) == sorted(name for name, _ in items)
    assert len(asked.ids) == 10
    shared = [result for result in results if result.same_as is not None]
    assert all(result.value == f"about {result.same_as}" and result.same_as in asked.ids for result in shared)
    assert {(result.attempts, result.usage) for result in shared} == {(0, None)}
    summary = run.summary()
    assert (summary.done, summary.shared, summary.tokens) == (100, 90, 100)
    assert "100 answered (90 by the answer of an equal one)" in str(summary)


async def test_items_that_are_not_asked_take_no_start_from_others() -> None:
    asked = Asked()
    run = run_of([(f"item{number}", b"x") for number in range(50)], asked, workers=1, restore=restored, interval=1)
    async with run:
        began = time.monotonic()
        assert len([result async for result in run]) == 50
        assert run._next_start - began < 25
    assert len(asked.ids) == 1


async def test_a_changed_value_changes_no_other(client: TutuClient, server: Server) -> None:
    @dataclass
    class Sight:
        names: list[str]

    server.answers(says('{"names": ["Rio"]}'))
    run = client.map([("a", PICTURE), ("b", PICTURE), ("c", PICTURE)], "what?", response_format=Sight, dedupe=True)
    async with run:
        async for result in run:
            assert result.value == Sight(["Rio"])
            result.value.names.append("x")


async def test_a_budget_counts_what_is_sent() -> None:
    asked = Asked()
    items = [(f"item{number}", bytes([number // 10])) for number in range(100)]
    run = run_of(items, asked, workers=4, restore=restored, budget=Budget(requests=3))
    with pytest.raises(BatchStoppedError, match="the budget of 3 requests"):
        await run.gather()
    assert len(asked.ids) == 3
    assert 21 <= len(run.results) <= 30


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "asks"),
    [
        (BadRequestError("the image is not allowed", status_code=400), 1),
        (LengthFinishReasonError("cut off", completion=answer("{")), 1),
        (PermissionDeniedError("not with this key"), 2),
        (TutuError("the connection broke", outcome="unknown"), 2),
        (ZeroDivisionError("a middleware's own"), 2),
    ],
)
async def test_only_what_is_wrong_with_the_content_is_shared(error: Exception, asks: int) -> None:
    asked = Asked(error)
    results = await run_of([("a", b"x"), ("b", b"x"), ("c", b"x")], asked, workers=3, restore=restored).gather()
    assert len(asked.ids) == asks
    failed = [result for result in results if not result.ok]
    assert len(failed) == (3 if asks == 1 else 1)
    assert {str(result.error) for result in failed} == {str(error)}
    assert sum(result.same_as is None for result in results) == asks


@pytest.mark.parametrize(
    ("error", "outcome", "orders", "shared"),
    [
        (None, "done", False, True),
        (NoImageError("none"), "done", True, True),
        (TutuError("broke"), "unknown", True, True),
        (TutuError("broke"), "unknown", False, False),
        (RateLimitError("too many"), "rejected", True, False),
        (InsufficientQuotaError("no money"), "rejected", False, False),
        (BadRequestError("no"), "rejected", True, True),
    ],
)
def test_which_results_hold_for_equal_items(error: Any, outcome: Any, orders: bool, shared: bool) -> None:
    assert holds_for_equals(BatchResult(0, "a", error=error, outcome=outcome), orders=orders) is shared


async def test_an_item_that_waited_for_one_that_is_cancelled_is_not_left_waiting() -> None:
    equals: Deduplicator[str] = Deduplicator(Reader("ask", "what?", {}), restored, None, orders=False)
    first, second = (equals._reader.read((name, b"x"), 0) for name in "ab")
    assert await equals.first(first) is None
    waiting = asyncio.create_task(equals.first(second))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    equals.answered(second, None)  # It is not the one that is in flight.
    await asyncio.sleep(0.01)
    assert not waiting.done()
    equals.answered(first, None)
    assert await waiting is None


async def test_an_equal_order_is_not_made_when_the_first_was_cut_short() -> None:
    equals: Deduplicator[str] = Deduplicator(Reader("edit", "blue", {}), restored, None, orders=True)
    first, second = (equals._reader.read((name, b"x"), 0) for name in "ab")
    assert await equals.first(first) is None
    equals.answered(first, None)
    found = await equals.first(second)
    assert found is not None
    assert (found.id, found.outcome) == ("a", "unknown")


async def test_what_is_kept_of_an_error_holds_no_request() -> None:
    asked = Asked(BadRequestError("no", status_code=400))
    run = run_of([("a", b"x"), ("b", b"x")], asked, workers=1, ordered=True, restore=restored)
    first, second = await run.gather()
    assert first.error is not second.error
    assert second.error.__traceback__ is None  # type: ignore[union-attr]  # It has failed.
    assert isinstance(second.error, BadRequestError)


# --- memory ----------------------------------------------------------------------------------------------------------


async def test_memory_is_bounded_and_what_was_asked_last_is_kept() -> None:
    equals: Deduplicator[str] = Deduplicator(
        Reader("ask", "what?", {}), restored, None, orders=False, most_bytes=100_000
    )
    items = [equals._reader.read((f"item{number}", f"{number}".encode()), 0) for number in range(300)]
    for item in items:
        assert await equals.first(item) is None
        equals.answered(item, BatchResult(0, item.id, "x" * 1000))
        assert equals._bytes <= 103_000
        assert equals._bytes == sum(size for _, size in equals._known.values())
    assert await equals.first(equals._reader.read(("again", b"299"), 0)) is not None
    assert await equals.first(equals._reader.read(("again", b"0"), 0)) is None


async def test_behind_the_bound_answers_are_read_from_the_journal(tmp_path: Path) -> None:
    asked = Asked()
    items = [(f"item{number}", f"{number % 200}".encode()) for number in range(600)]
    run = run_of(items, asked, workers=20, folder=tmp_path, restore=restored)
    async with run:
        assert run._dedupe is not None
        run._dedupe._most_bytes = 50_000
        results = [result async for result in run]
    assert len(results) == 600
    assert len(asked.ids) == 200
    assert all(result.value == f"about {result.same_as or result.id}" for result in results)


# --- a journal -------------------------------------------------------------------------------------------------------


async def test_each_item_has_its_line(client: TutuClient, tmp_path: Path) -> None:
    run = client.map([("a", PICTURE), ("b", PICTURE)], "what?", dedupe=True, journal=tmp_path, concurrency=1)
    assert len(await run.gather()) == 2
    one, two = (record for record in read(tmp_path / "journal.jsonl") if record.k == "ok")
    assert (one.id, one.same, one.att) == ("a", "", 1)
    assert (two.id, two.same, two.att, two.tin, two.res) == ("b", "a", 0, None, one.res)
    assert one.eq == two.eq != ""
    again = client.map([("a", PICTURE), ("b", PICTURE)], "what?", dedupe=True, journal=tmp_path)
    assert await again.gather() == []


class Sight(pydantic.BaseModel):
    name: str


@pytest.mark.parametrize(("kind", "text"), [(None, "seen"), (Sight, '{"name": "Rio"}')])
async def test_a_run_that_goes_on_knows_what_was_answered_before(
    client: TutuClient, server: Server, tmp_path: Path, kind: Any, text: str
) -> None:
    options: dict[str, Any] = {} if kind is None else {"response_format": kind}
    server.answers(says(text))
    [first] = await client.map([("a", PICTURE)], "what?", dedupe=True, journal=tmp_path, **options).gather()
    [second] = await client.map([("b", PICTURE)], "what?", dedupe=True, journal=tmp_path, **options).gather()
    [third] = await client.map([("c", PICTURE)], "what?", dedupe=True, journal=tmp_path, **options).gather()
    assert first.value == second.value == third.value
    assert (second.same_as, third.same_as) == ("a", "a")
    assert len(server.requests) == 1


async def test_an_equal_order_is_made_once_and_its_image_is_shared(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(draws(), draws())
    options: dict[str, Any] = {"edit": True, "dedupe": True, "journal": tmp_path}
    run = client.map([("a", PICTURE), ("b", PICTURE)], "blue", **options)
    first, second = await run.gather()
    assert first.images == second.images != []
    assert run.summary().images == 1
    [third] = await client.map([("c", PICTURE)], "blue", **options).gather()
    assert third.images == first.images
    assert len(server.requests) == 1
    assert sum(record.k == "sent" for record in read(tmp_path / "journal.jsonl")) == 1
    first.images[0].unlink()
    [fourth] = await client.map([("d", PICTURE)], "blue", **options).gather()
    assert fourth.ok


async def test_an_order_of_unknown_outcome_is_not_made_for_an_equal_item_unless_asked(tmp_path: Path) -> None:
    async def hangs(_: Item) -> ChatCompletion:
        await asyncio.sleep(60)
        raise AssertionError

    asked = Asked(TutuError("the connection broke", outcome="unknown"))
    run = run_of([("a", b"x"), ("b", b"x")], asked, task="edit", folder=tmp_path, workers=1, restore=restored)
    assert {result.outcome for result in await run.gather()} == {"unknown"}
    assert len(asked.ids) == 1
    [third] = await run_of([("c", b"x")], asked, task="edit", folder=tmp_path, restore=restored).gather()
    assert (third.outcome, third.same_as) == ("unknown", "a")
    assert "may have been made, and billed" in str(third.error)
    assert len(asked.ids) == 1
    again = run_of([("d", b"x")], asked, task="edit", folder=tmp_path, restore=restored, resend_unknown=True)
    assert len(await again.gather()) == 1
    assert len(asked.ids) == 2


async def test_an_order_that_was_rejected_may_be_made_for_an_equal_item(tmp_path: Path) -> None:
    asked = Asked(PermissionDeniedError("not with this key"))
    await run_of([("a", b"x")], asked, task="edit", folder=tmp_path, restore=restored).gather()
    await run_of([("b", b"x")], asked, task="edit", folder=tmp_path, restore=restored).gather()
    assert asked.ids == ["a", "b"]


def test_lines_are_found_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    lines = [encode(Record(k="ok", id=f"{number}", eq=f"{number % 50:016x}")) for number in range(200)]
    path.write_bytes(b"".join(lines[:100]) + b"torn\n" + lines[100][:20])
    written = Written(path)
    written.read_on()

    def found(key: int) -> str | None:
        record = asyncio.run(written.record(key))
        return None if record is None else record.id

    assert [found(key) for key in (0, 49, 50)] == ["50", "99", None]
    path.write_bytes(path.read_bytes()[:-20] + b"".join(lines[100:]))
    written.read_on()
    assert [found(key) for key in (0, 49, 50)] == ["150", "199", None]


async def test_an_order_that_is_gone_on_with_is_not_held_back_by_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    equals: Deduplicator[str] = Deduplicator(Reader("edit", "blue", {}), restored, path, orders=True)
    mine, other = (equals._reader.read((name, b"x"), 0) for name in "ab")
    content = equals._reader.content(mine)
    path.write_bytes(encode(Record(k="sent", id="a", key=f"{mine.key:016x}", eq=f"{content:016x}", task="t-1")))
    assert await equals.first(mine) is None
    equals.answered(mine, BatchResult(0, "a", error=ZeroDivisionError(), outcome="rejected"))
    found = await equals.first(other)
    assert found is not None
    assert (found.id, found.outcome) == ("a", "unknown")
