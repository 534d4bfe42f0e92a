"""Batches of rows: each row comes back in its place, with what became of it, and none ever raises."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from tests.conftest import KEY
from tests.leftovers import nothing_left
from tutuclient import BatchStoppedError, Budget, ConfigError, TutuClient, cli
from tutuclient.batch import answer_rows, rows
from tutuclient.batch.items import Reader
from tutuclient.batch.lines import Record, encode
from tutuclient.batch.orders import OrderBook
from tutuclient.batch.rows import RowAnswerer
from tutuclient.batch.tables import table_of
from tutuclient.testing import Server, fails, sample_picture, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROOT = Path(__file__).parents[2]
PNG = sample_picture()
COLUMNS = [
    "status",
    "text",
    "parsed",
    "error_class",
    "error",
    "outcome",
    "prompt_tokens",
    "completion_tokens",
    "request_id",
    "attempts",
]
BATCHES: dict[str, Any] = {
    "list": [{"image": PNG, "n": 0}, {"image": None, "n": 1}],
    "columns": {"image": [PNG, None], "n": [0, 1]},
    "arrays": {"image": np.array([PNG, None], dtype=object), "n": np.array([0, 1])},
    "table": pa.table({"image": [PNG, None], "n": [0, 1]}),
    "batch": pa.RecordBatch.from_pydict({"image": [PNG, None], "n": [0, 1]}),
    "frame": pd.DataFrame({"image": [PNG, None], "n": [0, 1]}),
}


def asked_of(server: Server) -> list[str]:
    """Return the prompts that the relay was asked."""
    contents = [request.json["messages"][0]["content"] for request in server.requests]
    return [content if isinstance(content, str) else content[0]["text"] for content in contents]


@pytest.mark.parametrize("kind", BATCHES)
async def test_the_same_batch_comes_back_with_its_answers(kind: str, server: Server, client: TutuClient) -> None:
    server.answers(says("a cat"))
    answered = await answer_rows(client, BATCHES[kind], "What?")
    assert type(answered) is type(BATCHES[kind])
    table = table_of(answered)
    assert table is not None
    assert list(table.names) == ["image", "n", *COLUMNS]
    cells: list[dict[str, Any]] = [{name: table.cell(name, row) for name in table.names} for row in (0, 1)]
    first, second = cells
    assert (first["n"], first["status"], first["text"], first["outcome"]) == (0, "ok", "a cat", "done")
    assert first["attempts"] == 1
    assert first["prompt_tokens"] > 0
    assert first["request_id"]
    assert (second["n"], second["status"], second["outcome"]) == (1, "error", "not_sent")
    assert second["error_class"] == "ConfigError"
    assert "has no image" in second["error"]


async def test_types_are_the_same_when_all_rows_fail_and_without_rows(server: Server, client: TutuClient) -> None:
    table = BATCHES["table"]
    server.answers(says("a cat"))
    schema = (await answer_rows(client, table, "What?")).schema
    assert (await answer_rows(client, table.slice(1), "What?")).schema == schema
    assert (await answer_rows(client, table.slice(0, 0), "What?")).schema == schema
    assert schema.types[2:] == [pa.string()] * 6 + [pa.int64()] * 2 + [pa.string(), pa.int64()]
    assert await answer_rows(client, [], "What?") == []
    assert len(server.requests) == 1


async def test_whatever_a_cell_holds_its_row_has_an_answer_or_an_error(
    server: Server, client: TutuClient, tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cat.png").write_bytes(PNG)
    cells: list[tuple[Any, str]] = [
        (PNG, "done"),
        (bytearray(PNG), "done"),
        (memoryview(PNG), "done"),
        (Image.new("RGB", (4, 4)), "done"),
        (str(tmp_path / "cat.png"), "done"),
        (tmp_path / "cat.png", "done"),
        ({"bytes": PNG, "path": None}, "done"),
        ({"bytes": None, "path": str(tmp_path / "cat.png")}, "done"),
        ([PNG, None, PNG], "done"),
        (None, "not_sent"),
        (float("nan"), "not_sent"),
        (pd.NA, "not_sent"),
        ([], "not_sent"),
        ("", "not_sent"),
        (7, "not_sent"),
        (b"", "not_sent"),
        ({"bytes": None, "path": None}, "not_sent"),
        (np.zeros((2, 2, 3), "uint8"), "not_sent"),
        (str(tmp_path / "text.png"), "not_sent"),
        (str(tmp_path / "missing.png"), "not_sent"),
    ]
    rows = await answer_rows(client, [{"image": cell, "n": n} for n, (cell, _) in enumerate(cells)], "What?")
    assert [(row["n"], row["outcome"]) for row in rows] == [(n, outcome) for n, (_, outcome) in enumerate(cells)]
    assert all((row["status"] == "ok") == (row["outcome"] == "done") for row in rows)
    assert all(row["error"] for row in rows if row["status"] == "error")
    assert len(server.requests) == 9


async def test_each_row_may_have_a_prompt_of_its_own(server: Server, client: TutuClient) -> None:
    rows: list[dict[str, Any]] = [{"ask": "Who?"}, {"ask": None}, {"ask": float("nan")}, {"ask": " "}, {"ask": 5}, {}]
    rows = await answer_rows(client, rows, "What?", image_column=None, prompt_column="ask", prefix="a_")
    assert sorted(asked_of(server)) == ["What?", "What?", "What?", "Who?"]
    assert [row["a_status"] for row in rows] == ["ok", "ok", "ok", "error", "error", "ok"]
    assert "has no prompt" in rows[3]["a_error"]


class Animal(msgspec.Struct):
    name: str


async def test_a_value_comes_as_json_text_beside_the_words_that_could_not_be_read(
    server: Server, client: TutuClient
) -> None:
    server.answers(says('{"name": "cat"}'), says("no json"))
    row: Any
    other: Any
    row, other = await answer_rows(
        client,
        [{"ask": "1"}, {"ask": "2"}],
        image_column=None,
        prompt_column="ask",
        response_format=Animal,
        concurrency=1,
    )
    assert json.loads(row["parsed"]) == {"name": "cat"}
    assert (other["status"], other["parsed"], other["outcome"]) == ("error", None, "unknown")
    server.answers(says('{"name": "cat"}'), says("no json"))
    form = {"type": "json_object"}
    rows = [{"ask": "in JSON, 1"}, {"ask": "in JSON, 2"}]
    rows = await answer_rows(client, rows, image_column=None, prompt_column="ask", response_format=form, concurrency=1)
    assert [(row["status"], row["text"], row["parsed"]) for row in rows] == [
        ("ok", '{"name": "cat"}', '{"name": "cat"}'),
        ("ok", "no json", None),
    ]


async def test_a_run_that_stops_marks_the_rows_that_were_not_sent(server: Server, client: TutuClient) -> None:
    server.answers(fails(401, "no such key"))
    answering = answer_rows(
        client, [{"ask": str(n)} for n in range(30)], image_column=None, prompt_column="ask", concurrency=1
    )
    rows = await answering
    assert (rows[0]["error_class"], rows[0]["outcome"]) == ("AuthenticationError", "rejected")
    rest: list[Any] = rows[1:]
    assert {(row["error_class"], row["outcome"], row["attempts"]) for row in rest} == {
        ("BatchStoppedError", "not_sent", 0)
    }
    assert [row["ask"] for row in rows] == [str(n) for n in range(30)]
    assert answering.stopped is not None
    assert len(server.requests) == 1


async def test_an_iterable_is_answered_in_its_order_and_a_few_rows_ahead(server: Server) -> None:
    read = 0

    async def rows() -> AsyncIterator[dict[str, Any]]:
        nonlocal read
        while True:
            read += 1
            yield {"n": read, "ask": f"about {read}"}

    async with TutuClient(KEY, server.base_url, max_concurrency=8) as client:
        seen = 0
        async for row in answer_rows(client, rows(), image_column=None, prompt_column="ask"):
            seen += 1
            assert (row["n"], row["status"]) == (seen, "ok")
            if seen == 500:
                break
        assert read < 500 + 100
        assert await nothing_left(client) == []


async def test_an_iterable_that_ends_early_raises_after_its_answers(server: Server, client: TutuClient) -> None:
    def rows() -> Iterator[Any]:
        yield {"ask": "1"}
        yield "no row"

    seen: list[Any] = []
    with pytest.raises(ConfigError, match="row 1 is 'no row'"):
        async for row in answer_rows(client, rows(), image_column=None, prompt_column="ask"):
            seen.append(row)  # noqa: PERF401  (what was seen before it raised)
    assert [row["status"] for row in seen] == ["ok"]
    server.answers(fails(401, "no such key"))
    with pytest.raises(BatchStoppedError):
        await answer_rows(
            client, ({"ask": "1"} for _ in range(3)), image_column=None, prompt_column="ask", concurrency=1
        )


async def test_batches_at_a_time_share_the_concurrency_of_their_client(server: Server) -> None:
    most = 0

    async def watch(request: Any, call_next: Any) -> Any:
        nonlocal most
        most = max(most, client.pace.in_flight)
        return await call_next(request)

    async with TutuClient(KEY, server.base_url, max_concurrency=5, attempt_middleware=[watch]) as client:
        rows = [{"ask": str(n)} for n in range(40)]
        calls = [answer_rows(client, rows, image_column=None, prompt_column="ask") for _ in range(4)]
        await asyncio.gather(*calls)
    assert len(server.requests) == 160
    assert most == 5


async def test_a_batch_does_not_begin_as_carefully_as_the_first(server: Server) -> None:
    async with TutuClient(KEY, server.base_url, max_concurrency=32) as client:
        await _whole(client)
        server.answers(*[says("late", delay=60)] * 50)
        again = asyncio.ensure_future(_whole(client))
        await server.until(lambda: server.in_flight == 32)
        again.cancel()
        await asyncio.wait([again])


async def test_cancelling_leaves_nothing(server: Server, client: TutuClient) -> None:
    server.answers(*[says("late", delay=60)] * 8)
    task = asyncio.ensure_future(_whole(client))
    await server.until(lambda: server.in_flight > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await nothing_left(client) == []


async def _whole(client: TutuClient) -> Any:
    return await answer_rows(client, [{"ask": str(n)} for n in range(50)], image_column=None, prompt_column="ask")


@pytest.mark.parametrize(
    ("rows", "keywords", "message"),
    [
        ([{"image": PNG, "text": 1}], {}, r"a column 'text' already: prefix='answer_'"),
        (pa.table({"uri": ["x"]}), {}, r"no column 'image', only 'uri': pass image_column="),
        (pa.table({"uri": ["x"]}).slice(0, 0), {}, "no column 'image'"),
        ([{"image": PNG}], {"prompt_column": "ask"}, "no column 'ask'"),
        (pd.DataFrame({0: [PNG]}), {"image_column": "0"}, "no column '0', only 0: pass"),
        ({0: [PNG]}, {"image_column": "0"}, "no column '0', only 0: pass"),
        ([{0: PNG}], {"image_column": "0"}, "no column '0', only 0: pass"),
        (pd.DataFrame([[PNG] * 2], columns=["image"] * 2), {}, "2 columns 'image': rename"),
        (pa.table([["a"], ["b"]], names=["image"] * 2), {}, "2 columns 'image': rename"),
        ([{"image": PNG}], {"journal": "run"}, "answer_rows has no journal="),
        ([{"image": PNG}], {"ordered": True}, "answer_rows has no ordered="),
        ([{"image": PNG}], {"concurency": 3}, "answer_rows has no concurency=: did you mean concurrency="),
        ([{"image": PNG}], {"prefx": "answer_"}, r"did you mean prefix=\?"),
        ([{"image": PNG}], {"image_colum": "image"}, r"did you mean image_column=\?"),
        ([{"image": PNG}], {"generate": True, "journal_dr": "x"}, r"did you mean journal_dir=\?"),
        ([{"image": PNG}], {"image_column": 3}, "image_column is 3"),
        ([{"image": PNG}], {"journal_dir": "run"}, "are for edit=True and generate=True"),
        ([{"image": PNG}], {"edit": True, "journal_dir": "run"}, "need id_column="),
        ([{"image": PNG}], {"edit": True, "id_column": "id"}, "would order them again"),
        ([{"image": PNG}], {"edit": True, "id_column": "id", "images_dir": "run"}, "would order them again"),
        ([{"image": PNG}], {"edit": True, "id_column": "id", "journal_dir": "x", "dedupe": True}, "dedupe is for"),
    ],
)
def test_what_cannot_work_raises_at_once(rows: Any, keywords: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        answer_rows(TutuClient(KEY, "https://relay.example"), rows, "What?", **keywords)


def test_rows_without_any_prompt_are_an_error_at_once_and_not_one_each() -> None:
    """An engine would write all of them as failed, and its checkpoint would have them as done."""
    with pytest.raises(ConfigError, match="no prompt: pass prompt= for all of them, or prompt_column="):
        answer_rows(TutuClient(KEY, "https://relay.example"), [{"image": PNG}])
    with pytest.raises(ConfigError, match=r"answer_rows has no promt=: did you mean prompt=\?"):
        answer_rows(TutuClient(KEY, "https://relay.example"), [{"image": PNG}], promt="What?")  # type: ignore[call-arg]
    options: dict[str, Any] = {"promts": 1}  # A relay's own field, as there is a prompt.
    assert answer_rows(TutuClient(KEY, "https://relay.example"), [{"image": PNG}], "What?", **options) is not None


async def test_a_batch_is_awaited_and_not_iterated_over(client: TutuClient) -> None:
    with pytest.raises(ConfigError, match="a batch is awaited"):
        async for _ in answer_rows(client, [{"image": PNG}], "What?"):
            pass


# --- Images ---

ORDERS: dict[str, Any] = {"generate": True, "prompt_column": "ask", "id_column": "id"}


def is_there(path: str) -> bool:
    return Path(path).stat().st_size > 0


def orders(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": f"row{n}", "ask": f"draw {n}"} for n in numbers]


async def test_images_are_saved_and_a_row_that_comes_again_has_its_own(
    server: Server, client: TutuClient, tmp_path: Path
) -> None:
    first = await answer_rows(client, orders(0, 1), journal_dir=tmp_path, **ORDERS)
    again = await answer_rows(client, orders(1, 2, 0), journal_dir=tmp_path, **ORDERS)
    assert sorted(asked_of(server)) == ["draw 0", "draw 1", "draw 2"]
    assert (again[0]["images"], again[2]["images"]) == (first[1]["images"], first[0]["images"])
    for row in again:
        [path] = row["images"]
        assert is_there(path)
        assert (row["status"], row["outcome"]) == ("ok", "done")
    assert (again[0]["text"], again[0]["request_id"]) == (first[1]["text"], first[1]["request_id"])


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (pa.table({"id": [b"\x00\xff", b"b"]}), pa.table({"id": [b"\x00\xff", b"b"]})),
        (pa.table({"id": [b"\x00\xff", b"b"]}), [{"id": b"\x00\xff"}, {"id": b"b"}]),
        (pd.DataFrame({"id": [1, 2]}), pd.DataFrame({"id": [1, 2, None]})),
        (pd.DataFrame({"id": [1, 2]}), [{"id": "1"}, {"id": 2}]),
        (pd.DataFrame({"id": [1, 2]}), pd.DataFrame({"id": [1, 2, None]}, dtype="float32")),
        ([{"id": bytearray(b"a")}, {"id": memoryview(b"b")}], [{"id": b"a"}, {"id": b"b"}]),
    ],
)
async def test_an_id_is_the_same_however_a_batch_holds_it(
    server: Server, client: TutuClient, tmp_path: Path, first: Any, again: Any
) -> None:
    for batch in (first, again):
        await answer_rows(client, batch, "draw", generate=True, id_column="id", journal_dir=tmp_path)
    assert len(server.requests) == 2


async def test_an_edit_of_a_table_has_a_column_of_images(server: Server, client: TutuClient, tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2], "image": [PNG, None]})
    answered = await answer_rows(client, table, "Blue", edit=True, id_column="id", journal_dir=tmp_path)
    assert answered.schema.field("images").type == pa.list_(pa.string())
    assert [len(paths) for paths in answered.column("images").to_pylist()] == [1, 0]
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["ordered before", "of one id"])
async def test_rows_that_are_not_sent_are_read_as_they_are_taken_too(
    kind: str, server: Server, client: TutuClient, tmp_path: Path
) -> None:
    count = 1000
    await answer_rows(client, orders(0), journal_dir=tmp_path, **ORDERS)
    if kind == "ordered before":
        reader = Reader("generate", None, {"model": "gpt-4o-image"})
        items = [reader.read({"id": row["id"], "prompt": row["ask"]}, 0) for row in orders(*range(count))]
        lines = [encode(Record(k="ok", id=item.id, key=f"{item.key:016x}")) for item in items]
        (tmp_path / "writer-0" / "journal.jsonl").write_bytes(b"".join(lines))
    read = seen = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal read
        for number in range(count):
            read += 1
            yield orders(number if kind == "ordered before" else 0)[0] | {"number": number}

    async for row in answer_rows(client, rows(), journal_dir=tmp_path, **ORDERS):
        assert row["number"] == seen
        assert (row["status"] == "ok") == (kind == "ordered before" or seen == 0)
        seen += 1
        assert read - seen < 100
    assert seen == count
    assert len(server.requests) == 1


async def test_rows_that_are_not_sent_keep_their_places_among_those_that_are(
    server: Server, client: TutuClient, tmp_path: Path
) -> None:
    known = await answer_rows(client, orders(*range(0, 60, 3)), journal_dir=tmp_path, **ORDERS)
    sent = len(server.requests)
    rows = [*orders(*range(60)), *orders(*range(60))]
    answered = [row async for row in answer_rows(client, iter(rows), journal_dir=tmp_path, **ORDERS)]
    assert [row["id"] for row in answered] == [row["id"] for row in rows]
    assert [row["status"] for row in answered] == ["ok"] * 60 + ["error"] * 60
    assert [row["images"] for row in answered[0:60:3]] == [row["images"] for row in known]
    assert len(server.requests) == sent + 40
    # Neither counts as sent: a budget is for those that are.
    more = answer_rows(
        client, orders(*range(62)), journal_dir=tmp_path, budget=Budget(images=1), concurrency=1, **ORDERS
    )
    last = await more
    assert [row["status"] for row in last] == ["ok"] * 61 + ["error"]
    assert (last[61]["error_class"], last[61]["outcome"]) == ("BatchStoppedError", "not_sent")


async def test_rows_without_an_id_or_with_that_of_another_are_not_ordered(
    server: Server, client: TutuClient, tmp_path: Path
) -> None:
    rows = [*orders(0, 0), {"id": None, "ask": "draw"}, *orders(1)]
    rows = await answer_rows(client, rows, journal_dir=tmp_path, **ORDERS)
    assert [row["status"] for row in rows] == ["ok", "error", "error", "ok"]
    assert "another row of this batch has the id 'row0'" in rows[1]["error"]
    assert len(server.requests) == 2


async def test_an_order_whose_answer_was_lost_is_not_made_again_unless_asked_for(
    server: Server, tmp_path: Path
) -> None:
    # The process is killed when the relay has the order, and nobody has its answer.
    server.answers(says("late", delay=60))
    code = """
