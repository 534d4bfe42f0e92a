"""The command demo: a whole round with the stand-in relay, explained step by step."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tutuclient.cli.arguments import Debug  # noqa: TC001  (typer reads annotations at run time)
from tutuclient.cli.output import end_interrupted_line, human_size, sanitize, write
from tutuclient.cli.page import TOKEN_DELAY, page_of
from tutuclient.cli.running import reporting_errors, run
from tutuclient.cli.serve import relay
from tutuclient.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator

    from tutuclient.client import TutuClient
    from tutuclient.testing import Server
    from tutuclient.types import ChatFields

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


def demo(
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for the images.")] = Path(
        "tutuclient-demo"
    ),
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="The relay's port; 0 takes a free one.")
    ] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the relay running at the end, until Ctrl-C.")] = False,
    ui: Annotated[
        bool, typer.Option("--ui", help="Serve a page at the end, to continue in a browser, until Ctrl-C.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Try the client on this computer, against a stand-in relay and without a key.

    Starts a stand-in relay, draws an image, has it analysed and edited, and puts before and after side by side.
    """
    with reporting_errors(debug=debug):
        finished = False

        async def work() -> None:
            nonlocal finished
            async with relay("127.0.0.1", port, None) as server:
                await _Demo(server, output).play()
                finished = True
                if keep:
                    write(f"\nThe relay goes on at {server.base_url} until Ctrl-C.\n")
                if ui:
                    server.token_delay = TOKEN_DELAY
                    async with page_of(server, "127.0.0.1", 0, None):
                        await asyncio.Event().wait()
                if keep:
                    await asyncio.Event().wait()

        try:
            run(work())
        except KeyboardInterrupt:
            if not finished:
                raise
            end_interrupted_line()


class _Demo:
    """The round that ``demo`` shows, and what it prints."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._console = Console(highlight=False)

    async def play(self) -> None:
        """Draw, ask, edit, save."""
        from tutuclient.client import TutuClient

        # Drawn before anything is printed, so that a missing Pillow is one line.
        image = self._draw()
        self._say("tutuclient demo: a whole round on this computer, without key and network.", style="bold")
        self._step("1 The relay", self._server.base_url)
        self._more("a stand-in that counts pixels and paints; it is no model")
        self._step("2 The image", f"an orange cat on a hill, drawn just now: 720 x 540, {human_size(len(image))}")
        async with TutuClient("demo", self._server.base_url) as client:
            await self._analyze(client, image)
            after = await self._edit(client, image)
        both = await asyncio.to_thread(_side_by_side, image, after)
        files = zip(_DEMO_FILES, (image, after, both, _PROGRAM.encode()), strict=True)
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
        """Draw the image and create the folder. Files of the demo's names that it did not write are left alone."""
        try:
            from tutuclient.testing import sample_picture

            image = sample_picture()
        except ImportError as error:
            raise ConfigError(
                f'the demo draws, and needs Pillow: pip install pillow (the extra "images"; {error})'
            ) from error
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            taken = [name for name in _DEMO_FILES if os.path.lexists(self._folder / name)]
            program = self._folder / "demo.py"
            # An earlier demo's files may be replaced; a user's file that happens to have such a name may not.
            own = program.is_file() and program.read_bytes().startswith(_PROGRAM_HEAD.encode())
        if taken and not own:
            raise ConfigError(
                f"{self._folder / taken[0]} is there already, and not from an earlier demo: choose another --output"
            )
        return image

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(f"the folder {self._folder} cannot be used: {error.strerror}") from error

    async def _analyze(self, client: TutuClient, image: bytes) -> None:
        self._step("3 Its analysis", _QUESTION)
        self._more('that is: "What is in this image?" Its tokens, as they come:')
        self._server.token_delay = _TOKEN_DELAY
        started, pieces, first = time.monotonic(), 0, 0.0
        margin = _Margin(self._console.width if self._console.is_terminal else None)
        asked: ChatFields = {"stream_options": {"include_usage": True}}
        async with await client.analyze(image, _QUESTION, stream=True, **asked) as stream:
            async for piece in stream.text():
                first = first or time.monotonic() - started
                pieces += 1
                margin.write(sanitize(piece))
            answer = await stream.completion()
        self._server.token_delay = 0.0
        margin.write("\n")
        tokens = answer.usage.total_tokens if answer.usage else None
        took = time.monotonic() - started
        self._more(f"{pieces} pieces in {took:.1f} s, the first after {first * 1000:.0f} ms; {tokens} tokens in all")

    async def _edit(self, client: TutuClient, image: bytes) -> bytes:
        self._step("4 Its edit", _CHANGE)
        self._more('that is: "Put a blue sky with white clouds behind this image"')
        started = time.monotonic()
        edited = await client.edit(image, _CHANGE)
        after = await edited.images[0].read()
        took = time.monotonic() - started
        self._more(f"done in {took:.1f} s; the answer links to its image, which is fetched")
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
            # A terminal breaks lines in the middle of the margin; so they are broken before it would.
            if part == "\n" or (self._width and self._at + size > self._width - 1):
                write("\n")
                self._at = 0
            if part.strip("\n"):
                write(part if self._at else f"{' ' * _COLUMN}{part.lstrip()}")
                self._at = (self._at or _COLUMN) + size


def _replace(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there, so that nothing is written through a link."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tutuclient-", delete=False) as part:
        part.write(data)
    Path(part.name).chmod(0o644)  # A temporary file is readable by its owner only.
    Path(part.name).replace(path)


def _side_by_side(before: bytes, after: bytes) -> bytes:
    """Draw two images side by side on one sheet, with a caption under each."""
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    images = [Image.open(BytesIO(data)).convert("RGB") for data in (before, after)]
    height, gap = 540, 32
    images = [ImageOps.scale(image, height / image.height) for image in images]
    width = sum(image.width for image in images) + 3 * gap
    sheet = Image.new("RGB", (width, height + gap + 72), (255, 255, 255))
    pen, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(26), gap
    for image, caption in zip(images, ("before", "after: a blue sky, white clouds"), strict=True):
        sheet.paste(image, (left, gap))
        pen.text((left + image.width / 2, gap + height + 36), caption, (70, 70, 76), font, anchor="mm")
        left += image.width + gap
    out = BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()
