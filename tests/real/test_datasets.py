"""Images of Hugging Face's ``datasets`` as items of a run: decoded (Pillow) and not (their bytes and path)."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import datasets
import pytest
from PIL import Image

from tests.conftest import KEY
from tutuclient import TutuClient
from tutuclient.batch import answer_rows
from tutuclient.testing import serve, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("default")  # Its dependencies' own.

FORMS: dict[str, Callable[[Any], Any]] = {
    "decoded": lambda rows: rows["image"],
    "not decoded": lambda rows: rows.cast_column("image", datasets.Image(decode=False))["image"],
    "rows": lambda rows: rows.select_columns("image"),
    "rows, not decoded": lambda rows: rows.select_columns("image").cast_column("image", datasets.Image(decode=False)),
    "pairs": lambda rows: ((f"row {number}", row["image"]) for number, row in enumerate(rows)),
    "streamed": lambda rows: (row["image"] for row in rows.to_iterable_dataset()),
}


def dataset(folder: Path, kind: str) -> Any:
    """Return three rows, whose images are files or, as on the hub, within a Parquet file."""
    paths = [folder / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (40, 20), (80 * number, 0, 0)).save(path)
    rows: Any = datasets.Dataset.from_dict({"image": list(map(str, paths)), "label": [0, 1, 2]})
    rows = rows.cast_column("image", datasets.Image())
    if kind == "files":
        return rows
    kept = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    embedded: Any = datasets.Dataset.from_dict({"image": kept, "label": [0, 1, 2]})
    embedded.cast_column("image", datasets.Image()).to_parquet(folder / "rows.parquet")
    for path in paths:
        path.unlink()
    return datasets.Dataset.from_parquet(str(folder / "rows.parquet"), cache_dir=str(folder / "cache"))


@pytest.mark.parametrize("kind", ["files", "parquet"])
@pytest.mark.parametrize("form", FORMS)
async def test_rows_are_sent(form: str, kind: str, tmp_path: Path) -> None:
    rows = dataset(tmp_path, kind)
    async with serve() as server, TutuClient(KEY, server.base_url) as client:
        for _ in range(2):
            run = client.map(FORMS[form](rows), "what?", journal=tmp_path / "run", ordered=True)
            results = await run.gather()
            if results:
                assert [(result.ok, result.index) for result in results] == [(True, 0), (True, 1), (True, 2)]
        assert run.summary().skipped == len(server.requests) == 3
        shown = [request.json["messages"][0]["content"][1]["image_url"]["url"] for request in server.requests]
        assert len(set(shown)) == 3
        assert all(url.startswith("data:image/png;base64,") for url in shown)


@pytest.mark.parametrize("kind", ["files", "parquet"])
@pytest.mark.parametrize("decoded", [True, False])
def test_a_dataset_is_mapped_in_batches(decoded: bool, kind: str, tmp_path: Path) -> None:
    rows = dataset(tmp_path, kind)
    rows = rows if decoded else rows.cast_column("image", datasets.Image(decode=False))
    with serve_in_thread() as server:

        async def answer(columns: dict[str, list[Any]]) -> Any:
            # Its connections end with it: map has a loop of its own, which it drops without closing it.
            async with TutuClient(KEY, server.base_url) as client:
                answered: Any = await answer_rows(client, {"image": columns["image"]}, "what?")
            del answered["image"]
            return answered

        # Once for all rows, and once a row at a time, which datasets asks for at the same time.
        for size in (3, 1):
            answered = rows.map(answer, batched=True, batch_size=size, load_from_cache_file=False)
            assert answered["status"][:] == ["ok"] * 3
            assert answered["label"][:] == [0, 1, 2]
        assert len(server.requests) == 6
    gc.collect()  # The loops that it has dropped complain of that.


@pytest.mark.parametrize("form", FORMS)
async def test_equal_rows_are_asked_once(form: str, tmp_path: Path) -> None:
    rows = dataset(tmp_path, "parquet")
    twice = datasets.concatenate_datasets([rows, rows])
    async with serve() as server, TutuClient(KEY, server.base_url) as client:
        results = await client.map(FORMS[form](twice), "what?", dedupe=True).gather()
        assert len(results) == 6
        assert len(server.requests) == 3
        assert sum(result.same_as is None for result in results) == 3
