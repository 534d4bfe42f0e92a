"""The models of the relay: the list and one of it."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from tutuclient import wire
from tutuclient.errors import ConfigError
from tutuclient.resources.resource import Resource, reading
from tutuclient.resources.responses import opened, raw
from tutuclient.settings import UNSET, Timeout, Unset
from tutuclient.types.models import Model, ModelList

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator


class Models(Resource):
    """The models a key may use."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        "delete": 'client.delete("/models/ID", cast_to=dict) deletes a model of yours'
    }

    @property
    def with_raw_response(self) -> ModelsRaw:
        """Give answers as they came, with status, headers and bytes; ``parse()`` has the usual result."""
        return ModelsRaw(self._giving("raw"))

    @property
    def with_streaming_response(self) -> ModelsOpen:
        """Give answers open, to be read in pieces: ``async with ….list(…) as response``."""
        return ModelsOpen(self._giving("open"))

    def list(
        self,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
    ) -> Listing:
        """List the models, in the relay's order, which may differ from call to call.

        Await it for the list, or iterate over it with ``async for``. Other shapes than OpenAI's are understood: bare
        lists, lists of names, and those of Ollama and Gemini. A list that is empty is noted in ``meta.warnings``.

        Raises:
            UnexpectedResponseError: There is no list of models in the answer.
            APIError: The relay said no, or could not be reached.

        Source: ``GET /models``.
        """
        call = self._call("GET", "/models", headers=extra_headers, query=extra_query, timeout=timeout)
        return Listing(self._send(call, reading(ModelList)))

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
        if not isinstance(model, str):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
            raise ConfigError(f"models.retrieve needs the id of a model, and got {wire.quoted(model)}")
        if model.strip() in {"", ".", ".."}:  # The latter are steps of a path, not names in it.
            raise ConfigError("models.retrieve needs the id of a model")
        try:
            path = f"/models/{quote(model, safe='')}"
        except UnicodeEncodeError:
            raise ConfigError(f"models.retrieve: {model!r} holds half a surrogate, which is no text to send") from None
        call = self._call("GET", path, headers=extra_headers, query=extra_query, timeout=timeout)
        return await self._send(call, reading(Model))


class Listing(Coroutine[Any, Any, ModelList]):
    """A list that is being asked for: ``await`` it, or iterate over it at once, as over openai's pages."""

    def __init__(self, asking: Coroutine[Any, Any, ModelList]) -> None:
        self._asking = asking

    def __await__(self) -> Generator[Any, Any, ModelList]:
        return self._asking.__await__()

    async def __aiter__(self) -> AsyncIterator[Model]:
        for model in await self._asking:
            yield model

    def send(self, value: Any) -> Any:
        """Go on, as the event loop has it."""
        return self._asking.send(value)

    def throw(self, *error: Any) -> Any:
        """Go on with an error, as the event loop has it."""
        return self._asking.throw(*error)

    def close(self) -> None:
        """Give up."""
        self._asking.close()


class ModelsRaw:
    """``client.models.with_raw_response``."""

    def __init__(self, page: Models) -> None:
        self.list = raw(page.list)
        self.retrieve = raw(page.retrieve)


class ModelsOpen:
    """``client.models.with_streaming_response``."""

    def __init__(self, page: Models) -> None:
        self.list = opened(page.list)
        self.retrieve = opened(page.retrieve)
