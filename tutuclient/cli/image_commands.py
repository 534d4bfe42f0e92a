"""The commands edit and generate: a picture is ordered once, saved, and never lost again."""

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
    last_line,
    note,
    print_json,
    summary,
)
from tutuclient.cli.output_files import Target, finish, keep, ordered, rescue
from tutuclient.cli.running import in_one_line, run
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
        target = Target(output, overwrite, as_json)
        target.check()
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
    """Have a picture made, save it, print where.

    Example: tutuclient generate "A red panda reading" -o panda.png
    """
    with in_one_line(debug=debug):
        target = Target(output, overwrite, as_json)
        target.check()
        text = prompt_of(prompt)

        async def work() -> None:
            async with client_of(api_key, base_url, timeout) as client:
                await _draw(client.generate(text, model=model, stream=True, **_fields(target)), model, target)

        run(work())


def _fields(target: Target) -> ChatFields:
    """Only JSON shows the usage, and not every relay takes the field that asks for it."""
    return {"stream_options": {"include_usage": True}} if target.as_json else {}


async def _await_pictures(opening: Awaitable[ChatStream], model: str, waiting: Waiting) -> ChatCompletion:
    """Read a stream to its end, showing its last line, which is how relays tell how far they are."""
    try:
        async with await opening as stream:
            text = ""
            async for chunk in stream:
                text = (text + chunk.text)[-2000:]
                waiting.say(f"{model} {last_line(text)}")
            return await stream.completion()
    except errors.APIError as error:
        waiting.stop()
        for image in error.partial.images if error.partial else ():
            note(f"a picture had come before: {await rescue(image)}")
        raise


async def _draw(opening: Awaitable[ChatStream], model: str, target: Target) -> None:
    """Wait for pictures, save them, and say where they are."""
    started = time.monotonic()
    with Waiting(model) as waiting:
        with ordered(waiting):
            answer = await _await_pictures(opening, model, waiting)
        kept = await keep(answer.images, target, waiting)
    described = summary(answer, started, [each.described() for each in kept])
    if not kept:
        if target.as_json:
            print_json(described)
        raise NoImageError(
            f"the answer holds no picture; the relay said: {printable(answer.text) or 'nothing'}",
            request_id=answer.request_id,
        )
    finish(kept, target, described, started)
