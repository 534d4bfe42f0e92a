"""The relay's price page, which is public: it is asked for without the key.

Source: new-api's ``GET /api/pricing``, and ``quota_per_unit`` of ``GET /api/status``. one-api has no such page.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec.structs import replace

from tutuclient import wire
from tutuclient._threads import in_thread
from tutuclient.errors import APIError, ConfigError
from tutuclient.resources.generic import AnyEndpoint
from tutuclient.resources.resource import Resource
from tutuclient.settings import without_key_header
from tutuclient.types.json import is_list, is_object, number_of
from tutuclient.types.prices import Prices

if TYPE_CHECKING:
    from tutuclient.settings import Timeout, Unset

_Page: TypeAlias = Any

# Pages of hundreds of models have some 200 kB.
_MOST_BYTES: Final = 8 * 2**20
_MANY_ROWS: Final = 500  # Read in some 2 ms; more are read in a thread.


class PricePage(Resource):
    """Where a relay says what it asks for."""

    async def read(self, group: str | None, timeout: float | Timeout | Unset | None) -> Prices:
        """Return the prices; see ``TutuClient.prices``."""
        if group is not None and not (isinstance(group, str) and group):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
            raise ConfigError(f"group is {wire.quoted(group)}: write the name of the key's group, or leave it out")
        settings = without_key_header(self._settings)
        asked = AnyEndpoint(
            replace(settings, max_response_bytes=min(_MOST_BYTES, settings.max_response_bytes)), self._transport
        )
        source = f"{self._settings.origin}/api/pricing"
        page: _Page = await asked.send("GET", source, dict[str, Any], timeout=timeout)
        points = await self._points(asked, timeout)
        work = partial(wire.read_prices, page, points=points, group=group)
        rows: Any = page.get("data")
        many = is_list(rows) and len(rows) > _MANY_ROWS
        models, mine, groups = await in_thread(work) if many else work()
        return Prices(models=models, group=mine, groups=groups, source=source, asked_at=time.time())

    async def _points(self, asked: AnyEndpoint, timeout: float | Timeout | Unset | None) -> float:
        """Return how many points are one unit: what a token takes is counted in them."""
        try:
            status: Any = await asked.send(
                "GET", f"{self._settings.origin}/api/status", dict[str, Any], timeout=timeout
            )
        except APIError:
            return wire.USUAL_POINTS
        data = status.get("data")
        points = number_of(data.get("quota_per_unit")) if is_object(data) else None
        return points if points is not None and points > 0 else wire.USUAL_POINTS
