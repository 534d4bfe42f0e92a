"""Models: the list and one of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator  # noqa: TC003  (msgspec reads annotations at run time)
from typing import Any

from tutuclient.types.base import Answer


class Model(Answer, frozen=True, kw_only=True):
    """A model the key may use, as the relay lists it. ``created`` is often a constant of the relay."""

    OWN = frozenset({"parent", "permission", "root", "supported_endpoint_types"})

    id: str = ""
    object: str = "model"
    created: int = 0
    owned_by: str = ""
    # Null or a list, and ``parent`` null (.github/WIRE.md, section 1.10). ``created`` is new-api's constant 1626777600.
    permission: Any = None
    root: str | None = None
    parent: str | None = None
    shutdown_date: str | None = None
    supported_endpoint_types: list[str] | None = None


class ModelList(Answer, frozen=True, kw_only=True):
    """The answer of ``GET /models``: iterate over it, or take ``data``. The order may differ from call to call."""

    OWN = frozenset({"success"})

    object: str = "list"
    data: list[Model] = []
    # new-api writes this in place of ``object`` (.github/WIRE.md, section 1.10).
    success: bool | None = None

    def __iter__(self) -> Iterator[Model]:
        return iter(self.data)

    async def __aiter__(self) -> AsyncIterator[Model]:
        for model in self.data:
            yield model

    def __len__(self) -> int:
        return len(self.data)

    def keys(self) -> Iterable[str]:
        """Return the names of the fields: ``dict(answer)`` has these, though iterating gives the models."""
        return self._fields().keys()

    def __getitem__(self, name: str) -> Any:
        return self._fields()[name]
