"""``UNSET``: the default of arguments for which None is a value of its own."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Unset(Enum):
    """The type of ``UNSET``, which means "not passed" (the client's default) where None means "off".

    A request's field that is UNSET is not sent; a header that is UNSET removes the client's own.
    """

    UNSET = ...  # No JSON encoder accepts an ellipsis, so UNSET cannot be sent by mistake.

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset.UNSET


def is_unset(value: object) -> bool:
    """Return whether a value is ``UNSET``, for values whose declared type does not admit it."""
    return value is UNSET
