"""Embeddings: texts as vectors.

Source: ``POST /embeddings``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from tutuclient import wire
from tutuclient.errors import ConfigError
from tutuclient.resources.resource import Resource, no_pictures
from tutuclient.resources.responses import opened, raw
from tutuclient.settings import UNSET, Timeout, Unset
from tutuclient.types.embeddings import CreateEmbeddingResponse, EmbeddingFields
from tutuclient.types.json import is_list
from tutuclient.types.provenance import Origin, set_origin

if TYPE_CHECKING:
    from tutuclient.transport.reply import Reply

_FIELDS = wire.names(EmbeddingFields)


class Embeddings(Resource):
    """``client.embeddings``."""

    @property
    def with_raw_response(self) -> EmbeddingsRaw:
        """Give answers as they came, with status, headers and bytes; ``parse()`` has the usual result."""
        return EmbeddingsRaw(self._giving("raw"))

    @property
    def with_streaming_response(self) -> EmbeddingsOpen:
        """Give answers open, to be read in pieces: ``async with ….create(…) as response``."""
        return EmbeddingsOpen(self._giving("open"))

    async def create(
        self,
        *,
        input: str | Iterable[str] | Iterable[int] | Iterable[Iterable[int]],  # noqa: A002  (the API's own name)
        model: str,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[EmbeddingFields],
    ) -> CreateEmbeddingResponse:
        """Make vectors of texts.

        The numbers are asked for as base64, which is a fifth of their size as
        text and faster to read; relays that send lists all the same are understood.

        Args:
            input: A text, several, the token ids of one, or those of several.
            model: The model's name, as the relay lists it.
            extra_body: As for ``chat.completions.create``.
            extra_headers: As for ``chat.completions.create``.
            extra_query: As for ``chat.completions.create``.
            timeout: As for ``chat.completions.create``.
            **fields: Every field of ``EmbeddingFields``, and whatever else the relay understands.

        Returns:
            One vector for each input, in the order of ``input``: by the relay's ``index`` when it numbers them from 0
            to n-1, each once; else as they stand in the answer.

        Raises:
            ConfigError: The request cannot be written; nothing was sent.
            UnexpectedResponseError: There are no vectors, or not as many as inputs.
            APIError: The relay said no, or could not be reached.
        """
        texts: Any = input  # Callers are not always typed.
        if wire.is_any(texts, bytes, bytearray, Mapping) or not wire.is_any(texts, Iterable):
            raise ConfigError(f"input must be a text or a list, and {wire.quoted(texts)} is neither")
        wire.check_keywords(fields, _FIELDS, "embeddings.create")
        wire.check_text(texts, "input", empty=True)
        if hasattr(texts, "dtype") and hasattr(texts, "tolist"):  # numpy's numbers are no tokens to those who count.
            texts = texts.tolist()
        given: Any = texts if isinstance(texts, str) else [*texts]
        for place, item in enumerate(given if is_list(given) else ()):
            if type(item) is not str and type(item) is not int:
                wire.check_text(item, f"input[{place}]")
        asked = wire.given({**fields, **wire.added(extra_body)})
        body: dict[str, Any] = {"input": given, "model": model, "encoding_format": "base64", **asked}
        wire.check_model(body)
        call = self._call("POST", "/embeddings", fields=body, headers=extra_headers, query=extra_query, timeout=timeout)

        def read(data: bytes | bytearray, reply: Reply) -> CreateEmbeddingResponse:
            answer = wire.read_vectors(data, reply.meta, _count(body["input"]))
            set_origin(answer, Origin(reply.meta, no_pictures))
            return answer

        return await self._send(call, read)


class EmbeddingsRaw:
    """``client.embeddings.with_raw_response``."""

    def __init__(self, page: Embeddings) -> None:
        self.create = raw(page.create)


class EmbeddingsOpen:
    """``client.embeddings.with_streaming_response``."""

    def __init__(self, page: Embeddings) -> None:
        self.create = opened(page.create)


def _count(given: object) -> int | None:
    """Say how many inputs there are: a row of numbers is the tokens of one."""
    if isinstance(given, str):
        return 1
    if not is_list(given):
        return None
    return 1 if given and isinstance(given[0], int) else len(given)
