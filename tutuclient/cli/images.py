"""The commands images generate, images edit and images vary: the API's image endpoints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tutuclient.cli.arguments import (
    ApiKey,
    AsJson,
    BaseUrl,
    Debug,
    ImagesAndPrompt,
    Model,
    Output,
    Overwrite,
    Seconds,
    make_client,
    read_prompt,
    read_stdin,
    split_arguments,
)
from tutuclient.cli.commands import Command, Group
from tutuclient.cli.output import Spinner, call_fields, note, usage_fields
from tutuclient.cli.output_files import Target, report_saved, save_images, save_to_temp, warning_if_stopped
from tutuclient.cli.running import reporting_errors, run
from tutuclient.errors import APIError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from tutuclient.cli.output_files import SavedImage
    from tutuclient.streams.events import EventStream
    from tutuclient.types import (
        ImageEditFields,
        ImageGenerateFields,
        ImagesResponse,
        ImageStreamEvent,
        ImagesUsage,
        ImageVariationFields,
    )

app = typer.Typer(
    name="images",
    cls=Group,
    help="Make, edit and vary images with the image endpoints of the API (dall-e, gpt-image). "
    "Models that draw in a chat, gpt-4o-image for one, are behind [bold]tutuclient generate[/bold] and "
    "[bold]tutuclient edit[/bold].",
    rich_markup_mode="rich",
)

# The API's own limits (WIRE.md 1.9).
_MOST, _MOST_DRAFTS = 10, 3
Count = Annotated[int, typer.Option("--n", "-n", metavar="N", min=1, max=_MOST, help="How many images to order.")]
Size = Annotated[str | None, typer.Option(metavar="WxH", help="Such as 1024x1024, or auto; else the relay's own.")]
Partial = Annotated[
    int,
    typer.Option(
        "--partial",
        metavar="N",
        min=0,
        max=_MOST_DRAFTS,
        help="Save up to so many drafts while it is drawn, as OUT-draft-1 and so on; relays may send none.",
    ),
]
Quality = Annotated[
    str | None, typer.Option(metavar="WORD", help="low, medium or high for gpt-image; standard or hd for dall-e-3.")
]


@app.callback(invoke_without_command=True)
def _start(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        context.get_help()
        raise typer.Exit(2)


@app.command(cls=Command)
def generate(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to draw; - reads it from stdin.")],
    *,
    output: Output,
    overwrite: Overwrite = False,
    n: Count = 1,
    size: Size = None,
    quality: Quality = None,
    partial: Partial = 0,
    model: Model = "gpt-image-1",
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Generate images, save them, print where.

    Example: tutuclient images generate "A red panda reading" -o panda.png --size 1024x1024
    """
    with reporting_errors(debug=debug):
        target = Target(output, overwrite, as_json)
        target.check(n, partial)
        text = read_prompt(prompt)
        fields: ImageGenerateFields = {"model": model} if quality is None else {"model": model, "quality": quality}
        _choose(fields, n, size)

        async def work() -> None:
            async with make_client(api_key, base_url, timeout) as client:
                if partial:
                    fields["partial_images"] = partial
                    await _watch(client.images.generate(prompt=text, stream=True, **fields), model, target)
                else:
                    await _order(client.images.generate(prompt=text, **fields), model, target)

        run(work())


