"""The models of the relay: the list and one of it.

Source: ``GET /models`` and ``GET /models/{model}``.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Never, Unpack
from urllib.parse import quote

from tutuclient import wire
from tutuclient.errors import ConfigError
from tutuclient.resources.endpoint import Endpoint, stamped
from tutuclient.resources.options import RequestOptions
from tutuclient.resources.resource import Resource
from tutuclient.resources.views import View, opened, raw, viewed
from tutuclient.settings import with_keywords
from tutuclient.types.models import Model, ModelList

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from tutuclient.resources.endpoint import RequestInfo
    from tutuclient.transport.reply import Reply


class Models(Resource):
    """The models a key may use."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        "delete": 'client.delete("/models/ID", cast_to=dict) deletes a model of yours'
    }

    with_raw_response = viewed("raw", lambda: _Raw)
    with_streaming_response = viewed("open", lambda: _Open)

    @with_keywords(RequestOptions)
    def list(self, **options: Unpack[RequestOptions]) -> Listing:
        """List the models, in the relay's order, which may differ from call to call.

        Await it for the list, or iterate over it with ``async for``. Other shapes than OpenAI's are understood: bare
        lists, lists of names, and those of Ollama and Gemini. A list that is empty is noted in ``meta.warnings``.

        Raises:
            UnexpectedResponseError: There is no list of models in the answer.
            APIError: The relay answered with an error, or could not be reached.
        """
        return Listing(self._whole(_LIST, **options))

    @with_keywords(RequestOptions)
    async def retrieve(self, model: str, **options: Unpack[RequestOptions]) -> Model:
        """Retrieve one model. Relays know only those of their built-in table here: one that is listed may be unknown.

        Raises:
            ConfigError: This cannot be the id of a model; nothing was sent.
            NotFoundError: The relay does not know the model.
        """
        return await self._whole(_RETRIEVE.at(f"/models/{_step(model)}"), **options)


class Listing(Coroutine[Any, Any, ModelList]):
    """A list that is being asked for: ``await`` it, or iterate over it at once, as over openai's pages."""

    def __init__(self, asking: Coroutine[Any, Any, ModelList]) -> None:
        self._asking = asking

    def __await__(self) -> Generator[Any, Any, ModelList]:
        return self._asking.__await__()

    async def __aiter__(self) -> AsyncIterator[Model]:
        for model in await self._asking:
            yield model

    # The rest of a coroutine, since ``asyncio.create_task`` takes nothing else that can be awaited.

    def send(self, value: Any) -> Any:
        """Resume it with a value, as the event loop does."""
        return self._asking.send(value)

    def throw(self, *error: Any) -> Any:
        """Resume it with an error, as the event loop does."""
        return self._asking.throw(*error)

    def close(self) -> None:
        """Close it, as the event loop does with what it no longer runs."""
        self._asking.close()


class _Raw(View):
    list = raw(Models.list)
    retrieve = raw(Models.retrieve)


class _Open(View):
    list = opened(Models.list)
    retrieve = opened(Models.retrieve)


def _step(model: Any) -> str:
    """Return the id of a model as one step of a path."""
    if not isinstance(model, str):
        raise ConfigError(f"models.retrieve needs the id of a model, and got {wire.quoted(model)}")
    if model.strip() in {"", ".", ".."}:  # The dots are steps of a path, not names in it (RFC 3986, section 5.2.4).
        raise ConfigError("models.retrieve needs the id of a model")
    try:
        # Ids hold "/", ":" and CJK (WIRE.md 1.10); a "/" that is not escaped would be a step of the path.
        return quote(model, safe="")
    except UnicodeEncodeError:
        raise ConfigError(f"models.retrieve: {model!r} holds half a surrogate, which cannot be sent") from None


def _read_list(data: bytes | bytearray, reply: Reply, _: RequestInfo) -> ModelList:
    return stamped(wire.read_answer(data, ModelList, reply.meta), reply)


def _read(data: bytes | bytearray, reply: Reply, _: RequestInfo) -> Model:
    return stamped(wire.read_answer(data, Model, reply.meta), reply)


_LIST: Endpoint[ModelList, Never] = Endpoint("models.list", "/models", method="GET", read=_read_list)
_RETRIEVE: Endpoint[Model, Never] = Endpoint("models.retrieve", "/models/{model}", method="GET", read=_read)
