"""The commands models and balance: what the key may use, and what is left on it."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.text import Text

from tutuclient.cli.arguments import ApiKey, AsJson, BaseUrl, Debug, Seconds, make_client
from tutuclient.cli.output import Spinner, call_fields, note, print_json, write
from tutuclient.cli.running import reporting_errors, run
from tutuclient.errors import NotFoundError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tutuclient.client import TutuClient
    from tutuclient.types import Balance, Meta, Model

_ANY_WIDTH = 10_000


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One model, instead of all.", show_default=False)
    ] = None,
    *,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """List the models the key may use, or describe one; in a pipe, one name a line."""
    with reporting_errors(debug=debug):

        async def work() -> None:
            started = time.monotonic()
            async with make_client(api_key, base_url, timeout) as client:
                if name is not None:
                    with Spinner(name):
                        model, meta = await _one(client, name)
                    found = [model]
                else:
                    with Spinner("the list of models"):
                        listed = await client.models.list()
                    found, meta = sorted(listed.data, key=lambda model: model.id), listed.meta
            if as_json:
                rows = [_described(each) for each in found]
                call = call_fields(meta.request_id, meta.attempts, started)
                print_json({**(rows[0] if name is not None else {"models": rows}), **call})
            else:
                _show(found)
            if not found:
                note("the relay lists no models for this key")

        run(work())


def balance(
    *,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Show what is left on the key, as the relay counts it."""
    with reporting_errors(debug=debug):

        async def work() -> None:
            async with make_client(api_key, base_url, timeout) as client:
                with Spinner("the balance"):
                    found = await client.balance()
            if as_json:
                print_json({name: getattr(found, name) for name in found.__struct_fields__})
            else:
                write(f"{_left(found)}\n")

        run(work())


def _left(found: Balance) -> str:
    unit = f" {found.unit}" if found.unit else ""
    used = "" if found.used is None else f"{found.used:,.4g}{unit} used"
    if found.unlimited:
        words = ["no limit", used]
    elif found.remaining is None:
        words = ["the relay does not say what is left", used]
    else:
        words = [f"{found.remaining:,.6g}{unit} left", used]
    if found.expires_at is not None:
        words.append(f"ends {datetime.fromtimestamp(found.expires_at, UTC):%Y-%m-%d %H:%M} UTC")
    return ", ".join(word for word in words if word)


async def _one(client: TutuClient, name: str) -> tuple[Model, Meta]:
    """Retrieve a model. Relays describe those of a table of their own and list others beside: then the list has it."""
    try:
        model = await client.models.retrieve(name)
    except NotFoundError:
        listed = await client.models.list()
        if found := [each for each in listed.data if each.id == name]:
            return found[0], listed.meta
        raise
    else:
        return model, model.meta


def _described(model: Model) -> dict[str, Any]:
    return {"id": model.id, "owned_by": model.owned_by, "endpoints": model.supported_endpoint_types}


def _show(found: Sequence[Model]) -> None:
    if not sys.stdout.isatty():
        write("".join(f"{printable(each.id)}\n" for each in found))
        return
    # Imported for a terminal only: in a pipe there is no table.
    from rich.table import Table

    table = Table("model", "owner", "endpoints", box=None, pad_edge=False, header_style="bold")
    for each in found:
        kinds = ", ".join(each.supported_endpoint_types or [])
        table.add_row(*(Text(printable(cell)) for cell in (each.id, each.owned_by, kinds)))
    console = Console()
    # The width that the table would like to have: asked with the console's own width, rich answers with one that fits.
    if Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table).maximum <= console.width:
        console.print(table)
        return
    for each in found:  # A name that is cut off or broken cannot be used.
        write(f"{printable(each.id)}\n")
