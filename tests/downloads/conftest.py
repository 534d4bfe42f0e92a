"""The host that images are fetched from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.downloads.hosts import Stranger, stranger_at_work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def stranger() -> AsyncIterator[Stranger]:
    async with stranger_at_work() as stranger:
        yield stranger
