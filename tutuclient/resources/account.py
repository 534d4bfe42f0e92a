"""The account behind the key, as far as the key has access.

Source: new-api's and one-api's billing endpoints, which follow those of OpenAI's old dashboard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

from tutuclient.errors import APIError, NotFoundError, UnexpectedResponseError, printable
from tutuclient.resources.generic import AnyEndpoint
from tutuclient.resources.resource import Resource
from tutuclient.types.account import Balance
from tutuclient.types.json import number_of

if TYPE_CHECKING:
    from tutuclient.settings import Timeout, Unset

_Fields: TypeAlias = dict[str, Any]

# The limit, in USD, that new-api reports for a key without one.
_NO_LIMIT = 100_000_000.0
# ``total_usage`` is in hundredths of the unit (WIRE.md 6).
_CENTS = 100
# new-api counts in 1/500,000 of a USD; what lies below is noise of floats: 0.30760000000000004 USD.
_PLACES = 9


class Account(Resource):
    """The relay's billing endpoints."""

    async def balance(self, timeout: float | Timeout | Unset | None) -> Balance:
        """Return what is left on the key; see ``TutuClient.balance``."""
        try:
            return await self._by_billing(timeout)
        except (NotFoundError, UnexpectedResponseError) as error:  # Newer relays have another endpoint in its place.
            try:
                return await self._by_token(timeout)
            except APIError:  # It has neither; the error of the endpoint that was asked first is shown.
                raise error from None

    async def _get(self, address: str, timeout: float | Timeout | Unset | None) -> _Fields:
        return await AnyEndpoint(self._settings, self._transport).send("GET", address, _Fields, timeout=timeout)

    async def _by_billing(self, timeout: float | Timeout | Unset | None) -> Balance:
        asked = await self._get("/dashboard/billing/subscription", timeout)
        granted = _figures(asked, "hard_limit_usd")
        spent = await self._get("/dashboard/billing/usage", timeout)
        spent = _layer(spent, "total_usage") or spent
        limit, cents = number_of(granted.get("hard_limit_usd")), number_of(spent.get("total_usage"))
        used = None if cents is None else round(cents / _CENTS, _PLACES)
        unlimited = limit is not None and limit >= _NO_LIMIT
        return Balance(
            remaining=None if unlimited or limit is None or used is None else round(limit - used, _PLACES),
            used=used,
            limit=None if unlimited else limit,
            unlimited=unlimited,
            unit=await self._unit(timeout),
            expires_at=_moment(granted.get("access_until")),
        )

    async def _unit(self, timeout: float | Timeout | Unset | None) -> str:
        """Return the unit of the figures: the billing endpoints call all of them USD."""
        try:
            # /api is beside /v1 and not within it, and only this answer tells whether figures are a currency's (WIRE.md
            # 6).
            answer = await self._get(f"{self._settings.origin}/api/status", timeout)
        except APIError:
            return ""
        in_currency = _part(answer, "data").get("display_in_currency")
        return "" if in_currency is None else "USD" if in_currency else "points"

    async def _by_token(self, timeout: float | Timeout | Unset | None) -> Balance:
        # Always in points, whatever the panel shows (WIRE.md 6).
        answer = await self._get(f"{self._settings.origin}/api/usage/token", timeout)
        data = _figures(answer, "total_available", "unlimited_quota")
        unlimited = data.get("unlimited_quota") is True
        return Balance(
            remaining=None if unlimited else number_of(data.get("total_available")),
            used=number_of(data.get("total_used")),
            limit=None if unlimited else number_of(data.get("total_granted")),
            unlimited=unlimited,
            unit="points",
            expires_at=_moment(data.get("expires_at")),
        )


def _part(fields: _Fields, name: str) -> _Fields:
    value: Any = fields.get(name)
    return cast("_Fields", value) if isinstance(value, dict) else {}


def _figures(fields: _Fields, *names: str) -> _Fields:
    """Return the part of an answer that has a figure of one of these names, be it in an envelope.

    Raises:
        UnexpectedResponseError: No part has one, so that its balance is not taken for 0.
    """
    found = _layer(fields, *names)
    if found is not None:
        return found
    shown = printable(", ".join(sorted(fields)[:12]), 120) or "nothing"
    raise UnexpectedResponseError(f"the answer has no {names[0]} but {shown}", body=fields)


def _layer(fields: _Fields, *names: str) -> _Fields | None:
    # Newer panels put the figures into an envelope: {"code": true, "message": "ok", "data": {…}} (WIRE.md 6).
    layers = (fields, *(_part(fields, name) for name in ("data", "result")))
    return next((layer for layer in layers if any(name in layer for name in names)), None)


def _moment(value: object) -> int | None:
    """Read epoch seconds; new-api writes 0 or less for never."""
    number = number_of(value)
    return None if number is None or number <= 0 else int(number)
