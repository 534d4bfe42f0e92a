"""What is built: with all its files; and what ``.hatch_build.py`` does then: an older Python is told at once."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load the hook as hatchling does, which is only there while the package is built."""
    interface: Any = ModuleType("hatchling.metadata.plugin.interface")
    interface.MetadataHookInterface = object
    for name in ("hatchling", "hatchling.metadata", "hatchling.metadata.plugin"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    return runpy.run_path(str(ROOT / ".hatch_build.py"))["PythonIsNewEnough"]()


@pytest.mark.parametrize("version", [(3, 8, 20), (3, 10, 13)])
def test_an_older_python_is_named(hook: Any, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    shown = ".".join(map(str, version))
    with pytest.raises(SystemExit, match=f"needs Python 3.11 or newer, and this is Python {re.escape(shown)}"):
        hook.update({})


def test_the_oldest_python_named_is_the_one_that_is_declared(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = re.search(r'requires-python = ">=(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert declared is not None
    monkeypatch.setattr(sys, "version_info", (int(declared[1]), int(declared[2]), 0))
    metadata: dict[str, object] = {}
    hook.update(metadata)
    assert metadata == {}


def test_the_demos_command_installs_what_the_demo_needs() -> None:
    (command,) = [
        line
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.endswith("tutuclient demo")
    ]
    assert '".[cli,images]"' in command


@pytest.mark.parametrize("builder", [SdistBuilder, WheelBuilder])
@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("tutuclient/batch/report/page", {"index.html", "report.css", "report.js", "charts.js", "icon.svg"}),
        ("tutuclient/ui/page", {"index.html", "style.css", "app.js", "words.js", "icon.svg"}),
    ],
)
def test_the_pages_are_built_in(builder: Any, page: str, wanted: set[str]) -> None:
    built = {file.distribution_path for file in builder(str(ROOT)).recurse_included_files()}
    assert {path.name for path in (ROOT / page).iterdir()} == wanted
    assert {f"{page}/{name}" for name in wanted} <= built
