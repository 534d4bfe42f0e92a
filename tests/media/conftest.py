"""What the tests of sources and uploads need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.media.uploads import (
    DATA,
    DEV,
    put,
)
from tutuclient.media import sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sources, "PIECE_BYTES", 12)
    return 12


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return put(tmp_path / "cat.png", DATA)


@pytest.fixture
def fds() -> Callable[[], int]:
    return lambda: len(list(DEV.iterdir()))
