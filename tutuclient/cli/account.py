"""The command models: what the key may use."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.text import Text

from tutuclient.cli.given import ApiKey, AsJson, BaseUrl, Debug, Seconds, client_of
from tutuclient.cli.output import Waiting, call_fields, note, print_json, write
from tutuclient.cli.running import in_one_line, run
from tutuclient.errors import printable


def models(
    *,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """List the models the key may use; in a pipe, one name a line."""
    with in_one_line(debug=debug):

        async def work() -> None:
            started = time.monotonic()
            async with client_of(api_key, base_url, timeout) as client:
                with Waiting("the list of models"):
                    listed = await client.models.list()
            found = sorted(listed.data, key=lambda model: model.id)
            if as_json:
                rows = [
                    {"id": each.id, "owned_by": each.owned_by, "endpoints": each.supported_endpoint_types}
                    for each in found
                ]
                print_json({"models": rows, **call_fields(listed.meta.request_id, listed.meta.attempts, started)})
            elif sys.stdout.isatty():
                from rich.table import Table

                table = Table("model", "owner", "endpoints", box=None, pad_edge=False, header_style="bold")
                for each in found:
                    kinds = ", ".join(each.supported_endpoint_types or [])
                    table.add_row(*(Text(printable(cell)) for cell in (each.id, each.owned_by, kinds)))
                Console().print(table)
            else:
                write("".join(f"{printable(each.id)}\n" for each in found))
            if not found:
                note("the relay lists no models for this key")

        run(work())
