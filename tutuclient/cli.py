"""The command line: analyze, edit, generate, chat, models, serve, demo.

Answers go to stdout, plain where it is no terminal; notes and errors go to
stderr, an error in one line. Whatever a relay sends is made harmless before it
is printed. The exit codes are for scripts::

    0    good
    1    something else went wrong
    2    the command, a setting or a picture given cannot work; nothing was sent
    3    the key: wrong, not allowed to do this, or used up
    4    the relay refuses the request; sending it again does not help
    5    too much at once; wait, then try again
    6    no connection, or no time; nothing was done
    7    the outcome is unknown: it may have been done, and billed
    8    the answer is none, holds no picture, or its picture could not be saved
    130  Ctrl-C

This room knows no HTTP. It imports the client inside of functions, because
``--help`` need not pay for aiohttp.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import sys
import tempfile
import threading
import time
import traceback
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import Enum
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tutuclient import __version__, errors
from tutuclient.errors import ConfigError, ImageDownloadError, NoImageError, TutuError, printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress

    from tutuclient.client import TutuClient
    from tutuclient.generated import GeneratedImage
    from tutuclient.stream import ChatStream
    from tutuclient.testing import Server
    from tutuclient.types import ChatCompletion, ChatFields, ChatMessage

T = TypeVar("T")

_INTERRUPTED = 130
_EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.ConfigError, 2),
    (errors.MediaError, 2),
    (errors.ImageDownloadError, 8),
    (errors.NoImageError, 8),
    (errors.APIResponseValidationError, 8),
    (errors.AuthenticationError, 3),
    (errors.PermissionDeniedError, 3),
    (errors.InsufficientQuotaError, 3),
    (errors.BadRequestError, 4),
    (errors.NotFoundError, 4),
    (errors.ConflictError, 4),
    (errors.PayloadTooLargeError, 4),
    (errors.UnprocessableEntityError, 4),
    (errors.RateLimitError, 5),
    (errors.APIConnectionError, 6),
)
_UNKNOWN = 7
# For these the outcome does not matter: there is something to put right first.
_DECIDED = frozenset({2, 3, 4, 8})

_EPILOG = """\
[bold]Exit codes[/bold]
0: good.
1: something else went wrong.
2: the command, a setting or a picture given cannot work; nothing was sent.
3: the key is wrong, may not do this, or is used up.
4: the relay refuses the request; sending it again does not help.
5: too much at once; wait, then try again.
6: no connection, or no time; nothing was done.
7: the outcome is unknown; it may have been done, and billed.
8: the answer is none, holds no picture, or its picture could not be saved.
130: Ctrl-C.
"""

app = typer.Typer(
    name="tutuclient",
    help="Ask an OpenAI-compatible relay about pictures, have them edited, or chat with it. "
    "The key and the address come from TUTU_API_KEY and TUTU_BASE_URL (else OPENAI_*). "
    "Without either, [bold]tutuclient demo[/bold] shows it all on this computer.",
    epilog=_EPILOG,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


class Detail(Enum):
    """How closely the model is to look at a picture."""

    auto = "auto"
    low = "low"
    high = "high"


_CONNECTION = "Connection"
ApiKey = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="The key. Better set TUTU_API_KEY: other users of this computer can see this option among the processes.",
        rich_help_panel=_CONNECTION,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where the API is; else TUTU_BASE_URL.", rich_help_panel=_CONNECTION),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", help="A deadline over the whole call; else 600.", rich_help_panel=_CONNECTION
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, with usage, request id and timings, and nothing else.")
]
Model = Annotated[str, typer.Option("--model", "-m", metavar="NAME", help="The model, as the relay lists it.")]
MaxTokens = Annotated[int | None, typer.Option(metavar="N", min=1, help="The most tokens the answer may have.")]
MaxSide = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS", min=1, help="Shrink pictures so that no side is longer; less to send, cheaper to look at."
    ),
]
HowClosely = Annotated[Detail, typer.Option("--detail", help="How closely to look at the pictures.")]
ImagesAndPrompt = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE... PROMPT",
        help="Pictures (paths, http addresses, or - for stdin), and last, in quotes, what to do with them.",
        show_default=False,
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="Where to save the picture: a file, a folder, or - for stdout. The extension follows the bytes; "
        "several pictures get -1, -2 and so on.",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is there.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        _write(f"tutuclient {__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    del version  # Its callback has dealt with it.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if context.invoked_subcommand is None:
        context.get_help()
        raise typer.Exit(2)


# --- the commands ---------------------------------------------------------------------------------------------------


@app.command()
def analyze(
    arguments: ImagesAndPrompt,
    *,
    model: Model = "gpt-4o",
    max_tokens: MaxTokens = None,
    max_side: MaxSide = None,
    detail: HowClosely = Detail.high,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Ask about pictures; the answer is printed as it comes.

    With several pictures, all of them are in one question.

    Example: tutuclient analyze cat.jpg "What is in this picture?"
    """
    with _in_one_line(debug=debug):
        pictures, prompt = _split(arguments, "analyze cat.jpg")
        fields: ChatFields = {} if max_tokens is None else {"max_tokens": max_tokens}

        async def work() -> None:
            started = time.monotonic()
            async with _client(api_key, base_url, timeout) as client:
                if as_json:
                    with _Waiting(model):
                        answer = await client.analyze(
                            pictures, prompt, model=model, detail=detail.value, max_side=max_side, **fields
                        )
                    _print_json(_summary(answer, started, [_described(image) for image in answer.images]))
                    return
                opening = client.analyze(
                    pictures, prompt, model=model, detail=detail.value, max_side=max_side, stream=True, **fields
                )
                _close_answer(await _show(opening, model), started)

        _run(work())