import asyncio, sys
from tutuclient import TutuClient
from tutuclient.batch import answer_rows
async def main():
    async with TutuClient("sk-x", sys.argv[1]) as client:
        rows = [{"id": "row0", "ask": "draw 0"}]
        await answer_rows(client, rows, generate=True, prompt_column="ask", id_column="id", journal_dir=sys.argv[2])
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, server.base_url, str(tmp_path))
    await server.until(lambda: server.in_flight > 0, 60)
    process.kill()
    await process.wait()
    async with TutuClient(KEY, server.base_url) as client:
        lost, made = await answer_rows(client, orders(0, 1), journal_dir=tmp_path, **ORDERS)
        assert (lost["status"], lost["outcome"], lost["error_class"]) == ("error", "unknown", "OutcomeUnknownError")
        assert "resend_unknown=True orders it again" in lost["error"]
        assert (made["status"], len(server.requests)) == ("ok", 2)
        [again] = await answer_rows(client, orders(0), journal_dir=tmp_path, resend_unknown=True, **ORDERS)
        assert (again["status"], len(server.requests)) == ("ok", 3)


async def test_two_workers_that_meet_the_same_rows_order_them_once(server: Server, tmp_path: Path) -> None:
    rows = orders(*range(12))
    clients = [TutuClient(KEY, server.base_url) for _ in range(2)]
    workers = [RowAnswerer(client, journal_dir=tmp_path, **ORDERS) for client in clients]
    answered = await asyncio.gather(*[worker.answer(rows) for worker in (*workers, *workers)])
    for worker, client in zip(workers, clients, strict=True):
        await worker.aclose()
        await client.aclose()
    assert sorted(asked_of(server)) == sorted(row["ask"] for row in rows)
    for batch in answered:
        assert [row["images"] for row in batch] == [row["images"] for row in answered[0]]
        assert all(row["status"] == "ok" for row in batch)


