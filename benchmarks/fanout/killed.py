"""The run that is killed: ``python -m benchmarks.fanout.killed JSON`` goes on with a journal until it is done, or dead.

The JSON names the relay's base URL, the run's folder, the task, the number of items and how many at once. It prints
``begun`` before the run, ``ok ID`` or ``failed ID`` as each result is handed on, and at its end ``end`` and the ids of
those whose outcome is unknown. Each line is one write to the pipe, so that what was handed on before a kill is read.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import KEY, QUESTION
from tutuclient import TutuClient

if TYPE_CHECKING:
    from collections.abc import Iterator

_IMAGE = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(200)


def _tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _items(count: int) -> Iterator[dict[str, Any]]:
    # The item stands in the request's line as well, where the relay notes it.
    for number in range(count):
        yield {"id": f"item{number}", "image": _IMAGE, "extra_query": {"item": f"item{number}"}}


async def main(asked: dict[str, Any]) -> None:
    """Answer what is left of the items."""
    options = {"journal": asked["folder"], "concurrency": asked["at_once"], "edit": asked["edit"]}
    async with TutuClient(KEY, asked["base_url"]) as client:
        _tell("begun")
        async with client.map(_items(asked["count"]), QUESTION, **options) as run:
            async for result in run:
                _tell(f"{'ok' if result.ok else 'failed'} {result.id}")
        _tell(f"end {' '.join(run.summary().unknown)}")


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