@app.command()
def edit(
    arguments: ImagesAndPrompt,
    *,
    output: Output,
    overwrite: Overwrite = False,
    model: Model = "gpt-4o-image",
    max_side: MaxSide = None,
    detail: HowClosely = Detail.high,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Have a picture changed, save the result, print where.

    With several pictures, one is made of them all.

    Example: tutuclient edit cat.jpg "Put a blue sky behind it" -o sky.png
    """
    with _in_one_line(debug=debug):
        order = _Order(model, output, overwrite, as_json)
        order.check()
        pictures, prompt = _split(arguments, "edit cat.jpg")

        async def work() -> None:
            async with _client(api_key, base_url, timeout) as client:
                opening = client.edit(
                    pictures,
                    prompt,
                    model=model,
                    detail=detail.value,
                    max_side=max_side,
                    stream=True,
                    **order.fields,
                )
                await _draw(opening, order)

        _run(work())


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to draw; - reads it from stdin.")],
    *,
    output: Output,
    overwrite: Overwrite = False,
    model: Model = "gpt-4o-image",
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Have a picture made, save it, print where.

    Example: tutuclient generate "A red panda reading" -o panda.png
    """
    with _in_one_line(debug=debug):
        order = _Order(model, output, overwrite, as_json)
        order.check()
        text = _prompt(prompt)

        async def work() -> None:
            async with _client(api_key, base_url, timeout) as client:
                await _draw(client.generate(text, model=model, stream=True, **order.fields), order)

        _run(work())


@app.command()
def chat(
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="PROMPT", help="What to say; - or a pipe reads it from stdin.", show_default=False),
    ] = None,
    *,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="What the model is told beforehand.")] = None,
    model: Model = "gpt-4o",
    max_tokens: MaxTokens = None,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Say something, or have a conversation.

    Without a prompt, on a terminal, it is a conversation: Ctrl-C stops an answer, Ctrl-D ends it all.
    """
    with _in_one_line(debug=debug):
        messages: list[dict[str, str] | ChatMessage] = [{"role": "system", "content": system}] if system else []
        fields: ChatFields = {} if max_tokens is None else {"max_tokens": max_tokens}
        if prompt is None and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
            _converse(_client(api_key, base_url, timeout), messages, model, fields, debug=debug)
            return
        messages.append({"role": "user", "content": _prompt("-" if prompt is None else prompt)})

        async def work() -> None:
            started = time.monotonic()
            async with _client(api_key, base_url, timeout) as client:
                ask = client.chat.completions.create
                if as_json:
                    with _Waiting(model):
                        answer = await ask(model=model, messages=messages, **fields)
                    _print_json(_summary(answer, started, [_described(image) for image in answer.images]))
                    return
                opening = ask(model=model, messages=messages, stream=True, **fields)
                _close_answer(await _show(opening, model), started)

        _run(work())


@app.command()
def models(
    *,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """List the models the key may use; in a pipe, one name a line."""
    with _in_one_line(debug=debug):

        async def work() -> None:
            started = time.monotonic()
            async with _client(api_key, base_url, timeout) as client:
                with _Waiting("the list of models"):
                    listed = await client.models.list()
            found = sorted(listed.data, key=lambda model: model.id)
            if as_json:
                rows = [
                    {"id": each.id, "owned_by": each.owned_by, "endpoints": each.supported_endpoint_types}
                    for each in found
                ]
                _print_json({"models": rows, **_call(listed.meta.request_id, listed.meta.attempts, started)})
            elif sys.stdout.isatty():
                from rich.table import Table

                table = Table("model", "owner", "endpoints", box=None, pad_edge=False, header_style="bold")
                for each in found:
                    kinds = ", ".join(each.supported_endpoint_types or [])
                    table.add_row(*(Text(printable(cell)) for cell in (each.id, each.owned_by, kinds)))
                Console().print(table)
            else:
                _write("".join(f"{printable(each.id)}\n" for each in found))
            if not found:
                _note("the relay lists no models for this key")

        _run(work())


@app.command()
def serve(
    *,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8017,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The one key to accept. Without it every key is good.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Run a stand-in relay on this computer, to try and test with.

    It speaks the API and has no model in it. Ctrl-C ends it.
    """

    async def work() -> None:
        async with _relay(host, port, key) as server:
            _write(
                f"A stand-in relay, with no model in it: {server.base_url}\n"
                f"{'It takes one key, the one given.' if key else 'It takes any key.'} Ctrl-C ends it.\n\n"
                f"    export TUTU_BASE_URL={server.base_url}\n"
                f"    export TUTU_API_KEY={'…' if key else 'any'}\n"
                '    tutuclient chat "Hello"\n'
            )
            if not key and host not in {"127.0.0.1", "::1", "localhost"}:
                _note("other computers may reach it, and it asks for no key (--key)")
            await asyncio.Event().wait()

    with _in_one_line(debug=debug), suppress(KeyboardInterrupt):
        _run(work())


