"""The README's three uses beside the same programs written with the openai package: both run, and both are counted."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tutuclient.testing import Server, sample_picture, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
WEB, FAN_OUT, STREAM = EXAMPLES[:3]
THEIRS = {
    name: (Path(__file__).parent / "uses" / f"openai_{name}.py").read_text(encoding="utf-8")
    for name in ("web", "fan_out", "stream")
}
OURS = {"web": WEB, "fan_out": FAN_OUT, "stream": STREAM}


def jpeg() -> bytes:
    written = io.BytesIO()
    Image.open(io.BytesIO(sample_picture())).save(written, "JPEG")
    return written.getvalue()


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "images").mkdir()
    for name in ("cat.jpg", "images/a.jpg", "images/b.jpg"):
        (tmp_path / name).write_bytes(jpeg())
    with serve_in_thread(key="sk-readme") as server:
        for name in ("TUTU", "OPENAI"):
            monkeypatch.setenv(f"{name}_API_KEY", "sk-readme")
            monkeypatch.setenv(f"{name}_BASE_URL", server.base_url)
        monkeypatch.chdir(tmp_path)
        yield server


def lines(program: str) -> int:
    """Return how many lines a program has, without blank ones, comments and its docstring."""
    tree = ast.parse(program)
    if ast.get_docstring(tree) is not None:
        tree.body = tree.body[1:]
    first = tree.body[0].lineno
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in program.splitlines()[first - 1 :])


def printed(program: str) -> str:
    done = subprocess.run(  # noqa: S603  (our own programs)
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", OURS)
def test_the_readme_counts_the_lines_of_both(name: str) -> None:
    rows = re.findall(r"^\| .*? \| (\d+) \| (\d+) \|", README.split("| lines of code |")[1], re.MULTILINE)
    assert rows[list(OURS).index(name)] == (str(lines(OURS[name])), str(lines(THEIRS[name])))


@pytest.mark.parametrize("programs", [OURS, THEIRS], ids=["tutuclient", "openai"])
def test_a_folder_is_answered_once(relay: Server, programs: dict[str, str]) -> None:
    first = printed(programs["fan_out"])
    assert "a.jpg" in first
    assert "b.jpg" in first
    printed(programs["fan_out"])
    assert len(relay.requests) == 2


@pytest.mark.parametrize("programs", [OURS, THEIRS], ids=["tutuclient", "openai"])
def test_tokens_are_printed_and_a_cut_is_told(relay: Server, programs: dict[str, str]) -> None:
    assert "stop" in printed(programs["stream"])
    relay.faults("fin_mid_stream", after=3)
    assert "The stream was cut. What came: one two three" in printed(programs["stream"])


@pytest.mark.parametrize("programs", [OURS, THEIRS], ids=["tutuclient", "openai"])
@pytest.mark.usefixtures("relay")
def test_a_web_app_answers_and_streams(programs: dict[str, str]) -> None:
    names: dict[str, object] = {}
    exec(programs["web"], names)  # noqa: S102  (our own programs)
    headers = {"content-type": "image/jpeg"}
    with TestClient(names["app"]) as web:  # type: ignore[arg-type]  # it is the program's FastAPI
        answer = web.post("/describe", content=jpeg(), headers=headers)
        assert "JPEG" in answer.json()["choices"][0]["message"]["content"]
        assert web.post("/describe", content=b"no image at all", headers=headers).status_code == 400
        assert web.post("/narrate", content=jpeg(), headers=headers).text.count("data: ") > 10
