"""The account behind the key."""

from __future__ import annotations

from tutuclient.types.base import Plain


class Balance(Plain, frozen=True, kw_only=True):
    """What is left on the key; None where the relay does not say.

    Attributes:
        remaining: What may still be used; None also when there is no limit.
        used: What has been used.
        limit: What was granted.
        unlimited: There is no limit.
        unit: "USD" (or whatever currency the relay calls so), "points", or "" when the relay does not say.
        expires_at: When the key ends, in epoch seconds.
    """

    remaining: float | None = None
    used: float | None = None
    limit: float | None = None
    unlimited: bool = False
    unit: str = ""
    expires_at: int | None = None
