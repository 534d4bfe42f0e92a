"""The soak in small: ``python -m benchmarks.soak`` makes 100,000 calls, this 2,000."""

from __future__ import annotations

import sys

import pytest

from benchmarks import soak

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform != "linux", reason="memory and open files are read from /proc")
def test_nothing_is_lost_and_nothing_left_open() -> None:
    report = soak.run(2000, concurrency=100, share=0.3, seed=1)
    assert report.lost == []
    assert report.left == {}
    assert report.own + report.errors.total() == 2000
    assert report.own > 1400
    assert report.faulty > 400
    assert max(report.memory_mib) < 2 * report.memory_mib[0]