async def test_a_row_whose_order_by_another_came_to_nothing_was_not_sent(
    server: Server, client: TutuClient, tmp_path: Path
) -> None:
    item = Reader("generate", None, {"model": "gpt-4o-image"}).read({"id": "row0", "prompt": "draw 0"}, 0)
    order = Record(k="sent", id=item.id, key=f"{item.key:016x}")
    book = OrderBook(tmp_path)
    other = await book.join({"task": "generate", "prompt": None, "model": "gpt-4o-image"})
    await other.append(order, sync=True)

    async def answer() -> Any:
        return await answer_rows(client, orders(0), journal_dir=tmp_path, **ORDERS)

    waiting = asyncio.ensure_future(answer())
    _, pending = await asyncio.wait([waiting], timeout=0.1)
    assert pending
    await other.append(msgspec.structs.replace(order, k="skip", outcome="rejected"))
    [row] = await waiting
    assert (row["status"], row["outcome"], row["error_class"]) == ("error", "not_sent", "NotOrderedError")
    assert server.requests == []
    [row] = await answer()
    assert (row["status"], len(server.requests)) == ("ok", 1)
    await book.aclose()


async def test_a_failed_order_that_was_not_made_is_made_when_its_row_comes_again(
    server: Server, client: TutuClient, tmp_path: Path
) -> None:
    server.answers(fails(400, "no such image"))
    [row] = await answer_rows(client, orders(0), journal_dir=tmp_path, **ORDERS)
    assert (row["status"], row["outcome"], row["images"]) == ("error", "rejected", [])
    [row] = await answer_rows(client, orders(0), journal_dir=tmp_path, **ORDERS)
    assert (row["status"], len(server.requests)) == ("ok", 2)


