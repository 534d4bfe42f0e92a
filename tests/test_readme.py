"""Every example of the README runs, against the embedded relay, and is typed as strictly as our own code."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from tutuclient import cli
from tutuclient.testing import Server, fails, sample_picture, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("tutuclient ")
]
RUNNABLE = [number for number, example in enumerate(EXAMPLES) if "asyncio.run" in example]


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "images").mkdir()
    for name in ("cat.jpg", "images/a.jpg", "images/b.jpg"):
        (tmp_path / name).write_bytes(sample_picture())
    with serve_in_thread(key="sk-readme") as server:
        monkeypatch.setenv("TUTU_API_KEY", "sk-readme")
        monkeypatch.setenv("TUTU_BASE_URL", server.base_url)
        monkeypatch.chdir(tmp_path)
        yield server


def test_the_readme_has_examples() -> None:
    assert len(EXAMPLES) == 8
    assert len(RUNNABLE) == 7


@pytest.mark.slow
@pytest.mark.parametrize("example", [pytest.param(EXAMPLES[number], id=str(number)) for number in RUNNABLE])
def test_an_example_runs_as_it_stands(relay: Server, example: str) -> None:
    done = subprocess.run(  # noqa: S603  (our own README)
        [sys.executable, "-X", "dev", "-W", "error", "-c", example],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if "sky.png" in example:
        assert Path("sky.png").read_bytes().startswith(b"\x89PNG")
    if "client.map" in example:
        named = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("images")}
        assert named == {str(Path("images") / name) for name in ("a.jpg", "b.jpg")}
        assert "2 answered, 0 failed" in done.stdout
    if "testing" not in example:
        assert relay.requests


WAITING = [command for command in COMMANDS if command[0] == "serve" or command == ["chat"]]
"""What waits for somebody: servers, and a conversation."""


@pytest.mark.slow
def test_the_commands_run_as_they_stand(relay: Server) -> None:
    """In their order, since some go on with what others have made; images are not overwritten, so none is there yet."""
    codes, made = dict[str, int](), set[str]()
    for command in COMMANDS:
        if command not in WAITING:
            codes[shlex.join(command)] = cli.run(command)
            made |= {path.name for path in Path().iterdir()}
            for path in Path().glob("*.png"):
                path.unlink()
    assert len(codes) >= 14
    assert set(codes.values()) == {0}, codes
    assert {"cat-outside.png", "reading.png", "hello.wav", "cats"} <= made
    assert relay.requests


@pytest.mark.parametrize("command", WAITING, ids=" ".join)
def test_a_command_that_waits_has_the_options_that_are_named(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([command[0], "--help"]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in command if word.startswith("--"))


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    for number, example in enumerate(EXAMPLES):
        (tmp_path / f"example_{number}.py").write_text(example, encoding="utf-8")
    return tmp_path


def checked(*command: str) -> str:
    done = subprocess.run(  # noqa: S603  (our own tools)
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=240, check=False, cwd=ROOT
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_examples_are_typed_by_mypys_strictest_word(examples: Path) -> None:
    cache = ROOT / ".mypy_cache" / "readme"
    assert not checked("mypy", "--strict", "--config-file=", f"--cache-dir={cache}", str(examples))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_examples_are_typed_by_pyrights_strictest_word(examples: Path) -> None:
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "include": ["."]}
    (examples / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    assert not checked("pyright", f"--project={examples}", f"--pythonpath={sys.executable}")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_checker_finds_a_keyword_that_is_misspelt(tmp_path: Path) -> None:
    (example,) = (example for example in EXAMPLES if "enable_thinking" in example)
    (tmp_path / "misspelt.py").write_text(example.replace("temperature=", "temprature="), encoding="utf-8")
    cache = ROOT / ".mypy_cache" / "readme"
    found = checked("mypy", "--strict", "--config-file=", f"--cache-dir={cache}", str(tmp_path / "misspelt.py"))
    assert 'Unexpected keyword argument "temprature"' in found


def test_the_web_app_answers(relay: Server) -> None:
    (example,) = (example for example in EXAMPLES if "fastapi" in example)
    names: dict[str, object] = {}
    exec(example, names)  # noqa: S102  (our own README)
    headers = {"content-type": "image/jpeg"}
    with TestClient(names["app"]) as web:  # type: ignore[arg-type]  # it is the FastAPI of the example
        answer = web.post("/describe", content=sample_picture(), headers=headers)
        assert answer.status_code == 200
        assert "PNG" in answer.json()["choices"][0]["message"]["content"]
        refused = web.post("/describe", content=b"no image at all", headers=headers)
        assert refused.status_code == 400
        assert "text" in refused.json()["detail"]
        told = web.post("/narrate", content=sample_picture(), headers=headers).text
        assert told.count("data: ") > 10
        assert web.post("/narrate", content=b"no image at all", headers=headers).status_code == 400
        relay.answers(fails(500, "broken"), fails(500, "broken"), fails(500, "broken"))
        failed = web.post("/describe", content=sample_picture(), headers=headers)
        assert failed.status_code == 502
        assert failed.json()["detail"]["outcome"] == "rejected"


def test_the_readme_names_only_what_is_there() -> None:
    import tutuclient  # noqa: PLC0415  (looked into, not used)

    table = README.split("## What can go wrong")[1].split("## Coming")[0]
    named = set(re.findall(r"`(\w+Error)`", table))
    assert named <= set(tutuclient.__all__)
    raised = {name for name in tutuclient.__all__ if name.endswith("Error")}
    roots = {"TutuError", "OpenAIError", "APIError", "APIStatusError", "APIResponseValidationError"}
    assert named - roots == raised - roots


def test_help_is_found_after_the_import_of_the_package_alone() -> None:
    names = sorted(set(re.findall(r"help\(([\w.]+)\)", README)))
    assert {"tutuclient.compat", "TutuClient.map"} <= {*names}
    lines = "".join(f"assert {name}.__doc__, {name!r}\n" for name in names)
    code = f"import tutuclient\nfrom tutuclient import *\n{lines}assert tutuclient.testing.__doc__"
    done = subprocess.run(  # noqa: S603  (our own names)
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
