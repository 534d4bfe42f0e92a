"""Many images with tutuclient: ``map``, and what people wrote before there was one."""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.contenders import KEY, MODEL, QUESTION
from tutuclient import TutuClient, TutuError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_WORKERS = 32
_RECIPE = 16


class Map:
    """``client.map`` as it comes: what the relay stands has to be learnt."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    async def answer(
        self,
        paths: Sequence[Path],
        done: Callable[[], None],
        limit: Mapping[str, Any],  # noqa: ARG002  (Typed's)
    ) -> None:
        await self._map(paths, done)

    async def _map(self, paths: Sequence[Path], done: Callable[[], None], **options: Any) -> None:
        async with (
            TutuClient(KEY, self._base_url) as client,
            client.map(paths, QUESTION, model=MODEL, **options) as run,
        ):
            async for result in run:
                if result.ok:
                    done()


class Typed(Map):
    """The same with the relay's limit typed in: ``rate=`` or ``concurrency=``."""

    async def answer(self, paths: Sequence[Path], done: Callable[[], None], limit: Mapping[str, Any]) -> None:
        await self._map(paths, done, **limit)


class MapWithJournal(Map):
    """The same with ``journal=``, on the disk of temporary files."""

    options: ClassVar[dict[str, Any]] = {}

    async def answer(
        self,
        paths: Sequence[Path],
        done: Callable[[], None],
        limit: Mapping[str, Any],  # noqa: ARG002  (Typed's)
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            await self._map(paths, done, journal=folder, **self.options)


class NarrowWithJournal(MapWithJournal):
    """The same with as many at once as there are bare workers."""

    options: ClassVar[dict[str, Any]] = {"concurrency": _WORKERS}


class Workers:
    """A few workers over one iterator: the least that somebody careful writes."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    async def answer(
        self,
        paths: Sequence[Path],
        done: Callable[[], None],
        limit: Mapping[str, Any],  # noqa: ARG002  (Typed's)
    ) -> None:
        left = iter(paths)

        async def work(client: TutuClient) -> None:
            for path in left:
                try:
                    answer = await client.analyze(path, QUESTION, model=MODEL)
                except TutuError:
                    continue
                if answer.text:
                    done()

        async with TutuClient(KEY, self._base_url) as client, asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(work(client))


class Recipe:
    """What the README showed before there was ``map``: a task a file, and the client's limit of 16."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    async def answer(
        self,
        paths: Sequence[Path],
        done: Callable[[], None],
        limit: Mapping[str, Any],  # noqa: ARG002  (Typed's)
    ) -> None:
        async def describe(path: Path) -> None:
            try:
                answer = await client.analyze(path, QUESTION, model=MODEL)
            except TutuError:
                return
            if answer.text:
                done()

        async with TutuClient(KEY, self._base_url, max_concurrency=_RECIPE) as client, asyncio.TaskGroup() as group:
            for path in paths:
                group.create_task(describe(path))
