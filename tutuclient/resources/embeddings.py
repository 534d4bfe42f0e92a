"""Embeddings: texts as vectors.

Source: ``POST /embeddings``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Never, Unpack

from tutuclient import wire
from tutuclient.errors import ConfigError
from tutuclient.resources.endpoint import Endpoint, stamped
from tutuclient.resources.options import CallOptions
from tutuclient.resources.resource import Resource
from tutuclient.resources.views import View, opened, raw, viewed
from tutuclient.settings import with_keywords
from tutuclient.types.embeddings import CreateEmbeddingResponse, EmbeddingFields
from tutuclient.types.json import is_list

if TYPE_CHECKING:
    from tutuclient.resources.endpoint import RequestInfo
    from tutuclient.transport.reply import Reply


class _Fields(EmbeddingFields, CallOptions, total=False):
    """The keywords of ``embeddings.create``."""


class Embeddings(Resource):
    """``client.embeddings``."""

    with_raw_response = viewed("raw", lambda: _Raw)
    with_streaming_response = viewed("open", lambda: _Open)

    @with_keywords(_Fields, open_ended=True)
    async def create(
        self,
        *,
        input: str | Iterable[str] | Iterable[int] | Iterable[Iterable[int]],  # noqa: A002  (the API's own name)
        model: str,
        **fields: Unpack[_Fields],
    ) -> CreateEmbeddingResponse:
        """Create vectors of texts.

        The numbers are asked for as base64, which is a fifth of their size as text and faster to decode; relays that
        send lists all the same are understood.

        Args:
            input: A text, several, the token ids of one, or those of several.
            model: The model's name, as the relay lists it.
            **fields: Every field of ``EmbeddingFields``, the options of ``CallOptions``, and whatever else the
                relay understands.

        Returns:
            One vector for each input, in the order of ``input``: by the relay's ``index`` when it numbers them from 0
            to n-1, each once; else as they stand in the answer.

        Raises:
            ConfigError: The request cannot be written; nothing was sent.
            UnexpectedResponseError: There are no vectors, or not as many as inputs.
            APIError: The relay answered with an error, or could not be reached.
        """
        keywords: dict[str, Any] = {**fields}
        return await self._ask(_CREATE, {"input": _inputs(input), "model": model}, keywords)


class _Raw(View):
    create = raw(Embeddings.create)


class _Open(View):
    create = opened(Embeddings.create)


def _inputs(texts: Any) -> str | list[Any]:
    """Return the inputs as JSON has them: a text, or a list.

    Raises:
        ConfigError: They are neither.
    """
    if wire.is_any(texts, bytes, bytearray, Mapping) or not wire.is_any(texts, Iterable):
        raise ConfigError(f"input must be a text or a list, and {wire.quoted(texts)} is neither")
    wire.check_text(texts, "input", empty=True)
    # An array of numpy iterates over numpy's own integers, which ``_count`` would not know for tokens.
    if hasattr(texts, "dtype") and hasattr(texts, "tolist"):
        texts = texts.tolist()
    if isinstance(texts, str):
        return texts
    items: list[Any] = [*texts]
    for place, item in enumerate(items):
        if type(item) is not str and type(item) is not int:
            wire.check_text(item, f"input[{place}]")
    return items


def _prepare(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_model(body)
    # Not among the named fields of the call, from which a caller's UNSET (openai's ``omit``) would remove it.
    body.setdefault("encoding_format", "base64")
    return body


def _read(data: bytes | bytearray, reply: Reply, info: RequestInfo) -> CreateEmbeddingResponse:
    # The number of inputs tells whether vectors are missing: relays answer 200 with an empty list (WIRE.md 1.8).
    return stamped(wire.read_vectors(data, reply.meta, _count(info.body["input"])), reply)


def _count(inputs: object) -> int | None:
    """Return how many inputs there are: a list of numbers is the tokens of one."""
    if isinstance(inputs, str):
        return 1
    if not is_list(inputs):
        return None
    return 1 if inputs and isinstance(inputs[0], int) else len(inputs)


_CREATE: Endpoint[CreateEmbeddingResponse, Never] = Endpoint(
    "embeddings.create", "/embeddings", known=wire.names(EmbeddingFields), prepare=_prepare, read=_read
)
