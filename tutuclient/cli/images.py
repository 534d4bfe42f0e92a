"""The commands images generate, images edit and images vary: the API's own pages for pictures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from tutuclient.cli.given import (
    ApiKey,
    AsJson,
    BaseUrl,
    Debug,
    ImagesAndPrompt,
    Model,
    Output,
    Overwrite,
    Seconds,
    client_of,
    prompt_of,
    split,
    stdin,
)
from tutuclient.cli.keeping import Target, finish, keep, ordered
from tutuclient.cli.output import Waiting, call_fields, counts
from tutuclient.cli.running import in_one_line, run

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tutuclient.types import ImageEditFields, ImageGenerateFields, ImagesResponse, ImageVariationFields

app = typer.Typer(
    name="images",
    help="Make, edit and vary pictures by the API's own pages for it (dall-e, gpt-image). "
    "Models that draw in a chat, gpt-4o-image for one, are behind [bold]tutuclient generate[/bold] and "
    "[bold]tutuclient edit[/bold].",
    rich_markup_mode="rich",
)

_MOST = 10
Count = Annotated[int, typer.Option("--n", "-n", metavar="N", min=1, max=_MOST, help="How many pictures to order.")]
Size = Annotated[str | None, typer.Option(metavar="WxH", help="Such as 1024x1024, or auto; else the relay's own.")]
Quality = Annotated[
    str | None, typer.Option(metavar="WORD", help="low, medium or high for gpt-image; standard or hd for dall-e-3.")
]


@app.callback(invoke_without_command=True)
def _start(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        context.get_help()
        raise typer.Exit(2)


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to draw; - reads it from stdin.")],
    *,
    output: Output,
    overwrite: Overwrite = False,
    n: Count = 1,
    size: Size = None,
    quality: Quality = None,
    model: Model = "gpt-image-1",
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Have pictures made, save them, print where.

    Example: tutuclient images generate "A red panda reading" -o panda.png --size 1024x1024
    """
    with in_one_line(debug=debug):
        target = Target(output, overwrite, as_json)
        target.check(n)
        text = prompt_of(prompt)
        fields: ImageGenerateFields = {"model": model}
        _choose(fields, n, size)
        if quality is not None:
            fields["quality"] = quality

        async def work() -> None:
            async with client_of(api_key, base_url, timeout) as client:
                await _order(client.images.generate(prompt=text, **fields), model, target)

        run(work())


@app.command()
def edit(
    arguments: ImagesAndPrompt,
    *,
    output: Output,
    overwrite: Overwrite = False,
    mask: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A PNG as large as the picture; what is transparent in it is drawn anew."),
    ] = None,
    n: Count = 1,
    size: Size = None,
    quality: Quality = None,
    model: Model = "gpt-image-1",
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Have a picture changed, save the results, print where.

    With several pictures, one is made of them all.

    Example: tutuclient images edit cat.png "Give it a hat" -o hat.png
    """
    with in_one_line(debug=debug):
        target = Target(output, overwrite, as_json)
        target.check(n)
        pictures, prompt = split(arguments, "images edit cat.png")
        fields: ImageEditFields = {"model": model}
        _choose(fields, n, size)
        if quality is not None:
            fields["quality"] = quality

        async def work() -> None:
            async with client_of(api_key, base_url, timeout) as client:
                order = client.images.edit(image=pictures, prompt=prompt, mask=mask, **fields)
                await _order(order, model, target)

        run(work())


@app.command()
def vary(
    picture: Annotated[str, typer.Argument(metavar="IMAGE", help="The picture, a square PNG; - reads it from stdin.")],
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
    """Have a picture varied, save the results, print where. Most relays have no such page.

    Example: tutuclient images vary cat.png -o cats/ -n 3
    """
    with in_one_line(debug=debug):
        target = Target(output, overwrite, as_json)
        target.check(n)
        image = stdin("picture") if picture == "-" else picture
        fields: ImageVariationFields = {"model": model}
        _choose(fields, n, size)

        async def work() -> None:
            async with client_of(api_key, base_url, timeout) as client:
                await _order(client.images.create_variation(image=image, **fields), model, target)

        run(work())


def _choose(fields: ImageVariationFields, n: int, size: str | None) -> None:
    """Add what was asked for: what is not sent is the relay's to choose."""
    if n > 1:
        fields["n"] = n
    if size is not None:
        fields["size"] = size.replace("×", "x")  # Relays refuse the sign that people copy.


async def _order(order: Awaitable[ImagesResponse], model: str, target: Target) -> None:
    """Wait for pictures, save them, and say where they are."""
    started = time.monotonic()
    with Waiting(model) as waiting:
        with ordered(waiting):
            answer = await order
        kept = await keep(answer.images, target, waiting)
    described = {
        "images": [
            {**each.described(), "revised_prompt": data.revised_prompt}
            for each, data in zip(kept, answer.data, strict=False)
        ],
        "usage": counts(answer.usage),
        "model": model,
        **call_fields(answer.meta.request_id, answer.meta.attempts, started),
    }
    finish(kept, target, described, started)