@app.command()
def demo(
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for the pictures.")] = Path(
        "tutuclient-demo"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The relay's port; 0 takes a free one.")] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the relay running at the end, until Ctrl-C.")] = False,
    debug: Debug = False,
) -> None:
    """See it all on this computer, without a key.

    Starts a stand-in relay, draws a picture, has it analysed and edited, and puts before and after side by side.
    """
    with _in_one_line(debug=debug):
        finished = False

        async def work() -> None:
            nonlocal finished
            async with _relay("127.0.0.1", port, None) as server:
                await _Demo(server, output).play()
                finished = True
                if keep:
                    _write(f"\nThe relay goes on at {server.base_url} until Ctrl-C.\n")
                    await asyncio.Event().wait()

        try:
            _run(work())
        except KeyboardInterrupt:
            if not finished:
                raise


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code.

    Args:
        arguments: What follows the program's name; None takes the process's own.
    """
    try:
        return int(app(arguments, prog_name="tutuclient", standalone_mode=False) or 0)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        # Usage errors. Their class has moved between versions of typer, what they can do has not.
        if not hasattr(error, "format_message"):
            raise
        command = getattr(getattr(error, "ctx", None), "command_path", "tutuclient")
        _print_error(f"{printable(error.format_message()).rstrip('.')} (see {command} --help)")
        return int(getattr(error, "exit_code", 2))


# --- what was given -------------------------------------------------------------------------------------------------


def _client(api_key: str | None, base_url: str | None, timeout: float | None) -> TutuClient:
    from tutuclient.client import TutuClient
    from tutuclient.settings import UNSET

    return TutuClient(api_key, base_url, timeout=UNSET if timeout is None else timeout)


def _split(arguments: list[str], example: str) -> tuple[list[str | bytes], str]:
    """Tell the pictures from the prompt, which is the last; read a picture that comes through stdin."""
    *names, prompt = arguments
    usage = f'pictures first, then the prompt in quotes: tutuclient {example} "…"'
    if _is_file(prompt):
        raise ConfigError(f"the last argument is the prompt, and {printable(prompt)} is a file; {usage}")
    if prompt.startswith(("http://", "https://", "data:")) and " " not in prompt:
        raise ConfigError(f"the last argument is the prompt, and {printable(prompt, 80)} is an address; {usage}")
    if not names:
        raise ConfigError(f"a picture and a prompt are needed, and only one of them came; {usage}")
    if not prompt.strip():
        raise ConfigError("the prompt is empty")
    for name in names:
        if name != "-" and not re.search(r"[./\\:]", name) and not _is_file(name):
            raise ConfigError(f"there is no file {printable(name)}; {usage}")
    if names.count("-") > 1:
        raise ConfigError("stdin (-) holds one picture, and was named twice")
    return [_stdin("picture") if name == "-" else name for name in names], prompt


def _is_file(name: str) -> bool:
    with suppress(OSError, ValueError):  # Names that are too long, or hold a NUL.
        return Path(name).is_file()
    return False


def _stdin(what: str) -> bytes:
    if sys.stdin.isatty():
        raise ConfigError(f"no {what}: stdin (-) is the terminal; pipe the {what} in")
    if not (data := sys.stdin.buffer.read()).strip():
        raise ConfigError(f"no {what}: stdin is empty")
    return data


def _prompt(text: str) -> str:
    if text == "-":
        return _stdin("prompt").decode("utf-8-sig", "replace").strip()
    if not text.strip():
        raise ConfigError("the prompt is empty")
    return text


class _Order(NamedTuple):
    """A picture ordered, and where it is to go."""

    model: str
    output: str
    overwrite: bool
    as_json: bool

    @property
    def fields(self) -> ChatFields:
        """Only JSON shows the usage, and not every relay takes the field that asks for it."""
        return {"stream_options": {"include_usage": True}} if self.as_json else {}

    @property
    def is_folder(self) -> bool:
        return self.output.endswith(("/", os.sep)) or Path(self.output).is_dir()

    def check(self) -> None:
        """Find out before anything is paid for whether the picture can be saved."""
        if self.output == "-":
            if self.as_json:
                raise ConfigError("-o - and --json both want stdout: choose one")
            if sys.stdout.isatty():
                raise ConfigError("-o - writes the picture to stdout, and that is the terminal; name a file")
            return
        path = Path(self.output)
        folder = path if self.is_folder else path.parent
        shown = printable(str(folder))
        if not folder.is_dir():
            raise ConfigError(f"the folder {shown} does not exist: make it first. Nothing was sent")
        if not os.access(folder, os.W_OK):
            raise ConfigError(f"the folder {shown} may not be written to. Nothing was sent")
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigError(f"{printable(self.output)} is no file that a picture can be saved in. Nothing was sent")
        if not (self.is_folder or self.overwrite) and os.path.lexists(path):
            raise ConfigError(
                f"{printable(self.output)} exists already: choose another name, or pass --overwrite. Nothing was sent"
            )

    def path(self, number: int, count: int) -> str:
        """Name the file of one picture of several, counted from 1."""
        if self.is_folder or count == 1:
            return self.output
        path = Path(self.output)
        return str(path.with_name(f"{path.stem}-{number}{path.suffix}"))


# --- calls ----------------------------------------------------------------------------------------------------------


def _runner() -> asyncio.Runner:
    """Give a loop to run on: uvloop's when it is installed (extra ``speed``), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run it on a loop of its own. Ctrl-C cancels it, which closes its connections."""
    with _runner() as runner:
        try:
            return runner.run(work)
        except KeyboardInterrupt:
            # A name look-up in a thread cannot be cancelled, and Python would wait for it.
            leaving = threading.Timer(1.0, os._exit, [_INTERRUPTED])
            leaving.daemon = True
            leaving.start()
            raise