async def test_an_image_that_was_made_and_could_not_be_had_is_not_ordered_again(
    server: Server, client: TutuClient, tmp_path: Path
) -> None:
    server.answers(says("here it is, in words"))
    for _ in range(2):
        [row] = await answer_rows(client, orders(0), journal_dir=tmp_path, **ORDERS)
        assert (row["status"], row["outcome"], row["error_class"]) == ("error", "done", "NoImageError")
        assert row["text"] == "here it is, in words"
    assert len(server.requests) == 1


async def test_another_prompt_in_the_same_folder_is_refused(client: TutuClient, tmp_path: Path) -> None:
    await answer_rows(client, orders(0), "a", journal_dir=tmp_path, **ORDERS)
    with pytest.raises(ConfigError, match="prompt was 'a', is 'b'"):
        await answer_rows(client, orders(0), "b", journal_dir=tmp_path, **ORDERS)


async def test_a_default_that_a_worker_says_is_the_same_order(
    server: Server, client: TutuClient, tmp_path: Path
) -> None:
    rows = [{"id": "a", "image": PNG}]
    spelled: list[dict[str, Any]] = [{}, {"detail": "high"}]
    workers = [
        RowAnswerer(client, "Blue", edit=True, id_column="id", journal_dir=tmp_path, **looks)
        for looks in (*spelled, *spelled)
    ]
    answered = await asyncio.gather(*[worker.answer(rows) for worker in workers])
    for worker in workers:
        await worker.aclose()
    assert all(row["status"] == "ok" for [row] in answered)
    assert len({row["images"][0] for [row] in answered}) == 1
    assert len(server.requests) == 1


