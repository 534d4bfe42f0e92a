"""The command line: the API for people, and for scripts.

Answers go to stdout, plain where it is no terminal; notes and errors go to
stderr, an error in one line. Whatever a relay sends is sanitized before it is
printed. The exit codes, which ``--help`` lists, are for scripts.

It knows nothing of HTTP. The client is imported inside functions, so that
``--help`` does not import aiohttp.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

from tutuclient import __version__
from tutuclient.cli import account, audio, chat, demo, doctor, embeddings, image_commands, images, serve
from tutuclient.cli.batch import commands as batch_commands
from tutuclient.cli.commands import Command, Group
from tutuclient.cli.output import print_error, write
from tutuclient.cli.running import INTERRUPTED
from tutuclient.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EPILOG = """\
[bold]Exit codes[/bold]
0: success.
1: something else went wrong.
2: the command, a setting, an image or a recording is invalid; nothing was sent.
3: the key is wrong, may not do this, or has no quota left.
4: the relay rejected the request; sending it again does not help.
5: too many requests; wait, then try again.
6: no connection, or a deadline passed; nothing was done.
7: the outcome is unknown; it may have been done, and billed.
8: the answer is invalid, has no image, or what it has could not be saved.
9: a batch is done, and items failed or are of unknown outcome.
10: the budget of a batch is reached.
74: a batch could not be written to the disk.
130: Ctrl-C.
"""

app = typer.Typer(
    name="tutuclient",
    cls=Group,
    help="Ask an OpenAI-compatible relay about images, have them edited, or chat with it. "
    "The key and the address come from TUTU_API_KEY and TUTU_BASE_URL (else OPENAI_*). "
    "To try it without either, run [bold]tutuclient demo[/bold].",
    epilog=_EPILOG,
    rich_markup_mode="rich",
    # typer's tracebacks fill the screen and may print local variables, the key among them:
    # https://typer.tiangolo.com/tutorial/exceptions.
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        write(f"tutuclient {__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    del version  # Handled by its callback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Answers are in any language, and a terminal or a pipe may have an encoding that lacks it: an error in the
            # middle of an answer would lose the rest of what was paid for.
            stream.reconfigure(errors="backslashreplace")
    if context.invoked_subcommand is None:
        # With ``rich_markup_mode`` this prints the help itself, and returns an empty text
        # (typer.rich_utils.rich_format_help).
        context.get_help()
        raise typer.Exit(2)


_MAIN, _REST, _RELAY = "Images and text", "Images, audio, embeddings", "The relay"
for _panel, _commands in (
    (_MAIN, (chat.analyze, image_commands.edit, image_commands.generate, chat.chat)),
    (_REST, (audio.speech, audio.transcribe, audio.translate, embeddings.embed)),
    (_RELAY, (account.models, account.balance, doctor.doctor, serve.serve, demo.demo)),
):
    for _command in _commands:
        app.command(rich_help_panel=_panel, cls=Command)(_command)
app.add_typer(images.app, rich_help_panel=_REST)
app.add_typer(batch_commands.app, rich_help_panel=_MAIN)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code.

    Args:
        arguments: What follows the program's name; None takes the process's own.
    """
    try:
        # On its own typer prints usage errors in a frame of several lines, and exits; scripts want one line, and a code
        # to branch on. Without ``standalone_mode`` it raises those, and returns the code of ``typer.Exit``
        # (typer.core._main).
        return int(app(arguments, prog_name="tutuclient", standalone_mode=False) or 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        # Usage errors. Their class has moved between versions of typer, what they can do has not.
        words: Callable[[], str] | None = getattr(error, "format_message", None)
        if words is None:
            raise
        command = getattr(getattr(error, "ctx", None), "command_path", "tutuclient")
        print_error(f"{printable(words()).rstrip('.')} (see {command} --help)")
        return int(getattr(error, "exit_code", 2))