async def _show(opening: Awaitable[ChatStream], model: str) -> ChatCompletion:
    """Print an answer as it comes."""
    last = "\n"
    try:
        with _Waiting(model) as waiting:
            async with await opening as stream:
                async for chunk in stream:
                    if chunk.text:
                        waiting.stop()
                        last = chunk.text
                        _write(_harmless(last))
                    elif chunk.thinking:
                        waiting.say(f"{model} is thinking")
                answer = await stream.completion()
    finally:
        if not last.endswith("\n"):
            _write("\n")
    if not answer.text:
        for image in answer.images:
            _write(f"{_address(image)}\n")
        if not answer.images:
            said = answer.message.refusal or f"finish_reason: {answer.finish_reason}"
            raise errors.UnexpectedResponseError(f"the answer holds no text ({printable(said)})")
    return answer


def _close_answer(answer: ChatCompletion, started: float) -> None:
    """Say below an answer what its reader should know of it."""
    if answer.finish_reason == "length":
        _note("cut off at the token limit; --max-tokens gives the answer more room")
    elif answer.finish_reason not in {"stop", None}:
        _note(f"the answer ended with finish_reason {printable(str(answer.finish_reason), 80)}")
    if sys.stderr.isatty():
        _print_faint([f"{time.monotonic() - started:.1f} s", answer.model, answer.meta.request_id])


