"""The commands edit and generate: a picture is ordered once, saved, and never lost again."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tutuclient import errors
from tutuclient.cli.given import (
    ApiKey,
    AsJson,
    BaseUrl,
    Debug,
    Detail,
    HowClosely,
    ImagesAndPrompt,
    MaxSide,
    Model,
    Output,
    Overwrite,
    Seconds,
    client_of,
    prompt_of,
    split,
)
from tutuclient.cli.output import (
    Waiting,
    address,
    amount,
    described,
    last_line,
    note,
    print_error,
    print_faint,
    print_json,
    summary,
    write,
)
from tutuclient.cli.running import in_one_line, in_options, run
from tutuclient.errors import ConfigError, ImageDownloadError, NoImageError, printable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tutuclient.generated import GeneratedImage
    from tutuclient.stream import ChatStream
    from tutuclient.types import ChatCompletion, ChatFields


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
    with in_one_line(debug=debug):
        order = _Order(model, output, overwrite, as_json)
        order.check()
        pictures, prompt = split(arguments, "edit cat.jpg")

        async def work() -> None:
            async with client_of(api_key, base_url, timeout) as client:
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

        run(work())


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
    with in_one_line(debug=debug):
        order = _Order(model, output, overwrite, as_json)
        order.check()
        text = prompt_of(prompt)

        async def work() -> None:
            async with client_of(api_key, base_url, timeout) as client:
                await _draw(client.generate(text, model=model, stream=True, **order.fields), order)

        run(work())


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


async def _await_pictures(opening: Awaitable[ChatStream], model: str, waiting: Waiting) -> ChatCompletion:
    """Read a stream to its end, showing its last line, which is how relays tell how far they are."""
    try:
        async with await opening as stream:
            text = ""
            async for chunk in stream:
                text = (text + chunk.text)[-2000:]
                waiting.say(f"{model} {last_line(text)}")
            return await stream.completion()
    except asyncio.CancelledError:
        waiting.stop()
        note("stopped; what was ordered may be made and billed all the same: look into the relay's log")
        raise
    except errors.APIError as error:
        waiting.stop()
        for image in error.partial.images if error.partial else ():
            note(f"a picture had come before: {await rescue(image)}")
        raise


async def _draw(opening: Awaitable[ChatStream], order: _Order) -> None:
    """Wait for pictures, save them, and say where they are."""
    started = time.monotonic()
    kept: list[_Kept] = []
    with Waiting(order.model) as waiting:
        answer = await _await_pictures(opening, order.model, waiting)
        for number, image in enumerate(answer.images, 1):
            waiting.say(f"saving picture {number} of {len(answer.images)}")
            try:
                kept.append(await _keep(image, order, number, len(answer.images)))
            except asyncio.CancelledError:
                waiting.stop()
                note(f"not saved, but made and paid for: {address(image)}")
                raise
    if order.as_json:
        print_json(summary(answer, started, [each.described() for each in kept]))
    if not kept:
        missing = NoImageError(f"the answer holds no picture; the relay said: {printable(answer.text) or 'nothing'}")
        missing.request_id = answer.meta.request_id
        raise missing
    for each in kept:
        each.tell(order)
    if sys.stderr.isatty():
        size = sum(each.image.size_bytes or 0 for each in kept)
        print_faint([f"{time.monotonic() - started:.1f} s", amount(size), answer.model, answer.meta.request_id])
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
        return {**described(self.image), "path": str(self.place) if isinstance(self.place, Path) else None, **more}

    def tell(self, order: _Order) -> None:
        """Print where it is; a picture that is paid for must be found again."""
        if self.error is not None:
            print_error(in_options(self.error.message))
            note(f"it is made and paid for, and not ordered again: {self.place}")
        elif isinstance(self.place, str):
            note(f"only the first picture goes to stdout; another is here: {self.place}")
        elif self.place is not None and not order.as_json:
            write(f"{self.place}\n")
            asked = "" if order.is_folder else Path(order.output).suffix.lower()
            if asked and asked != self.place.suffix.lower():
                note(f"the relay sent {self.image.mime}, and the name says so")


async def _keep(image: GeneratedImage, order: _Order, number: int, count: int) -> _Kept:
    """Save a picture, or write it to stdout, where there is room for one."""
    try:
        if order.output != "-":
            return _Kept(image, await image.save(order.path(number, count), overwrite=order.overwrite), None)
        if number > 1:
            return _Kept(image, await rescue(image), None)
        sys.stdout.buffer.write(await image.read())
        sys.stdout.buffer.flush()
        return _Kept(image, None, None)
    except ImageDownloadError as error:
        return _Kept(image, await rescue(image), error)


async def rescue(image: GeneratedImage) -> str:
    """Leave a picture that is paid for in the folder for passing things; say where it is, or its address."""
    try:
        return str(await image.save(f"{tempfile.gettempdir()}/"))
    except ImageDownloadError:
        return address(image)
