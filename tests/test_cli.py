"""The command line as people and scripts meet it: most of it in this process, terminals and signals in others."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest
from PIL import Image

import tutuclient
from tutuclient import TutuClient, cli
from tutuclient.testing import Server, chunk, draws, fails, rate_limited, raw, sample_picture, says, streams
from tutuclient.testing.pages.panel import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tutuclient.testing import Recorded, Scripted
    from tutuclient.testing.script import Answer

KEY = "sk-test-0123456789abcdef"
COMMANDS = ("analyze", "edit", "generate", "chat", "models", "serve", "demo")
SKY = "请将这张图片的背景替换为蓝天白云"
LONG = 20.0
"""Seconds after which a process that should have ended is given up."""


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value


@pytest.fixture(autouse=True)
def relay(tutu_relay: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """A relay the environment names, and an empty folder to work in, with one picture."""
    monkeypatch.setenv("TUTU_API_KEY", KEY)
    monkeypatch.setenv("TUTU_BASE_URL", tutu_relay.base_url)
    monkeypatch.setenv("PYTHONPATH", str(Path(tutuclient.__file__).parents[1]))
    monkeypatch.chdir(tmp_path)
    Path("cat.png").write_bytes(sample_picture())
    return tutu_relay


@pytest.fixture
def tutu(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run a command in this process, away from any terminal."""

    def call(*arguments: str, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = cli.run(arguments)
        out, err = capfdbinary.readouterr()
        return Done(code, out.decode(), err.decode())

    return call


@contextmanager
def process(*arguments: str, code: str = "", **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a process of its own: the command, or Python code."""
    command = ["-c", textwrap.dedent(code)] if code else ["-m", "tutuclient"]
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with subprocess.Popen([sys.executable, *command, *arguments], text=True, **options) as started:  # noqa: S603  (our own code)
        try:
            yield started
        finally:
            started.kill()


def interrupted(started: subprocess.Popen[str]) -> Done:
    started.send_signal(signal.SIGINT)
    return ended(started)


def ended(started: subprocess.Popen[str]) -> Done:
    out, err = started.communicate(timeout=LONG)
    return Done(started.returncode, out, err)


def finished(*arguments: str, code: str = "", **options: Any) -> Done:
    with process(*arguments, code=code, **options) as started:
        return ended(started)


def read(started: subprocess.Popen[str], last: str) -> str:
    """Read what a process prints, as far as these words."""
    shown = ""
    assert started.stdout is not None
    while last not in shown:
        more = started.stdout.read(1)
        assert more, ended(started)
        shown += more
    return shown


class Terminal:
    """A command on a terminal of its own, 100 columns wide."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 100))
        environ = {**os.environ, "TERM": "xterm-256color", **environ}
        self._running = process(*arguments, stdin=slave, stdout=slave, stderr=slave, env=environ)
        self._process = self._running.__enter__()
        os.close(slave)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.__exit__(None, None, None)
        os.close(self._master)

    @property
    def plain(self) -> str:
        """What is shown, without colours and what moves the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.shown)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # How Linux says that nobody has the other end any more.
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)

    def wait_for(self, words: str) -> None:
        until = time.monotonic() + LONG
        while words not in self.plain:
            assert time.monotonic() < until, self.shown
            assert self._read(0.1), self.shown

    def type(self, keys: str) -> None:
        self.shown = ""
        os.write(self._master, keys.encode())

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        until = time.monotonic() + LONG
        while time.monotonic() < until and self._read(0.1):
            pass
        return self._process.wait(LONG)


def taken_from(place: str) -> bytes:
    """Read and remove a picture that was left in the folder for passing things."""
    path = Path(place.strip())
    data = path.read_bytes()
    path.unlink()
    return data


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def one_line(err: str) -> str:
    """The error line, which is the only one."""
    assert err.startswith("error: "), err
    assert err.count("\n") == 1, err
    return err


# --- help -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_imports_no_aiohttp(command: tuple[str, ...]) -> None:
    code = """
        import sys
        from tutuclient.cli import run
        code = run()
        heavy = {"aiohttp", "PIL", "msgspec", "anyio"} & set(sys.modules)
        sys.exit(f"imported {heavy}" if heavy else code)
    """
    done = finished(*command, "--help", code=code)
    assert done.code == 0, done.err
    assert "Usage: tutuclient" in done.out


def test_help_lists_the_exit_codes(tutu: Callable[..., Done]) -> None:
    shown = tutu("--help").out
    documented = re.findall(r"^ (\d+): ", shown, re.MULTILINE)
    assert documented == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "130"]
    assert re.findall(r"^    (\d+) ", cli.__doc__ or "", re.MULTILINE) == documented


def test_version(tutu: Callable[..., Done]) -> None:
    assert tutu("--version") == (0, f"tutuclient {tutuclient.__version__}\n", "")


def test_no_command_shows_the_help(tutu: Callable[..., Done]) -> None:
    done = tutu()
    assert (done.code, done.err) == (2, "")
    assert "analyze" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("anlyze",), "Did you mean 'analyze'?"),
        (("edit", "cat.png", "sky"), "Missing option '--output'"),
        (("chat", "--max-tokens", "0", "hi"), "(see tutuclient chat --help)"),
        (("analyze", "cat.png", "what", "--detail", "most"), "'most'"),
        (("models", "--nothing"), "--nothing"),
    ],
)
def test_wrong_usage_is_one_line(tutu: Callable[..., Done], arguments: tuple[str, ...], words: str) -> None:
    done = tutu(*arguments)
    assert (done.code, done.out) == (2, "")
    assert words in one_line(done.err)


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_missing_extra_is_named(missing: str) -> None:
    code = f"""
        import sys
        sys.modules["{missing}"] = None
        from tutuclient.__main__ import main
        main()
    """
    done = finished("--help", code=code)
    assert (done.code, done.out) == (1, "")
    assert 'pip install "tutuclient[cli]"' in one_line(done.err)


def test_another_missing_module_is_a_bug_and_not_hidden() -> None:
    code = """
        import sys
        sys.modules["tutuclient.errors"] = None
        from tutuclient.__main__ import main
        main()
    """
    assert "ModuleNotFoundError" in finished(code=code).err


# --- analyze --------------------------------------------------------------------------------------------------------


def test_analyze_prints_the_answer_and_nothing_else(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("analyze", "cat.png", "这张图片有什么", "--max-tokens", "99", "--detail", "low", "-m", "gpt-4o-mini")
    assert done.code == 0
    assert done.out.startswith("这是一张 PNG 图片,720×540 像素")
    assert done.out.endswith(")\n")
    assert done.err == ""
    sent = relay.requests[0].json
    assert (sent["stream"], sent["max_tokens"], sent["model"]) == (True, 99, "gpt-4o-mini")
    assert sent["messages"][0]["content"][1]["image_url"]["detail"] == "low"


def test_analyze_sends_several_pictures_at_once_one_of_them_through_stdin(
    tutu: Callable[..., Done], relay: Server
) -> None:
    address = relay.host(sample_picture(), "hosted.png")
    done = tutu("analyze", "cat.png", "-", address, "Compare them", stdin=sample_picture())
    assert "Picture 3: " in done.out
    assert len(relay.requests) == 1


def test_analyze_shrinks_pictures(tutu: Callable[..., Done]) -> None:
    assert "90x68 pixels" in tutu("analyze", "cat.png", "What is it?", "--max-side", "90").out


def test_json_is_one_object(tutu: Callable[..., Done]) -> None:
    done = tutu("analyze", "cat.png", "这张图片有什么", "--json")
    answer = done.json
    assert list(answer) == [
        "text",
        "images",
        "usage",
        "finish_reason",
        "model",
        "request_id",
        "attempts",
        "elapsed",
    ]
    assert answer["text"].startswith("这是一张")
    assert answer["usage"]["total_tokens"] > 0
    assert (answer["finish_reason"], answer["model"], answer["attempts"], answer["images"]) == ("stop", "gpt-4o", 1, [])
    assert answer["elapsed"] > 0
    assert (done.code, done.err) == (0, "")
    assert "这是" in done.out


def test_json_invents_no_usage(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(says("hello", usage=False))
    assert tutu("chat", "hi", "--json").json["usage"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cat.png",), "the last argument is the prompt, and cat.png is a file"),
        (("what is it",), "a picture and a prompt are needed"),
        (("cat.png", "cat.png"), "and cat.png is a file"),
        (("what is it?", "https://example.com/cat.png"), "is an address"),
        (("cat.png", "what", "is", "it"), "there is no file what; pictures first"),
        (("cat.png", " "), "the prompt is empty"),
        (("-", "-", "compare"), "was named twice"),
        (("-", "what"), "no picture: stdin is empty"),
        (("dog.png", "what"), "dog.png"),
        (("cat.png", "x" * 5000), ""),
        (("notes.txt", "what"), "notes.txt"),
    ],
)
def test_pictures_and_prompt_are_checked_before_anything_is_sent(
    tutu: Callable[..., Done], relay: Server, arguments: tuple[str, ...], words: str
) -> None:
    Path("notes.txt").write_text("no picture")
    done = tutu("analyze", *arguments)
    if words:
        assert (done.code, done.out) == (2, "")
        assert words in one_line(done.err)
        assert relay.requests == []
    else:
        assert done.code == 0


@pytest.mark.parametrize(
    ("reason", "words"), [("length", "--max-tokens"), ("content_filter", "finish_reason content_filter"), ("stop", "")]
)
def test_an_answer_that_was_cut_off_says_so(tutu: Callable[..., Done], relay: Server, reason: str, words: str) -> None:
    relay.answers(says("one two", finish_reason=reason))
    done = tutu("analyze", "cat.png", "what")
    assert (done.code, done.out) == (0, "one two\n")
    assert words in done.err
    assert bool(words) == bool(done.err)


def test_an_answer_without_text_gives_the_addresses_of_its_pictures(tutu: Callable[..., Done], relay: Server) -> None:
    address = relay.host(sample_picture(), "a.png")
    part = {"type": "image_url", "image_url": {"url": address}}
    relay.answers(streams([chunk("", images=[part]), chunk(finish_reason="stop")]))
    assert tutu("chat", "draw") == (0, f"{address}\n", "")


def test_an_answer_with_nothing_in_it_is_an_error(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(streams([chunk(refusal="I will not"), chunk(finish_reason="stop")]))
    done = tutu("chat", "hi")
    assert (done.code, done.out) == (8, "")
    assert "the answer holds no text (I will not)" in one_line(done.err)


# --- what the relay sends -------------------------------------------------------------------------------------------

EVIL = "a\x1b]0;owned\x07\x1b[2Jb\r\x9b31mc\td\n\u202ee"


@pytest.mark.parametrize("arguments", [("chat", "hi"), ("analyze", "cat.png", "what")])
def test_text_cannot_move_the_cursor(tutu: Callable[..., Done], relay: Server, arguments: tuple[str, ...]) -> None:
    relay.answers(says(EVIL))
    assert tutu(*arguments).out == "a\\x1b]0;owned\\x07\\x1b[2Jb\\x9b31mc\td\n\\u202ee\n"


def test_json_is_exact_and_cannot_move_the_cursor_either(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(says(EVIL))
    done = tutu("chat", "hi", "--json")
    assert done.json["text"] == EVIL
    assert done.out[:-1].isprintable()


def test_errors_models_and_request_ids_cannot_move_the_cursor(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(400, f"no {EVIL}"), raw(200, json.dumps({"data": [{"id": EVIL}]}).encode()))
    assert one_line(tutu("chat", "hi").err)[:-1].isprintable()
    assert tutu("models").out[:-1].isprintable()


def test_traceback_cannot_move_the_cursor(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(400, f"no {EVIL}"))
    err = tutu("chat", "hi", "--debug").err
    assert "Traceback" in err
    assert err.replace("\n", "").isprintable()


def test_output_that_is_not_unicode_still_works(relay: Server) -> None:
    relay.answers(says("é你😀"), says("é你😀"))
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    assert finished("chat", "hi", env=environ).out == "\\xe9\\u4f60\\U0001f600\n"
    assert json.loads(finished("chat", "hi", "--json", env=environ).out)["text"] == "é你😀"


# --- edit and generate ----------------------------------------------------------------------------------------------


def test_edit_saves_the_picture_and_prints_where(tutu: Callable[..., Done], relay: Server) -> None:
    assert tutu("edit", "cat.png", SKY, "-o", "sky.png") == (0, "sky.png\n", "")
    assert size_of("sky.png") == (720, 540)
    sent = relay.requests[0].json
    assert (sent["model"], sent["stream"], "stream_options" in sent) == ("gpt-4o-image", True, False)


def test_generate_saves_the_picture_and_says_when_its_name_is_another(tutu: Callable[..., Done]) -> None:
    done = tutu("generate", "a red cat", "-o", "cat.jpg")
    assert done.code == 8
    assert "cat.png exists already" in done.err
    Path("cat.png").unlink()
    assert tutu("generate", "a red cat", "-o", "cat.jpg") == (
        0,
        "cat.png\n",
        "note: the relay sent image/png, and the name says so\n",
    )


def test_generate_takes_its_prompt_from_stdin(tutu: Callable[..., Done], relay: Server) -> None:
    assert tutu("generate", "-", "-o", "new", stdin="\ufeff一只猫\n".encode()) == (0, "new.png\n", "")
    assert relay.requests[0].json["messages"] == [{"role": "user", "content": "一只猫"}]


def test_edit_as_json(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png", "--json")
    answer = done.json
    (image,) = answer["images"]
    assert image["path"] == "sky.png"
    assert image["url"].startswith(relay.base_url)
    assert (image["mime"], image["size_bytes"]) == ("image/png", Path("sky.png").stat().st_size)
    assert answer["usage"]["total_tokens"] > 0
    assert (done.code, done.err) == (0, "")


def test_several_pictures_are_numbered(tutu: Callable[..., Done], relay: Server) -> None:
    one, two = (relay.host(sample_picture(), f"{name}.png") for name in ("one", "two"))
    relay.answers(*[says(f"![a]({one})\n![b]({two})")] * 3)
    assert tutu("edit", "cat.png", "both", "-o", "sky.png").out == "sky-1.png\nsky-2.png\n"
    Path("folder").mkdir()
    assert tutu("edit", "cat.png", "both", "-o", "folder").out == "folder/one.png\nfolder/two.png\n"


def test_the_picture_goes_to_stdout(relay: Server) -> None:
    one, two = (relay.host(sample_picture(), f"{name}.png") for name in ("one", "two"))
    relay.answers(says(f"![a]({one})\n![b]({two})"))
    with Path("out.png").open("wb") as out:
        done = finished("edit", "cat.png", "both", "-o", "-", stdout=out)
    assert done.code == 0
    assert Path("out.png").read_bytes() == sample_picture()
    assert taken_from(done.err.rpartition("another is here: ")[2]) == sample_picture()


def test_edit_refuses_before_it_costs_anything(tutu: Callable[..., Done], relay: Server) -> None:
    Path("there.png").touch()
    Path("link.png").symlink_to("nowhere")
    Path("closed").mkdir(mode=0o500)
    cases = {
        ("-o", "there.png"): "there.png exists already: choose another name, or pass --overwrite",
        ("-o", "link.png"): "link.png exists already",
        ("-o", "missing/sky.png"): "the folder missing does not exist",
        ("-o", "missing/"): "the folder missing does not exist",
        ("-o", "-", "--json"): "both want stdout",
    }
    if not os.access("closed", os.W_OK):  # Root may write anywhere.
        cases["-o", "closed/sky.png"] = "the folder closed may not be written to"
    for output, words in cases.items():
        done = tutu("edit", "cat.png", SKY, *output)
        assert (done.code, done.out) == (2, "")
        assert words in one_line(done.err)
    assert relay.requests == []


def test_a_folder_that_may_not_be_written_to(
    tutu: Callable[..., Done], relay: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "the folder . may not be written to" in tutu("generate", "cat", "-o", "sky.png").err
    assert relay.requests == []


def test_overwrite_replaces(tutu: Callable[..., Done]) -> None:
    assert tutu("edit", "cat.png", SKY, "-o", "cat.png", "--overwrite").code == 0
    assert Path("cat.png").read_bytes() != sample_picture()


def test_no_picture_says_what_the_relay_said(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(says("抱歉,我不能\nedit"), says("no"))
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png")
    assert (done.code, done.out) == (8, "")
    assert "no picture; the relay said: 抱歉,我不能\\nedit [request id " in one_line(done.err)
    assert not Path("sky.png").exists()
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png", "--json")
    assert (done.code, done.json["text"], done.json["images"]) == (8, "no", [])


def test_a_picture_that_cannot_be_fetched_keeps_its_address(tutu: Callable[..., Done], relay: Server) -> None:
    address = f"{relay.base_url}/files/gone.png"
    relay.answers(draws(address), draws(address))
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png")
    assert (done.code, done.out) == (8, "")
    assert f"paid for, and not ordered again: {address}" in done.err
    (image,) = tutu("edit", "cat.png", SKY, "-o", "sky.png", "--json").json["images"]
    assert (image["url"], image["path"]) == (address, None)
    assert image["error"]
    assert len(relay.requests) == 2


def test_a_picture_whose_name_was_taken_meanwhile_is_kept_elsewhere(tutu: Callable[..., Done], relay: Server) -> None:
    def taken(_: Recorded) -> Answer:
        Path("sky.png").touch()
        return draws(sample_picture(), form="b64")

    relay.answers(taken)
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png")
    assert (done.code, done.out) == (8, "")
    assert "sky.png exists already: choose another name, or pass --overwrite" in done.err
    assert taken_from(done.err.rpartition("again: ")[2]) == sample_picture()


def test_a_picture_that_had_come_before_the_stream_broke_is_not_lost(tutu: Callable[..., Done], relay: Server) -> None:
    address = relay.host(sample_picture(), "early.png")
    relay.answers(streams([chunk(f"![a]({address})\n\n")], done=False, then="reset"))
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png")
    assert done.code == 7
    note, error = done.err.splitlines()
    assert taken_from(note.removeprefix("note: a picture had come before: ")) == sample_picture()
    assert "billed" in error


# --- chat and models ------------------------------------------------------------------------------------------------


def test_chat_answers_once(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("chat", "hello", "--system", "Be brief", "--max-tokens", "9")
    assert done.out.startswith("I am an offline stand-in")
    assert "--max-tokens" in done.err
    sent = relay.requests[0].json
    assert sent["messages"][0] == {"role": "system", "content": "Be brief"}


@pytest.mark.parametrize("prompt", [(), ("-",)])
def test_chat_reads_a_pipe(tutu: Callable[..., Done], relay: Server, prompt: tuple[str, ...]) -> None:
    assert "You said" in tutu("chat", *prompt, stdin=b"from a pipe\n").out
    assert relay.requests[0].json["messages"] == [{"role": "user", "content": "from a pipe"}]
    done = tutu("chat", *prompt, stdin=b" \n")
    assert (done.code, one_line(done.err)) == (2, "error: no prompt: stdin is empty\n")


def test_chat_with_an_empty_prompt(tutu: Callable[..., Done]) -> None:
    assert tutu("chat", "") == (2, "", "error: the prompt is empty\n")
    assert tutu("chat", " ") == (2, "", "error: the prompt is empty\n")


def test_models_in_a_pipe_are_one_a_line(tutu: Callable[..., Done]) -> None:
    assert tutu("models") == (0, "".join(f"{name}\n" for name in sorted(MODELS)), "")


def test_models_as_json(tutu: Callable[..., Done]) -> None:
    listed = tutu("models", "--json").json
    assert {"id": "gpt-4o", "owned_by": "openai", "endpoints": ["openai"]} in listed["models"]
    assert listed["attempts"] == 1


def test_no_models(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(raw(200, b'{"object":"list","data":[]}'))
    assert tutu("models") == (0, "", "note: the relay lists no models for this key\n")


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        ([fails(401, "无效的令牌")], 3, "--api-key, or TUTU_API_KEY"),
        ([fails(403, "no")], 3, "the key may not do this"),
        ([fails(429, "no", code="insufficient_quota")], 3, "top it up"),
        ([fails(400, "bad")], 4, "bad"),
        ([fails(404, "no such model")], 4, "(tutuclient models lists what there is)"),
        ([fails(413, "large")], 4, "--max-side 2048"),
        ([fails(422, "odd")], 4, "odd"),
        ([fails(400, "no", code="content_policy_violation")], 4, "change it"),
        ([rate_limited(3600)], 5, "(the relay asks to wait 3600 s)"),
        ([rate_limited(0)] * 3, 5, "[3 attempts]"),
        ([fails(500, "oops")] * 3, 1, "try again later"),
        ([fails(504, "late")] * 3, 7, "billed"),
        ([raw(200, b"<html><title>Panel</title>")], 8, "check --base-url"),
        ([streams([chunk("one")], done=False)], 7, "(it may have been done and billed"),
    ],
)
def test_each_error_has_its_exit_code(
    tutu: Callable[..., Done], relay: Server, answers: list[Scripted], code: int, words: str
) -> None:
    relay.answers(*answers)
    done = tutu("chat", "hi")
    assert done.code == code, done.err
    assert words in one_line(done.err) or code == 8
    assert KEY not in done.err


def test_no_connection(tutu: Callable[..., Done]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = tutu("chat", "hi", "--base-url", f"http://127.0.0.1:{port}")
    assert done.code == 6
    assert "check --base-url, and whether it runs" in one_line(done.err)


def test_no_time(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(says("late", delay=5))
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png", "--timeout", "0.2")
    assert done.code == 7
    assert "--timeout" in one_line(done.err)


def test_the_key_is_needed_and_never_shown(tutu: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUTU_API_KEY")
    done = tutu("models")
    assert done.code == 2
    assert "pass --api-key …, or set TUTU_API_KEY" in one_line(done.err)
    done = tutu("models", "--api-key", "sk-secret\n-secret")
    assert done.code == 2
    assert "secret" not in one_line(done.err)


def test_debug_shows_where_an_error_came_from_and_not_the_key(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(401, "no"))
    done = tutu("chat", "hi", "--debug", "--api-key", "sk-very-secret")
    assert done.code == 3
    assert "Traceback (most recent call last)" in done.err
    assert "secret" not in done.err


def test_a_bug_of_ours_is_one_line_too(tutu: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LookupError("of\nall things")

    monkeypatch.setattr(cli, "_client", broken)
    done = tutu("models")
    assert (done.code, one_line(done.err)[:45]) == (1, "error: unexpected LookupError: of\\nall things")
    assert "in broken" in tutu("models", "--debug").err


def test_what_is_wrong_outside_of_commands_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LookupError

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(LookupError):
        cli.run([])


def test_a_reader_that_leaves_is_no_error(relay: Server) -> None:
    relay.answers(says("word " * 2000, token_delay=0.001))
    with process("chat", "hi") as started:
        read(started, "word")
        assert started.stdout is not None
        started.stdout.close()
        assert started.wait(LONG) == 1
        assert started.stderr is not None
        assert started.stderr.read() == ""


# --- Ctrl-C ---------------------------------------------------------------------------------------------------------


def test_interrupting_a_stream_is_quick_and_quiet(relay: Server) -> None:
    relay.answers(says("word " * 2000, token_delay=0.02))
    with process("analyze", "cat.png", "what") as started:
        read(started, "word")
        before = time.monotonic()
        done = interrupted(started)
    assert (done.code, done.err) == (130, "")
    assert done.out.endswith("\n")
    assert time.monotonic() - before < 2
    asyncio.run(relay.wait_closed())


def test_interrupting_a_download_says_where_the_picture_is(relay: Server) -> None:
    address = f"{relay.base_url}/files/slow.png"
    relay.answers(draws(address))
    relay.answers(raw(200, b"", delay=30), path="/v1/files/slow.png")
    with process("edit", "cat.png", SKY, "-o", "sky.png") as started:
        asyncio.run(relay.until(lambda: bool(relay.downloads), LONG))
        done = interrupted(started)
    assert done == (130, "", f"note: not saved, but made and paid for: {address}\n")


def test_interrupting_an_order_says_that_it_may_be_billed(relay: Server) -> None:
    relay.answers(draws(delay=30))
    with process("edit", "cat.png", SKY, "-o", "sky.png") as started:
        asyncio.run(relay.wait_requests(1, LONG))
        done = interrupted(started)
    assert (done.code, done.out) == (130, "")
    assert "billed all the same" in done.err


@pytest.mark.usefixtures("relay")
def test_a_device_is_no_file_to_save_in(tutu: Callable[..., Done]) -> None:
    done = tutu("edit", "cat.png", SKY, "-o", os.devnull, "--overwrite")
    assert (done.code, done.out) == (2, "")
    assert "no file that a picture can be saved in" in done.err


def test_interrupting_does_not_wait_for_a_name_look_up() -> None:
    code = """
        import socket, sys, time
        sys.modules["uvloop"] = None  # It looks names up by itself.
        from tutuclient.__main__ import main
        def slow(*_, **__):
            print("looking", flush=True)
            time.sleep(60)
        socket.getaddrinfo = slow
        main()
    """
    with process("models", "--base-url", "http://relay.example", code=code) as started:
        read(started, "looking\n")
        before = time.monotonic()
        assert interrupted(started) == (130, "", "")
    assert time.monotonic() - before < 3


def test_interrupting_before_a_command_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    assert cli.run([]) == 130


# --- on a terminal --------------------------------------------------------------------------------------------------


def test_a_terminal_shows_what_is_waited_for_and_a_summary(relay: Server) -> None:
    relay.answers(
        streams([chunk(reasoning_content="hm"), chunk("one "), chunk("two"), chunk(finish_reason="stop")], delay=0.4)
    )
    with Terminal("analyze", "cat.png", "what") as terminal:
        assert terminal.end() == 0
    assert "gpt-4o is thinking" in terminal.shown
    assert "one two\r\n" in terminal.shown
    assert re.search(r"\d\.\d s · scripted", terminal.shown)


def test_a_terminal_shows_the_relays_progress(relay: Server) -> None:
    relay.answers(
        streams(
            [chunk("> 排队中.\n\n"), chunk(f"> 进度 47\x1b[2J..\n![a]({relay.host(sample_picture())})\n"), chunk("")],
            delay=0.4,
        )
    )
    with Terminal("edit", "cat.png", SKY, "-o", "sky.png") as terminal:
        assert terminal.end() == 0
    assert "gpt-4o-image 排队中." in terminal.shown
    assert "\x1b[2J" not in terminal.shown
    assert "sky.png\r\n" in terminal.shown
    assert "45.1 kB" in terminal.shown


def test_a_terminal_that_can_do_little_shows_little(relay: Server) -> None:
    relay.answers(says("fine", delay=0.3))
    with Terminal("chat", "hi", TERM="dumb") as terminal:
        assert terminal.end() == 0
    assert terminal.shown.startswith("fine\r\n")


def test_a_terminal_shows_models_as_a_table() -> None:
    with Terminal("models", NO_COLOR="1") as terminal:
        assert terminal.end() == 0
    assert re.search(r"gpt-4o-image +custom +openai", terminal.shown)


def test_a_picture_is_not_written_to_a_terminal(relay: Server) -> None:
    with Terminal("generate", "cat", "-o", "-") as terminal:
        assert terminal.end() == 2
    assert "that is the terminal; name a file" in terminal.shown
    assert relay.requests == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("analyze", "-", "what"), "no picture: stdin (-) is the terminal"), (("chat", "--json"), "no prompt: stdin")],
)
def test_a_terminal_is_not_read_for_a_pipe(arguments: tuple[str, ...], words: str) -> None:
    with Terminal(*arguments) as terminal:
        assert terminal.end() == 2
    assert words in terminal.shown


def test_a_conversation(relay: Server) -> None:
    relay.answers(
        says("first answer"),
        fails(400, "not that"),
        says("word " * 2000, token_delay=0.01),
        says("last answer"),
    )
    with Terminal("chat", "--system", "Be brief") as terminal:
        terminal.wait_for("> ")
        terminal.type("one\r")
        terminal.wait_for("first answer\r\n> ")
        terminal.type("\r")
        terminal.wait_for("> ")
        terminal.type("two\r")
        terminal.wait_for("not that")
        terminal.wait_for("\n> ")
        terminal.type("three\r")
        terminal.wait_for("word word")
        terminal.interrupt()
        terminal.wait_for("note: stopped\r\n> ")
        terminal.type("four\r")
        terminal.wait_for("last answer\r\n> ")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert [message["content"] for message in relay.requests[-1].json["messages"]] == [
        "Be brief",
        "one",
        "first answer",
        "four",
    ]


def test_interrupting_a_conversation_at_its_prompt_ends_it() -> None:
    with Terminal("chat") as terminal:
        terminal.wait_for("> ")
        time.sleep(0.3)  # CPython's readline misses a signal between printing the prompt and waiting for keys.
        terminal.interrupt()
        assert terminal.end() == 130
    assert "Traceback" not in terminal.shown


# --- serve ----------------------------------------------------------------------------------------------------------


def test_serve_runs_until_interrupted() -> None:
    with process("serve", "--port", "0") as started:
        shown = read(started, "tutuclient chat")
        (base_url,) = re.findall(r"export TUTU_BASE_URL=(\S+)", shown)
        assert "You said" in finished("chat", "hello", "--base-url", base_url, "--api-key", "any").out
        done = interrupted(started)
    assert (done.code, done.err) == (0, "")


def test_serve_with_a_key_does_not_print_it(tutu: Callable[..., Done]) -> None:
    with process("serve", "--port", "0", "--key", "sk-mine") as started:
        shown = read(started, "tutuclient chat")
        (base_url,) = re.findall(r"export TUTU_BASE_URL=(\S+)", shown)
        assert "sk-mine" not in shown
        assert tutu("models", "--base-url", base_url).code == 3
        assert tutu("models", "--base-url", base_url, "--api-key", "sk-mine").code == 0
        assert interrupted(started).code == 0


def test_serve_beyond_this_computer_without_a_key_says_so() -> None:
    with process("serve", "--port", "0", "--host", "0.0.0.0") as started:  # noqa: S104  (that is the point)
        read(started, "tutuclient chat")
        time.sleep(0.1)
        assert "it asks for no key" in interrupted(started).err


def test_a_port_that_is_taken(tutu: Callable[..., Done], relay: Server) -> None:
    port = relay.origin.rpartition(":")[2]
    for command in ("serve", "demo"):
        done = tutu(command, "--port", port)
        assert (done.code, done.out) == (2, "")
        assert f"port {port} is taken: choose another with --port" in one_line(done.err)


def test_an_address_that_is_not_ours(tutu: Callable[..., Done]) -> None:
    done = tutu("serve", "--host", "192.0.2.1")
    assert done.code == 2
    assert "cannot listen on 192.0.2.1, port 8017: " in one_line(done.err)


# --- demo -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_TOKEN_DELAY", 0.0)


@pytest.mark.usefixtures("_no_delay")
def test_demo_shows_the_whole_round_and_may_be_repeated(tutu: Callable[..., Done]) -> None:
    for _ in range(2):
        done = tutu("demo")
        assert (done.code, done.err) == (0, "")
    assert SKY in done.out
    assert "it is no model" in done.out
    assert "\x1b" not in done.out
    folder = Path("tutuclient-demo")
    assert sorted(path.name for path in folder.iterdir()) == ["after.png", "before-after.png", "before.png", "demo.py"]
    assert size_of(f"{folder}/before.png") == size_of(f"{folder}/after.png") == (720, 540)
    assert size_of(f"{folder}/before-after.png")[0] > 2 * 720
    assert (folder / "before.png").read_bytes() != (folder / "after.png").read_bytes()


@pytest.mark.usefixtures("_no_delay")
def test_the_three_lines_of_the_demo_run(tutu: Callable[..., Done], relay: Server, tmp_path: Path) -> None:
    shown = tutu("demo", "-o", str(tmp_path)).out
    lines = re.search(r"three lines of Python:\n\n((?:   .+\n){3})\n", shown)
    assert lines is not None
    inner = textwrap.indent(textwrap.dedent(lines[1]), "        ")
    program = f"async def main():\n    async with TutuClient() as client:\n{inner}\nasyncio.run(main())"
    Path("after.png").unlink()
    exec(program, {"asyncio": asyncio, "TutuClient": TutuClient})  # noqa: S102  (that they run is the promise)
    assert size_of("after.png") == (720, 540)
    assert [seen.json["model"] for seen in relay.requests] == ["gpt-4o", "gpt-4o-image"]


@pytest.mark.usefixtures("_no_delay")
def test_the_program_of_the_demo_runs(tutu: Callable[..., Done], tmp_path: Path) -> None:
    tutu("demo", "-o", str(tmp_path))
    Path("after.png").unlink()
    done = finished(code=Path("demo.py").read_text("utf-8"))
    assert (done.code, done.err) == (0, "")
    assert "这是一张" in done.out
    assert Path("after.png").exists()


def test_demo_leaves_files_of_others_alone(tutu: Callable[..., Done], tmp_path: Path) -> None:
    Path("after.png").write_text("mine")
    done = tutu("demo", "-o", str(tmp_path))
    assert done.code == 2
    assert "after.png is there already, and not from an earlier demo" in one_line(done.err)
    assert Path("after.png").read_text() == "mine"
    assert "cannot be used" in one_line(tutu("demo", "-o", "after.png").err)


def test_demo_without_pillow_says_what_it_needs(tutu: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> bytes:
        raise ImportError("no PIL")

    monkeypatch.setattr("tutuclient.testing.sample_picture", missing)
    done = tutu("demo")
    assert done.code == 2
    assert 'pip install "tutuclient[images]"' in one_line(done.err)


def test_demo_streams_on_a_terminal_and_breaks_lines_before_the_edge() -> None:
    with Terminal("demo") as terminal:
        terminal.wait_for("这是一张")
        assert "before-after.png" not in terminal.shown
        assert terminal.end() == 0
    assert "橙色" in terminal.shown


def test_demo_keeps_the_relay_until_interrupted() -> None:
    with process("demo", "--keep") as started:
        (base_url,) = re.findall(r"goes on at (\S+)", read(started, "until Ctrl-C."))
        assert finished("models", "--base-url", base_url).code == 0
        done = interrupted(started)
    assert (done.code, done.err) == (0, "")


def test_interrupting_a_demo_in_the_middle() -> None:
    with process("demo") as started:
        read(started, "as they come")
        done = interrupted(started)
    assert (done.code, done.err) == (130, "")
