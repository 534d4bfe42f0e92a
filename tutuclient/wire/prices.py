"""A relay's price page into prices: what is no price is left out, never taken for 0.

Source: new-api, ``GET /api/pricing``: ``{"success", "data": [{"model_name", "quota_type", "model_ratio", "model_price",
"completion_ratio", "cache_ratio"?, …, "enable_groups", "billing_mode"?}], "group_ratio", "usable_group"}``.
"""

from __future__ import annotations

from typing import Any

from tutuclient.errors import ConfigError, UnexpectedResponseError, printable
from tutuclient.types.json import is_list, is_object, number_of
from tutuclient.types.prices import Price

USUAL_POINTS = 500_000.0
"""How many points are one unit, where the relay does not say: new-api's and one-api's own figure."""

_PER_CALL = 1  # ``quota_type``; 0 is by tokens.
_USUAL_GROUP = "default"
_EVERY_GROUP = "all"
_MOST_MODELS = 20_000
# A ratio says how many points one token takes, and these how many times that the tokens of a kind take.
_KINDS = {"cached_input": "cache_ratio", "cache_write": "create_cache_ratio", "image_input": "image_ratio"}


def read_prices(
    page: Any, *, points: float = USUAL_POINTS, group: str | None = None
) -> tuple[dict[str, Price], str, dict[str, float]]:
    """Return the prices of a page by model, the group they are of, and the ratios of all groups.

    Args:
        page: The page's JSON.
        points: How many points are one unit.
        group: The group of the key; None for the page's usual one.

    Raises:
        ConfigError: The page has no such group.
        UnexpectedResponseError: It is no page of prices.
    """
    rows: Any = page.get("data") if is_object(page) else page
    if not is_list(rows) or (rows and not any(is_object(row) and "model_name" in row for row in rows[:100])):
        raise UnexpectedResponseError("the answer is no price page: it has no list of models with prices", body=page)
    listed: Any = page.get("group_ratio") if is_object(page) else None
    named = listed if is_object(listed) else {}
    ratios = {name: ratio for name, value in named.items() if (ratio := _amount(value)) is not None}
    if group is not None and group not in ratios:
        known = printable(", ".join(sorted(ratios)[:12]), 200) or "none"
        raise ConfigError(f"the price page has no group {printable(group, 80)!r}; it has {known}")
    found: dict[str, Price] = {}
    for row in rows[:_MOST_MODELS]:
        if is_object(row) and (price := _price(row, ratios, group, points)) is not None:
            found[price.model] = price
    return found, group or (_USUAL_GROUP if _USUAL_GROUP in ratios else ""), ratios


def _price(row: dict[str, Any], ratios: dict[str, float], group: str | None, points: float) -> Price | None:
    """Return the price in a row, or None where it has none, or none that one figure says."""
    name = row.get("model_name")
    if not isinstance(name, str) or not name or row.get("billing_mode") not in (None, "", "ratio"):
        return None
    mine = _group(row.get("enable_groups"), ratios, group)
    ratio = 1.0 if not ratios else ratios.get(mine)
    if ratio is None:
        return None
    if row.get("quota_type") == _PER_CALL:
        amount = _amount(row.get("model_price"))
        return None if amount is None else Price(model=name, per_call=amount * ratio, group=mine)
    own, answers = _amount(row.get("model_ratio")), _amount(row.get("completion_ratio"))
    if own is None or answers is None:
        return None
    million = own * ratio * 1_000_000 / points
    kinds = {field: _times(million, row.get(word)) for field, word in _KINDS.items()}
    audio = _times(million, row.get("audio_ratio"))
    spoken = None if audio is None else _times(audio, row.get("audio_completion_ratio"))
    return Price(
        model=name, input=million, output=million * answers, group=mine, audio_input=audio, audio_output=spoken, **kinds
    )


def _group(enabled: Any, ratios: dict[str, float], group: str | None) -> str:
    """Return the group that a model is paid by, or "" where that cannot be told.

    A key that is in no group pays as the usual one; a model that a single group has is paid by that.
    """
    names = [each for each in enabled if isinstance(each, str)] if is_list(enabled) else []
    every = not names or _EVERY_GROUP in names
    if group is not None:
        return group if every or group in names else ""
    if _USUAL_GROUP in ratios and (every or _USUAL_GROUP in names):
        return _USUAL_GROUP
    there = [each for each in (ratios if every else names) if each in ratios]
    return there[0] if len(there) == 1 else ""


def _times(million: float, ratio: Any) -> float | None:
    times = _amount(ratio)
    return None if times is None else million * times


def _amount(value: Any) -> float | None:
    """Return a number that may be a price or a ratio: finite, and not negative."""
    number = number_of(value)
    return number if number is not None and number >= 0 else None
