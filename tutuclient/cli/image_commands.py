"""The commands edit and generate: an image is ordered once, saved, and never lost again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from tutuclient import errors
from tutuclient.cli.arguments import (
    ApiKey,
    AsJson,
    BaseUrl,
    Debug,
    Detail,
    DetailOption,
    ImagesAndPrompt,
    MaxSide,
    Model,
    Output,
    Overwrite,
    Seconds,
    make_client,
    read_prompt,
    split_arguments,
)
from tutuclient.cli.output import Spinner, answer_fields, last_line, note, print_json
from tutuclient.cli.output_files import Target, report_saved, save_images, save_to_temp, warning_if_stopped
from tutuclient.cli.running import reporting_errors, run
from tutuclient.errors import NoImageError, printable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tutuclient.streams.chat import ChatStream
    from tutuclient.types import ChatCompletion, ChatFields


def edit(
    arguments: ImagesAndPrompt,
    *,
    output: Output,
    overwrite: Overwrite = False,
    model: Model = "gpt-4o-image",
    max_side: MaxSide = None,
    detail: DetailOption = Detail.high,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Edit an image, save the result, print where.

    With several images, one is made of them all.

    Example: tutuclient edit cat.jpg "Put a blue sky behind it" -o sky.png
    """
    with reporting_errors(debug=debug):
        target = Target(output, overwrite, as_json)
        target.check()
        images, prompt = split_arguments(arguments, "edit cat.jpg")

        async def work() -> None:
            async with make_client(api_key, base_url, timeout) as client:
                opening = client.edit(
                    images,
                    prompt,
                    model=model,
                    detail=detail.value,
                    max_side=max_side,
                    stream=True,
                    **_fields(target),
                )
                await _draw(opening, model, target)

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
    """Generate an image, save it, print where.

    Example: tutuclient generate "A red panda reading" -o panda.png
    """
    with reporting_errors(debug=debug):
        target = Target(output, overwrite, as_json)
        target.check()
        text = read_prompt(prompt)

        async def work() -> None:
            async with make_client(api_key, base_url, timeout) as client:
                await _draw(client.generate(text, model=model, stream=True, **_fields(target)), model, target)

        run(work())


def _fields(target: Target) -> ChatFields:
    """Only JSON shows the usage, and not every relay takes the field that asks for it."""
    return {"stream_options": {"include_usage": True}} if target.as_json else {}


async def _await_images(opening: Awaitable[ChatStream], model: str, spinner: Spinner) -> ChatCompletion:
    """Read a stream to its end, showing its last line, which is how relays tell how far they are."""
    try:
        async with await opening as stream:
            text = ""
            async for chunk in stream:
                # The last line is all that is shown, and a chunk may hold a whole image as base64 (WIRE.md 2.3, rule
                # 12).
                text = (text + chunk.text)[-2000:]
                spinner.update(f"{model} {last_line(text)}")
            return await stream.completion()
    except errors.APIError as error:
        spinner.stop()
        for image in error.partial.images if error.partial else ():
            note(f"an image that had arrived before the error is saved: {await save_to_temp(image)}")
        raise


async def _draw(opening: Awaitable[ChatStream], model: str, target: Target) -> None:
    """Wait for images, save them, and report where they are."""
    started = time.monotonic()
    with Spinner(model) as spinner:
        with warning_if_stopped(spinner):
            answer = await _await_images(opening, model, spinner)
        kept = await save_images(answer.images, target, spinner)
    described = answer_fields(answer, started, [each.as_json() for each in kept])
    if not kept:
        if target.as_json:
            print_json(described)
        raise NoImageError(
            f"the answer holds no image; the relay said: {printable(answer.text) or 'nothing'}",
            request_id=answer.request_id,
        )
    report_saved(kept, target, described, started)
