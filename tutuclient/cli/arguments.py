"""Arguments: the options that several commands share, images, a prompt, stdin, and the client built from them."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from enum import Enum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutuclient.errors import ConfigError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient.client import TutuClient


class Detail(Enum):
    """How closely the model looks at an image: the API's ``detail``."""

    auto = "auto"
    low = "low"
    high = "high"


CONNECTION = "Connection"
ApiKey = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="The key. Better set TUTU_API_KEY: other users of this computer can see this option among the processes.",
        rich_help_panel=CONNECTION,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where the API is; else TUTU_BASE_URL.", rich_help_panel=CONNECTION),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", help="A deadline over the whole call; else 600.", rich_help_panel=CONNECTION
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object, with usage, request id and timings, alone; where the call fails, nothing.",
    ),
]
Model = Annotated[str, typer.Option("--model", "-m", metavar="NAME", help="The model, as the relay lists it.")]
MaxTokens = Annotated[int | None, typer.Option(metavar="N", min=1, help="The most tokens the answer may have.")]
MaxSide = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS", min=1, help="Shrink images so that no side is longer; less to send, cheaper to look at."
    ),
]
DetailOption = Annotated[Detail, typer.Option("--detail", help="How closely to look at the images.")]
ImagesAndPrompt = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE... PROMPT",
        help="Images (paths, http URLs, or - for stdin), and last, in quotes, what to do with them.",
        show_default=False,
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="Where to save the image: a file, a folder, or - for stdout. The extension follows the bytes; "
        "several images get -1, -2 and so on.",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is there.")]


def make_client(api_key: str | None, base_url: str | None, timeout: float | None) -> TutuClient:
    """Return a client; None stands for the environment's value, else the client's default."""
    from tutuclient.client import TutuClient
    from tutuclient.settings import UNSET

    return TutuClient(api_key, base_url, timeout=UNSET if timeout is None else timeout)


def split_arguments(arguments: list[str], example: str) -> tuple[list[str | bytes], str]:
    """Separate the images from the prompt, which is the last argument; read an image that is piped in."""
    # typer cannot tell the last of several arguments from the others, so the command does.
    *names, prompt = arguments
    usage = f'images first, then the prompt in quotes: tutuclient {example} "…"'
    if is_file(prompt):
        raise ConfigError(f"the last argument is the prompt, and {printable(prompt)} is a file; {usage}")
    if prompt.startswith(("http://", "https://", "data:")) and " " not in prompt:
        raise ConfigError(f"the last argument is the prompt, and {printable(prompt, 80)} is a URL; {usage}")
    if not names:
        raise ConfigError(f"an image and a prompt are needed, and there is only one argument; {usage}")
    if not prompt.strip():
        raise ConfigError("the prompt is empty")
    for name in names:
        # A word without a dot or a slash that is no file is mostly a prompt without quotes.
        if name != "-" and not re.search(r"[./\\:]", name) and not is_file(name):
            raise ConfigError(f"there is no file {printable(name)}; {usage}")
    if names.count("-") > 1:
        raise ConfigError("stdin (-) holds one image, but is named twice")
    return [read_stdin("image") if name == "-" else name for name in names], prompt


def is_file(name: str) -> bool:
    """Return whether there is such a file. A prompt is checked too, so ``name`` may be any text."""
    with suppress(OSError, ValueError):  # Names that are too long, or hold a NUL.
        return Path(name).is_file()
    return False


def read_stdin(what: str) -> bytes:
    """Read what is piped in; ``what`` names it in errors."""
    _check_piped(what)
    if not (data := sys.stdin.buffer.read()).strip():
        raise ConfigError(f"no {what}: stdin is empty")
    return data


def stdin_lines(what: str) -> Iterator[str]:
    """Read what is piped in line by line, as it comes; ``what`` names it in errors."""
    _check_piped(what)
    return TextIOWrapper(sys.stdin.buffer, "utf-8-sig", "replace")


def _check_piped(what: str) -> None:
    if sys.stdin.isatty():
        raise ConfigError(f"no {what}: stdin (-) is the terminal; pipe the {what} in")


def read_prompt(text: str, what: str = "prompt") -> str:
    """Return the prompt, read from stdin when it is ``-``; ``what`` names it in errors."""
    if text == "-":
        # PowerShell and editors on Windows put a byte order mark before UTF-8.
        return read_stdin(what).decode("utf-8-sig", "replace").strip()
    if not text.strip():
        raise ConfigError(f"the {what} is empty")
    return text
