"""Legacy completions: a text goes on, whole or as a stream.

Source: ``POST /completions``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tutuclient import wire
from tutuclient.resources.resource import Resource, no_pictures
from tutuclient.settings import UNSET, Unset
from tutuclient.types.answer import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Unpack

    from tutuclient.settings import Timeout
    from tutuclient.transport.reply import Reply
    from tutuclient.types.completions import Completion, CompletionFields


class TextCompletions(Resource):
    """``client.completions``."""

    async def create(
        self,
        *,
        model: str,
        prompt: str | Iterable[str] | Iterable[int] | Iterable[Iterable[int]] | None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CompletionFields],
    ) -> Completion:
        """Have a text continued.

        Args:
            model: The model's name, as the relay lists it.
            prompt: A text, several, the token ids of one, or those of several.
            extra_body: As for ``chat.completions.create``.
            extra_headers: As for ``chat.completions.create``.
            extra_query: As for ``chat.completions.create``.
            timeout: As for ``chat.completions.create``.
            **fields: Every field of ``CompletionFields``, and whatever else the relay understands.

        Raises:
            ConfigError: The request cannot be written; nothing was sent.
            APIError: The relay said no, or gave no whole answer.
        """
        body: dict[str, Any] = {"model": model, "prompt": prompt, **fields, **(extra_body or {})}
        call = self._call(
            "POST",
            "/completions",
            fields=body,
            headers=extra_headers,
            query=extra_query,
            timeout=timeout,
            makes_image=wire.makes_image(body),
        )

        def read(data: bytes | bytearray, reply: Reply) -> Completion:
            completion = wire.read_text(data, reply.meta)
            vars(completion)["origin"] = Origin(reply.meta, no_pictures)
            return completion

        return await self._send(call, read)
