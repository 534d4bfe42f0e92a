"""What the options of a run take: numbers with a unit, shares, names of errors."""

from __future__ import annotations

import re
from typing import Any, Final

from tutuclient import errors
from tutuclient.errors import ConfigError, TutuError, printable

_BUDGET: Final = re.compile(r"([\d_,]*\.?\d+) ?([kmg]?) ?(tokens?|requests?|images?)?", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


def read_budget(texts: list[str]) -> dict[str, int]:
    """Read budgets: "5M" or "5M tokens", "200 images", "10k requests".

    Raises:
        ConfigError: One is none.
    """
    found: dict[str, int] = {}
    for text in texts:
        match = _BUDGET.fullmatch(text.strip())
        number = 0 if match is None else round(float(re.sub("[_,]", "", match[1])) * _UNITS[match[2].lower()])
        if match is None or number < 1:
            raise ConfigError(
                f"--budget {printable(text, 80)} is no budget: write 5M (tokens), 200 images or 10k requests"
            )
        found[f"{(match[3] or 'tokens').lower().rstrip('s')}s"] = number
    return found


def read_most(text: str | None) -> float | None:
    """Read how many failures are too many: a share (0.2, 20%) or a number of items.

    Raises:
        ConfigError: It is neither.
    """
    if text is None:
        return None
    cleaned = text.strip()
    if cleaned.isdecimal():
        return int(cleaned)
    try:
        share = float(cleaned.removesuffix("%")) / (100 if cleaned.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise ConfigError(
            f"--max-failures {printable(text, 80)}: write a share, 0.2 or 20%, or a whole number of items"
        )
    return share


def read_concurrency(text: str) -> Any:
    """Read how many items at once: "auto" or a number.

    Raises:
        ConfigError: It is neither.
    """
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--concurrency {printable(text, 80)}: write auto, or a number from 1 up")
    return int(text)


def read_errors(names: list[str]) -> tuple[type[Exception], ...]:
    """Read names of errors: those of ``tutuclient.errors``, in any case, several with commas.

    Raises:
        ConfigError: There is no such error.
    """
    known: dict[str, type[Exception]] = {
        name.lower(): kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, TutuError)
    }
    wanted = [name.strip() for text in names for name in text.split(",") if name.strip()]
    for name in wanted:
        if name.lower() not in known:
            listed = ", ".join(sorted(kind.__name__ for kind in known.values() if issubclass(kind, errors.APIError)))
            raise ConfigError(f"--stop-on {printable(name, 80)}: there is no such error; there are {listed}")
    return tuple(known[name.lower()] for name in wanted)
