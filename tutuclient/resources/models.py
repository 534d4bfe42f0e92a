"""The models of the relay: the list and one of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from tutuclient.errors import ConfigError
from tutuclient.resources.resource import Resource, reading
from tutuclient.settings import UNSET, Unset
from tutuclient.types.models import Model, ModelList

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tutuclient.settings import Timeout


class Models(Resource):
    """The models a key may use."""

    async def list(
        self,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
    ) -> ModelList:
        """List the models, in the relay's order, which may differ from call to call.

        Raises:
            APIError: The relay said no, or could not be reached.

        Source: ``GET /models``.
        """
        call = self._call("GET", "/models", headers=extra_headers, query=extra_query, timeout=timeout)
        return await self._send(call, reading(ModelList))

    async def retrieve(
        self,
        model: str,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
    ) -> Model:
        """Retrieve one model. Relays know only those of their built-in table here: one that is listed may be unknown.

        Raises:
            NotFoundError: The relay does not know the model.

        Source: ``GET /models/{model}``.
        """
        if model.strip() in {"", ".", ".."}:  # The latter are steps of a path, not names in it.
            raise ConfigError("models.retrieve needs the id of a model")
        path = f"/models/{quote(model, safe='')}"
        call = self._call("GET", path, headers=extra_headers, query=extra_query, timeout=timeout)
        return await self._send(call, reading(Model))