async def test_paying_twice_is_allowed_in_so_many_words(server: Server, client: TutuClient, tmp_path: Path) -> None:
    for _ in range(2):
        [row] = await answer_rows(client, orders(0), images_dir=tmp_path, allow_paying_twice=True, **ORDERS)
        assert Path(row["images"][0]).is_relative_to(tmp_path)
    assert len(server.requests) == 2


def test_neither_pyarrow_nor_pandas_is_imported_for_a_list() -> None:
    code = (
        "import sys, tutuclient.batch; from tutuclient.batch import answer_rows; from tutuclient import TutuClient;"
        "answer_rows(TutuClient('sk-x'), [{'image': 'x'}], 'What?');"
        "sys.exit(bool({'pyarrow', 'pandas', 'numpy', 'ray', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603  (our own code)


def test_the_recipes_run_as_they_stand(tutu_relay: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The code for every engine, and the generator for Spark, which is run outside of any loop."""
    monkeypatch.setenv("TUTU_API_KEY", KEY)
    monkeypatch.setenv("TUTU_BASE_URL", tutu_relay.base_url)
    (tmp_path / "cat.png").write_bytes(PNG)
    names: dict[str, Any] = {"TutuClient": TutuClient, "answer_rows": answer_rows, "asyncio": asyncio}
    recipes = re.findall(r"::\n\n((?: {4,}.*\n|\n)+)", rows.__doc__ or "")
    for recipe in recipes:
        exec(textwrap.dedent(recipe), names)  # noqa: S102  (our own documentation)
    assert len(recipes) == 2
    assert all((ROOT / path).exists() for path in re.findall(r"``(tests/\S+)``", rows.__doc__ or ""))
    assert names["client"]._settings.rate == 600 / 60 / 8
    names["client"] = TutuClient()
    batches = [pa.RecordBatch.from_pydict({"uri": [str(tmp_path / "cat.png")] * 2}) for _ in range(2)]
    answered = list(names["answered"](iter(batches)))
    assert [batch.column("status").to_pylist() for batch in answered] == [["ok", "ok"], ["ok", "ok"]]
    assert all(isinstance(batch, pa.RecordBatch) for batch in answered)
    assert len(tutu_relay.requests) == 4


def test_the_command_for_schedulers_runs_as_often_as_they_like(
    tutu_relay: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TUTU_API_KEY", KEY)
    monkeypatch.setenv("TUTU_BASE_URL", tutu_relay.base_url)
    monkeypatch.chdir(tmp_path)
    Path("cat.png").write_bytes(PNG)
    named = re.search(r"``tutuclient (batch run … .*?)``", rows.__doc__ or "")
    assert named is not None
    words = [word for each in named[1].split() for word in (("cat.png", "What?") if each == "…" else (each,))]
    assert [cli.run(words), cli.run(words)] == [0, 0]
    assert len([request for request in tutu_relay.requests if request.path.endswith("/completions")]) == 1


def test_a_scheduler_that_found_no_relay_runs_the_same_command_again(
    tutu_relay: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUTU_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    Path("cat.png").write_bytes(PNG)
    command = ["batch", "run", "cat.png", "What?", "-o", "run", "--json", "--base-url"]
    assert cli.run([*command, "http://127.0.0.1:1/v1"]) == 6
    assert json.loads(capsys.readouterr().out)["deferred"] == 1
    assert cli.run([*command, tutu_relay.base_url]) == 0
    assert json.loads(capsys.readouterr().out)["answered"] == 1


async def test_attempts_tell_how_often_a_row_was_tried(server: Server, client: TutuClient, tmp_path: Path) -> None:
    """A missing file is found by the first attempt, before anything is sent; a row without an image is not tried."""
    asked: list[dict[str, Any]] = [{"image": PNG}, {"image": str(tmp_path / "gone.png")}, {"image": None}]
    answered = await answer_rows(client, asked, "What?")
    assert [(row["status"], row["attempts"]) for row in answered] == [("ok", 1), ("error", 1), ("error", 0)]
    assert len(server.requests) == 1