async def _await_pictures(opening: Awaitable[ChatStream], model: str, waiting: _Waiting) -> ChatCompletion:
    """Read a stream to its end, showing its last line, which is how relays tell how far they are."""
    try:
        async with await opening as stream:
            text = ""
            async for chunk in stream:
                text = (text + chunk.text)[-2000:]
                waiting.say(f"{model} {_last_line(text)}")
            return await stream.completion()
    except asyncio.CancelledError:
        waiting.stop()
        _note("stopped; what was ordered may be made and billed all the same: look into the relay's log")
        raise
    except errors.APIError as error:
        waiting.stop()
        for image in error.partial.images if error.partial else ():
            _note(f"a picture had come before: {await _rescue(image)}")
        raise


async def _draw(opening: Awaitable[ChatStream], order: _Order) -> None:
    """Wait for pictures, save them, and say where they are."""
    started = time.monotonic()
    kept: list[_Kept] = []
    with _Waiting(order.model) as waiting:
        answer = await _await_pictures(opening, order.model, waiting)
        for number, image in enumerate(answer.images, 1):
            waiting.say(f"saving picture {number} of {len(answer.images)}")
            try:
                kept.append(await _keep(image, order, number, len(answer.images)))
            except asyncio.CancelledError:
                waiting.stop()
                _note(f"not saved, but made and paid for: {_address(image)}")
                raise
    if order.as_json:
        _print_json(_summary(answer, started, [each.described() for each in kept]))
    if not kept:
        missing = NoImageError(f"the answer holds no picture; the relay said: {printable(answer.text) or 'nothing'}")
        missing.request_id = answer.meta.request_id
        raise missing
    for each in kept:
        each.tell(order)
    if sys.stderr.isatty():
        size = sum(each.image.size_bytes or 0 for each in kept)
        _print_faint([f"{time.monotonic() - started:.1f} s", _amount(size), answer.model, answer.meta.request_id])
    if any(each.error for each in kept):
        raise typer.Exit(8)


class _Kept(NamedTuple):
    """What became of one picture: where it is, or what went wrong and where it is instead."""

    image: GeneratedImage
    place: Path | str | None
    error: ImageDownloadError | None

    def described(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        more = {"error": self.error.message} if self.error else {}
        return {**_described(self.image), "path": str(self.place) if isinstance(self.place, Path) else None, **more}

    def tell(self, order: _Order) -> None:
        """Print where it is; a picture that is paid for must be found again."""
        if self.error is not None:
            _print_error(_in_options(self.error.message))
            _note(f"it is made and paid for, and not ordered again: {self.place}")
        elif isinstance(self.place, str):
            _note(f"only the first picture goes to stdout; another is here: {self.place}")
        elif self.place is not None and not order.as_json:
            _write(f"{self.place}\n")
            asked = "" if order.is_folder else Path(order.output).suffix.lower()
            if asked and asked != self.place.suffix.lower():
                _note(f"the relay sent {self.image.mime}, and the name says so")


async def _keep(image: GeneratedImage, order: _Order, number: int, count: int) -> _Kept:
    """Save a picture, or write it to stdout, where there is room for one."""
    try:
        if order.output != "-":
            return _Kept(image, await image.save(order.path(number, count), overwrite=order.overwrite), None)
        if number > 1:
            return _Kept(image, await _rescue(image), None)
        sys.stdout.buffer.write(await image.read())
        sys.stdout.buffer.flush()
        return _Kept(image, None, None)
    except ImageDownloadError as error:
        return _Kept(image, await _rescue(image), error)


async def _rescue(image: GeneratedImage) -> str:
    """Leave a picture that is paid for in the folder for passing things; say where it is, or its address."""
    try:
        return str(await image.save(f"{tempfile.gettempdir()}/"))
    except ImageDownloadError:
        return _address(image)


def _converse(
    client: TutuClient,
    messages: list[dict[str, str] | ChatMessage],
    model: str,
    fields: ChatFields,
    *,
    debug: bool,
) -> None:
    """Talk until Ctrl-D. What went wrong, or was stopped before it began, is not part of what was said."""
    with suppress(ImportError):
        import readline  # noqa: F401  (gives ``input`` its line editing)

    async def answer() -> ChatCompletion:
        stream = client.chat.completions.create(model=model, messages=messages, stream=True, **fields)
        return await _show(stream, model)

    _note(f"a conversation with {printable(model)}; Ctrl-C stops an answer, Ctrl-D ends it")
    with _runner() as runner:
        try:
            while True:
                try:
                    said = input("> ").strip()
                except EOFError:
                    _write("\n")
                    return
                if not said:
                    continue
                messages.append({"role": "user", "content": said})
                try:
                    messages.append(runner.run(answer()).message)
                except KeyboardInterrupt:
                    _note("stopped")
                    messages.pop()
                except TutuError as error:
                    _tell(error, debug=debug)
                    messages.pop()
        finally:
            runner.run(client.aclose())


@asynccontextmanager
async def _relay(host: str, port: int, key: str | None) -> AsyncIterator[Server]:
    """Run the stand-in, and say in one line why it cannot."""
    from contextlib import AsyncExitStack

    from tutuclient.testing import serve as start

    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(start(host, port, key))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(f"port {port} is taken: choose another with --port; 0 takes a free one") from error
            raise ConfigError(f"cannot listen on {printable(host)}, port {port}: {error.strerror}") from error
        yield server


# --- errors ---------------------------------------------------------------------------------------------------------


@contextmanager
def _in_one_line(*, debug: bool) -> Iterator[None]:
    """Make of whatever goes wrong one line and an exit code."""
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has gone, as ``head`` does; Python would complain of it once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except Exception as error:  # noqa: BLE001  (a traceback is for those who ask for it, with --debug)
        _tell(error, debug=debug)
        raise typer.Exit(_exit_code(error)) from None


def _exit_code(error: Exception) -> int:
    code = next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1)
    return _UNKNOWN if code not in _DECIDED and getattr(error, "outcome", None) == "unknown" else code


