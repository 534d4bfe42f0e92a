from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from benchmarks import scale

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parent.parent
_WORKLOADS = {
    "W1",
    "W2 bursts",
    "W2 one chunk a read",
    "W2 slow reads",
    "W3 stream",
    "W3 b64_json",
    "W4 one",
    "W4 16 at once",
    "W5",
    "W6",
    "W7",
    "W7 installed",
    "W8",
}


async def _benchmarks(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks", *arguments, cwd=_ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def test_every_workload_gives_figures() -> None:
    # Of peers nothing is promised: whoever has them installed waits for them only when measuring.
    output = await _benchmarks("--tiny", "--contender", "by hand", "--contender", "tutuclient")
    medians = output.partition("## All medians")[2].partition("## All goals")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in medians.splitlines() if line.startswith("|")]
    assert rows[0] == ["", "by hand", "tutuclient"]
    assert {label.partition(":")[0] for label, *_ in rows[2:]} == _WORKLOADS
    assert all(by_hand != "-" for _, by_hand, _ in rows[2:])
    assert all(ours != "-" for _, _, ours in rows[2:])


async def test_the_workloads_run_over_tls_too() -> None:
    output = await _benchmarks(
        "--tiny", "--tls", "--only", "W1,W8", "--contender", "by hand", "--contender", "tutuclient"
    )
    assert "## W1: small vision requests (picture by URL), 64 at once, over TLS" in output
    medians = output.partition("## All medians")[2].partition("## All goals")[0]
    assert medians.count("| W1") == 2
    assert medians.count("| W8") == 4
    assert "| - |" not in medians


async def test_growth_writes_a_plot(tmp_path: Path) -> None:
    output = await _benchmarks("growth", "--tiny", "--plot", str(tmp_path / "growth.svg"))
    assert "by streams open at once" in output
    assert (tmp_path / "growth.svg").read_text(encoding="utf-8").startswith("<svg")


async def test_no_call_is_lost_over_two_relays_and_no_image_is_made_again() -> None:
    output = await _benchmarks("relays", "--tiny")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in output.splitlines() if "| tutuclient |" in line
    ]
    assert len(rows) == 8
    assert {row[2] for row in rows} == {"0"}
    assert {row[4] for row in rows if row[0].startswith("orders")} == {"0"}


async def test_the_simulation_of_many_workers_prints_a_table_for_each_relay_and_event() -> None:
    output = await _benchmarks("scale", "--tiny")
    assert output.count("\n## ") == len(scale.RELAYS) * len(scale.EVENTS) + 1
    assert output.count("| 2 ") == len(scale.RELAYS) * len(scale.EVENTS)


async def test_the_simulation_prints_the_table_of_scale_md_at_last() -> None:
    output = await _benchmarks("scale", "--tiny")
    table = output.partition("## In short")[2].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table if line.startswith("|")]
    assert head == ["relay, workers", *scale.WAYS]
    assert [label for label, *_ in rows] == [f"{relay}, 2" for relay in scale.RELAYS]
    assert all(re.fullmatch(r"\d+ / \d+\.\d / \d+", cell) for _, *cells in rows for cell in cells)
