"""The host that images are fetched from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.downloads.hosts import UntrustedHost, untrusted_host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def host() -> AsyncIterator[UntrustedHost]:
    async with untrusted_host() as host:
        yield host