def _tell(error: Exception, *, debug: bool) -> None:
    if debug:
        sys.stderr.write(_harmless("".join(traceback.format_exception(error))))
    if isinstance(error, OSError) and not isinstance(error, TutuError):
        _print_error(f"the output could not be written: {error.strerror or printable(str(error))}")
        return
    if not isinstance(error, TutuError):
        _print_error(
            f"unexpected {type(error).__name__}: {printable(str(error))} (--debug shows where; please report it)"
        )
        return
    words = [_in_options(printable(error.message, 2000))]
    if isinstance(error, errors.NotFoundError):
        words.append("(tutuclient models lists what there is)")
    elif isinstance(error, errors.InternalServerError):
        words.append("(the relay is in trouble: try again later)")
    elif isinstance(error, errors.RateLimitError) and error.retry_after:
        words.append(f"(the relay asks to wait {error.retry_after:g} s)")
    if error.outcome == "unknown" and "billed" not in error.message:
        words.append("(it may have been done and billed: look into the relay's log before you repeat it)")
    if error.attempts > 1:
        words.append(f"[{error.attempts} attempts]")
    if error.request_id and error.request_id not in error.message:
        words.append(f"[request id {printable(error.request_id, 200)}]")
    _print_error(" ".join(words))


def _in_options(message: str) -> str:
    """Say it in options where it was said in keywords: ``max_side=2048`` is --max-side 2048 here."""
    message = re.sub(
        r"\b(api_key|base_url|max_side|timeout)=(\d+|…)?",
        lambda found: f"--{found[1].replace('_', '-')}{f' {found[2]}' if found[2] else ''}",
        message,
    )
    return message.replace("base_url", "--base-url").replace("overwrite=True", "--overwrite")


# --- what is printed ------------------------------------------------------------------------------------------------


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _note(text: str) -> None:
    Console(stderr=True).print(Text(f"note: {text}", "dim"), soft_wrap=True)


def _print_error(text: str) -> None:
    Console(stderr=True).print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)


def _print_faint(words: list[str | None]) -> None:
    shown = " · ".join(printable(word, 200) for word in words if word)
    Console(stderr=True).print(Text(shown, "dim"), soft_wrap=True)


def _harmless(text: str) -> str:
    """Make streamed text safe to print: lines and tabs stay, returns go, what could move a cursor is written out."""
    lines = text.replace("\r", "").split("\n")
    return "\n".join("\t".join(printable(cell, len(cell)) for cell in line.split("\t")) for line in lines)


def _last_line(text: str) -> str:
    lines = [line.strip("> \t`") for line in text.splitlines()]
    return printable(next((line for line in reversed(lines) if line), ""), 200)


