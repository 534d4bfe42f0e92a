"""A request of the page as code: it runs, and asks for the same."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import finished
from tutuclient.testing import sample_picture
from tutuclient.ui.calls import Asked
from tutuclient.ui.images import file_name
from tutuclient.ui.snippets import as_curl, as_python

if TYPE_CHECKING:
    from tutuclient.testing import Server

HOSTILE = "it's \"quoted\" $(touch owned) `touch owned` \\ %s !! \u202e 猫\n'; touch owned #\t\x1b[31m\x00 data:…"
NAMES = ["cat.png", "猫 'n' $(touch owned).png", "-rf.png", '"; touch owned; ".png']
# What curl would do with its arguments and what is piped in.
_CURL = (
    'curl() { printf "%s\\0" "$@" >arguments; '
    'case "$*" in *@-*) cat >body;; *) printf "%s" "${@: -1}" >body;; esac; }\n'
)


def asked(task: Any, prompt: str = "What is this?") -> Asked:
    model = "gpt-4o" if task == "ask" else "gpt-4o-image"
    return Asked(id="x" * 20, task=task, prompt=prompt, model=model, image=None if task == "generate" else "i")


@pytest.fixture
def relay(tutu_relay: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTU_API_KEY", "sk-from-the-environment")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return tutu_relay


def content_of(body: dict[str, Any]) -> Any:
    return body["model"], body.get("stream"), body["messages"]


@pytest.mark.parametrize("task", ["ask", "edit", "generate"])
def test_the_program_runs_and_makes_the_same_call(relay: Server, task: str) -> None:
    Path("cat.png").write_bytes(sample_picture())
    program = as_python(asked(task), "cat.png", relay.base_url)
    done = finished(code=program)
    assert (done.code, done.err) == (0, "")
    body = relay.requests[-1].json
    parts = body["messages"][0]["content"]
    assert (parts if task == "generate" else parts[0]["text"]) == "What is this?"
    assert relay.requests[-1].headers["Authorization"] == "Bearer sk-from-the-environment"
    if task == "ask":
        assert "720x540" in done.out
    else:
        assert Path(done.out.strip()).stat().st_size > 1000


@pytest.mark.parametrize("task", ["ask", "edit", "generate"])
@pytest.mark.parametrize("name", NAMES)
def test_hostile_prompts_and_names_stay_text_in_python(task: str, name: str) -> None:
    program = as_python(asked(task, HOSTILE), name, "http://127.0.0.1:1/v1")
    assert "\u202e" not in program
    assert HOSTILE in [getattr(node, "value", None) for node in _nodes(program)]


def _nodes(program: str) -> list[Any]:
    return list(ast.walk(ast.parse(program)))


@pytest.mark.parametrize("task", ["ask", "edit", "generate"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prompt", ["What is this?", HOSTILE])
def test_the_command_sends_the_same_and_runs_nothing_else(relay: Server, task: str, name: str, prompt: str) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    kept = file_name(name, "image/png")
    Path(kept).write_bytes(sample_picture())
    command = as_curl(asked(task, prompt), kept, relay.base_url)
    subprocess.run([bash, "-c", _CURL + command], check=True)  # noqa: S603  (our own command)
    assert not Path("owned").exists()
    arguments = Path("arguments").read_text("utf-8").split("\0")
    assert f"{relay.base_url}/chat/completions" in arguments
    assert "Authorization: Bearer sk-from-the-environment" in arguments
    assert "sk-" not in command
    sent = json.loads(Path("body").read_bytes())
    program = as_python(asked(task, prompt), kept, relay.base_url)
    assert finished(code=program).code == 0
    # What only the program's answers want does not change what is asked.
    assert content_of(sent) == content_of(relay.requests[-1].json)


def test_the_key_is_in_neither() -> None:
    for made in (as_python, as_curl):
        text = made(asked("edit"), "cat.png", "https://relay.example/v1")
        assert "TUTU_API_KEY" in text
        assert "sk-" not in text


@pytest.mark.parametrize(
    ("name", "mime"), [("a.jpg", "image/jpeg"), ("b.webp", "image/webp"), ("c.heic", "image/heic")]
)
def test_the_type_in_the_command_is_the_images(name: str, mime: str) -> None:
    assert f"data:{mime};base64," in as_curl(asked("ask"), name, "https://relay.example/v1")
