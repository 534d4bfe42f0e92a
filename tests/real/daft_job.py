"""The recipe for Daft: a class that holds the client, and a method that answers a batch. Run by test_ray.py."""

from __future__ import annotations

import sys

import daft
from daft import DataType, Series, col

from tutuclient import TutuClient
from tutuclient.batch import answer_rows

COLUMNS = {"status": DataType.string(), "text": DataType.string(), "error": DataType.string()}


@daft.cls(max_concurrency=1)
class Asks:
    """Asks about images, in batches, within the limits of the client."""

    def __init__(self, client: TutuClient) -> None:
        self._client = client

    @daft.method.batch(return_dtype=DataType.struct(COLUMNS))  # type: ignore[untyped-decorator,unused-ignore]
    async def what(self, images: Series) -> list[dict[str, object]]:
        """Return what is in images."""
        rows = await answer_rows(self._client, [{"image": each} for each in images.to_pylist()], "What?")
        return [{name: row[name] for name in COLUMNS} for row in rows]


url, source, target = sys.argv[1:]
asks = Asks(TutuClient(base_url=url, max_concurrency=8))
daft.read_parquet(source).with_column("answer", asks.what(col("image"))).write_parquet(target)