def _amount(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"  # noqa: PLR2004  (decimal units)


def _address(image: GeneratedImage) -> str:
    return printable(image.url, 4000) if image.url else f"its data are in the answer ({image.mime})"


def _described(image: GeneratedImage) -> dict[str, Any]:
    return {"url": image.url, "mime": image.mime, "size_bytes": image.size_bytes}


def _call(request_id: str | None, attempts: int, started: float) -> dict[str, Any]:
    return {"request_id": request_id, "attempts": attempts, "elapsed": round(time.monotonic() - started, 3)}


def _summary(answer: ChatCompletion, started: float, images: list[dict[str, Any]]) -> dict[str, Any]:
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {
        "text": answer.text,
        "images": images,
        "usage": None if answer.usage is None else {name: getattr(answer.usage, name) for name in counts},
        "finish_reason": answer.finish_reason,
        "model": answer.model or None,
        **_call(answer.meta.request_id, answer.meta.attempts, started),
    }


def _print_json(value: dict[str, Any]) -> None:
    """Print it in one line. What JSON allows and a terminal might obey is escaped as well."""
    utf = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(value, ensure_ascii=not utf)
    unsafe = r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
    _write(re.sub(unsafe, lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


class _Waiting:
    """A line on stderr that says what is waited for, and for how long; where that is no terminal, nothing."""

    def __init__(self, what: str) -> None:
        self._progress: Progress | None = None
        self._what = what

    def __enter__(self) -> Self:
        console = Console(stderr=True)
        if console.is_interactive:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.table import Column

            words = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1))
            self._progress = Progress(
                SpinnerColumn(),
                TimeElapsedColumn(),
                words,
                console=console,
                expand=True,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._progress.add_task(printable(self._what, 200), total=None)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def say(self, what: str) -> None:
        """Say something else."""
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], description=what)

    def stop(self) -> None:
        """Take the line away."""
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.stop()


# --- the demonstration ----------------------------------------------------------------------------------------------

_QUESTION = "这张图片有什么"
_CHANGE = "请将这张图片的背景替换为蓝天白云"
_THREE_LINES = (
    f'print((await client.analyze("before.png", "{_QUESTION}")).text)',
    f'edited = await client.edit("before.png", "{_CHANGE}")',
    'await edited.images[0].save("after.png", overwrite=True)',
)
_PROGRAM_HEAD = '"""Written by "tutuclient demo": the same round, in Python.'
_PROGRAM = f'''\
{_PROGRAM_HEAD}

Set TUTU_BASE_URL and TUTU_API_KEY, and run it in this folder. With the stand-in (tutuclient serve):

    TUTU_BASE_URL=http://127.0.0.1:8017/v1 TUTU_API_KEY=any python demo.py
"""

import asyncio

from tutuclient import TutuClient


async def main() -> None:
    async with TutuClient() as client:
        {f"{chr(10)}        ".join(_THREE_LINES)}


asyncio.run(main())
'''
_DEMO_FILES = ("before.png", "after.png", "before-after.png", "demo.py")
_COLUMN = 16
_TOKEN_DELAY = 0.03