@app.command(cls=Command)
def edit(
    arguments: ImagesAndPrompt,
    *,
    output: Output,
    overwrite: Overwrite = False,
    mask: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A PNG as large as the image; what is transparent in it is drawn anew."),
    ] = None,
    n: Count = 1,
    size: Size = None,
    quality: Quality = None,
    partial: Partial = 0,
    model: Model = "gpt-image-1",
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Edit an image, save the results, print where.

    With several images, one is made of them all.

    Example: tutuclient images edit cat.png "Give it a hat" -o hat.png
    """
    with reporting_errors(debug=debug):
        target = Target(output, overwrite, as_json)
        target.check(n, partial)
        images, prompt = split_arguments(arguments, "images edit cat.png")
        fields: ImageEditFields = {"model": model} if quality is None else {"model": model, "quality": quality}
        _choose(fields, n, size)

        async def work() -> None:
            async with make_client(api_key, base_url, timeout) as client:
                order = client.images.edit
                if partial:
                    fields["partial_images"] = partial
                    opening = order(image=images, prompt=prompt, mask=mask, stream=True, **fields)
                    await _watch(opening, model, target)
                else:
                    await _order(order(image=images, prompt=prompt, mask=mask, **fields), model, target)

        run(work())


@app.command(cls=Command)
def vary(
    name: Annotated[str, typer.Argument(metavar="IMAGE", help="The image, a square PNG; - reads it from stdin.")],
    *,
    output: Output,
    overwrite: Overwrite = False,
    n: Count = 1,
    size: Size = None,
    model: Model = "dall-e-2",
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Order variations of an image, save them, print where. Most relays lack this endpoint.

    Example: tutuclient images vary cat.png -o cats/ -n 3
    """
    with reporting_errors(debug=debug):
        target = Target(output, overwrite, as_json)
        target.check(n)
        image = read_stdin("image") if name == "-" else name
        fields: ImageVariationFields = {"model": model}
        _choose(fields, n, size)

        async def work() -> None:
            async with make_client(api_key, base_url, timeout) as client:
                await _order(client.images.create_variation(image=image, **fields), model, target)

        run(work())


def _choose(fields: ImageVariationFields, n: int, size: str | None) -> None:
    """Add the fields that were asked for; the relay has defaults for the others."""
    if n > 1:
        fields["n"] = n
    if size is not None:
        fields["size"] = size.replace("×", "x")  # Relays reject the sign ×, which people copy from web pages.


async def _order(order: Awaitable[ImagesResponse], model: str, target: Target) -> None:
    """Wait for images, save them, and report where they are."""
    started = time.monotonic()
    with Spinner(model) as spinner:
        with warning_if_stopped(spinner):
            answer = await order
        kept = await save_images(answer.images, target, spinner)
    described = _described(kept, [each.revised_prompt for each in answer.data], answer.usage)
    call = call_fields(answer.meta.request_id, answer.meta.attempts, started)
    report_saved(kept, target, {**described, "model": model, **call}, started)


async def _watch(opening: Awaitable[EventStream[ImageStreamEvent]], model: str, target: Target) -> None:
    """Save drafts while an image is drawn, and then the image."""
    started = time.monotonic()
    whole: list[ImageStreamEvent] = []
    drafts: list[SavedImage] = []
    with Spinner(model) as spinner:
        try:
            with warning_if_stopped(spinner):
                async with await opening as events:
                    async for event in events:
                        if event.is_partial:
                            # At once, since a draft is worth nothing once the image is there.
                            drafts += await save_images(event.images, target.draft(len(drafts) + 1), spinner)
                            spinner.update(f"{model} draft {len(drafts)}: {drafts[-1].place}")
                        else:
                            whole.append(event)
            kept = await save_images([image for event in whole for image in event.images], target, spinner)
        except APIError:
            spinner.stop()
            for image in (image for event in whole for image in event.images):
                note(f"an image that had arrived before the error is saved: {await save_to_temp(image)}")
            raise
        finally:
            spinner.stop()
            for number, draft in enumerate(drafts, 1):
                draft.report(target.draft(number))
    usage = next((event.usage for event in whole if event.usage), None)
    described = _described(kept, [event.revised_prompt for event in whole], usage)
    described["drafts"] = [each.as_json() for each in drafts]
    call = call_fields(events.meta.request_id, events.meta.attempts, started)
    report_saved(kept, target, {**described, "model": model, **call}, started)


def _described(kept: Sequence[SavedImage], prompts: Sequence[str | None], usage: ImagesUsage | None) -> dict[str, Any]:
    images = [{**each.as_json(), "revised_prompt": prompt} for each, prompt in zip(kept, prompts, strict=False)]
    return {"images": images, "usage": usage_fields(usage)}
