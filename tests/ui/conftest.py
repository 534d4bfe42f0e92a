"""A relay, and a client of it with a key that may not be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import QUICK
from tutuclient import TutuClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tutuclient.testing import Server

KEY = "sk-never-shown-0123456789"


@pytest.fixture
async def ui_client(server: Server) -> AsyncIterator[TutuClient]:
    async with TutuClient(KEY, server.base_url, retry=QUICK) as client:
        yield client