class _Demo:
    """The round that ``demo`` shows, and the telling of it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._console = Console(highlight=False)

    async def play(self) -> None:
        """Draw, ask, edit, save."""
        from tutuclient.client import TutuClient

        picture = self._draw()
        self._say("tutuclient demo: a whole round on this computer, without key and network.", style="bold")
        self._step("1 The relay", self._server.base_url)
        self._more("a stand-in that counts pixels and paints; it is no model")
        self._step("2 The picture", f"an orange cat on a hill, drawn just now: 720 x 540, {_amount(len(picture))}")
        async with TutuClient("demo", self._server.base_url) as client:
            await self._analyze(client, picture)
            after = await self._edit(client, picture)
        both = await asyncio.to_thread(_side_by_side, picture, after)
        files = zip(_DEMO_FILES, (picture, after, both, _PROGRAM.encode()), strict=True)
        with self._writing():
            for name, data in files:
                _replace(self._folder / name, data)
        self._step("5 Look at it", f"{self._folder / 'before-after.png'}  (side by side)")
        self._more(f"{self._folder / 'before.png'}, {self._folder / 'after.png'}")
        self._say("\nThe same in three lines of Python:\n", style="bold")
        for line in _THREE_LINES:
            self._say(f"   {line}", style="cyan")
        self._say(f"\n{self._folder / 'demo.py'} is the whole program. With the stand-in it runs so:\n")
        self._say(f"   {sys.executable} -m tutuclient serve        (in another terminal)")
        self._say(f"   cd {self._folder}")
        self._say(f"   TUTU_BASE_URL=http://127.0.0.1:8017/v1 TUTU_API_KEY=any {sys.executable} demo.py")

    def _draw(self) -> bytes:
        """Make the picture and the folder; files of these names that are not the demo's are left alone."""
        try:
            from tutuclient.testing import sample_picture

            picture = sample_picture()
        except ImportError as error:
            raise ConfigError(
                f'the demo draws, and needs Pillow: pip install "tutuclient[images]" ({error})'
            ) from error
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            taken = [name for name in _DEMO_FILES if os.path.lexists(self._folder / name)]
            program = self._folder / "demo.py"
            own = program.is_file() and program.read_bytes().startswith(_PROGRAM_HEAD.encode())
        if taken and not own:
            raise ConfigError(
                f"{self._folder / taken[0]} is there already, and not from an earlier demo: choose another --output"
            )
        return picture

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(f"the folder {self._folder} cannot be used: {error.strerror}") from error

    async def _analyze(self, client: TutuClient, picture: bytes) -> None:
        self._step("3 Its analysis", _QUESTION)
        self._more('that is: "What is in this picture?" Its tokens, as they come:')
        self._server.token_delay = _TOKEN_DELAY
        started, pieces, first = time.monotonic(), 0, 0.0
        margin = _Margin(self._console.width if self._console.is_terminal else None)
        asked: ChatFields = {"stream_options": {"include_usage": True}}
        async with await client.analyze(picture, _QUESTION, stream=True, **asked) as stream:
            async for piece in stream.text():
                first = first or time.monotonic() - started
                pieces += 1
                margin.write(_harmless(piece))
            answer = await stream.completion()
        self._server.token_delay = 0.0
        margin.write("\n")
        tokens = answer.usage.total_tokens if answer.usage else None
        took = time.monotonic() - started
        self._more(f"{pieces} pieces in {took:.1f} s, the first after {first * 1000:.0f} ms; {tokens} tokens in all")

    async def _edit(self, client: TutuClient, picture: bytes) -> bytes:
        self._step("4 Its edit", _CHANGE)
        self._more('that is: "Put a blue sky with white clouds behind this picture"')
        started = time.monotonic()
        edited = await client.edit(picture, _CHANGE)
        after = await edited.images[0].read()
        took = time.monotonic() - started
        self._more(f"done in {took:.1f} s; the answer links to its picture, which is fetched")
        return after

    def _step(self, name: str, text: str) -> None:
        self._console.print()
        self._console.print(Text.assemble((f"{name:<{_COLUMN}}", "bold"), text), soft_wrap=True)

    def _more(self, text: str) -> None:
        self._say(" " * _COLUMN + text, style="dim")

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style), soft_wrap=True)


class _Margin:
    """Writes pieces of text behind a margin, and breaks lines before the terminal would."""

    def __init__(self, width: int | None) -> None:
        self._width = width
        self._at = 0

    def write(self, text: str) -> None:
        for part in re.split(r"(\n)", text):
            size = cell_len(part)
            if part == "\n" or (self._width and self._at + size > self._width - 1):
                _write("\n")
                self._at = 0
            if part.strip("\n"):
                _write(part if self._at else f"{' ' * _COLUMN}{part.lstrip()}")
                self._at = (self._at or _COLUMN) + size


def _replace(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there, so that nothing is written through a link."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tutuclient-", delete=False) as part:
        part.write(data)
    Path(part.name).chmod(0o644)  # Of its own accord it is for its owner only.
    Path(part.name).replace(path)


def _side_by_side(before: bytes, after: bytes) -> bytes:
    """Put two pictures on one sheet, with a gap between and a caption under each."""
    from PIL import Image, ImageDraw, ImageFont

    pictures = [Image.open(BytesIO(data)).convert("RGB") for data in (before, after)]
    height, gap = 540, 32
    pictures = [picture.resize((round(picture.width * height / picture.height), height)) for picture in pictures]
    width = sum(picture.width for picture in pictures) + 3 * gap
    sheet = Image.new("RGB", (width, height + gap + 72), (255, 255, 255))
    pen, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(26), gap
    for picture, caption in zip(pictures, ("before", "after: a blue sky, white clouds"), strict=True):
        sheet.paste(picture, (left, gap))
        pen.text((left + picture.width / 2, gap + height + 36), caption, (70, 70, 76), font, anchor="mm")
        left += picture.width + gap
    out = BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()
