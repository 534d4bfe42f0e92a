"""Several relays of one client: what ``TutuClient(relays=[…])`` takes, and what makes one of them apart."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from tutuclient.errors import ConfigError
from tutuclient.settings.credentials import is_address
from tutuclient.settings.secret import hidden, looks_like_key, shown
from tutuclient.settings.values import is_number


@dataclass(frozen=True, repr=False)
class Relay:
    """One of the relays of a client, or one of its keys at the same relay: ``TutuClient(relays=[Relay(…), …])``.

    Keys of one account share its limits and its balance: new-api and one-api count by user, not by key. Where two
    relays here are keys of one account, name it as ``account`` for both, so that they keep one pace; more keys of one
    account make nothing faster.

    Attributes:
        base_url: Where the API is, as ``TutuClient`` takes it. The environment is not read.
        api_key: Its key, or a function that returns it. It goes to this relay only. Where the function raises, calls
            go on to the others, as where a relay rejects its key. It travels in the pickle of a client.
        weight: Its share of the calls, in proportion to those of the others.
        models: The models it has; None for all. A mapping has the names it knows them by: ``{"gpt-4o":
            "openai/gpt-4o"}``.
        name: What answers, errors and journals call it; the base URL by default. Keep it as it is while journals
            of runs are to be gone on with.
        account: The account its key belongs to, in any word of yours: relays of one account share their pace.
        rate: The most calls per time, in place of the client's ``rate``; of relays of one account the lowest holds.
    """

    base_url: str
    api_key: str | Callable[[], Awaitable[str] | str]
    weight: float = 1.0
    models: Iterable[str] | Mapping[str, str] | None = None
    name: str | None = None
    account: str | None = None
    rate: str | float | None = None

    def __post_init__(self) -> None:
        # ``repr`` and tracebacks with locals show the fields, and people swap the first two.
        for field in ("base_url", "api_key"):
            object.__setattr__(self, field, hidden(getattr(self, field)))

    def __repr__(self) -> str:
        url = "***" if looks_like_key(self.base_url) else str(self.base_url)
        return f"Relay(base_url={url!r}, api_key='***', name={self.name!r})"


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a relay apart from the others of its client, checked.

    Attributes:
        name: Its name.
        weight: Its share of the calls.
        models: Its names of the models it has, by those that callers use; None for all.
        account: The account its key belongs to; "" where nobody has said.
    """

    name: str
    weight: float = 1.0
    models: Mapping[str, str] | None = None
    account: str = ""


def clean_relays(relays: Any) -> Sequence[Relay]:
    """Return the relays of a client, their kinds checked; each is checked as ``TutuClient`` checks its own settings.

    Raises:
        ConfigError: They are no list of ``Relay``, or the list is empty.
    """
    listed: object = relays
    if isinstance(listed, Relay | str | bytes | Mapping) or not isinstance(listed, Iterable):
        raise ConfigError(f"relays must be a list of Relay(base_url, api_key); got {shown(relays)}")
    found = cast("list[Relay]", list(relays))
    for number, each in enumerate(found):
        if not isinstance(each, Relay):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
            raise ConfigError(f"relays[{number}] must be a Relay(base_url, api_key), not {type(each).__name__}")
        for name in ("base_url", "api_key"):  # The environment's belong to nobody here.
            value: object = getattr(each, name)
            if value is None or (isinstance(value, str) and not value.strip()):
                raise ConfigError(
                    f"relays[{number}] has no {name}: every Relay has its own, the environment is not read"
                )
        if isinstance(each.api_key, str) and is_address(each.api_key) and not is_address(each.base_url):
            raise ConfigError(f"relays[{number}]: the order is Relay(base_url, api_key); they seem to be swapped")
    if not found:
        raise ConfigError("relays is empty: pass one Relay(base_url, api_key) at least")
    return found


def clean_traits(relay: Relay, base_url: str, taken: Iterable[str]) -> Traits:
    """Return what makes a relay apart, checked.

    Args:
        relay: As the caller made it.
        base_url: Its base URL, cleaned.
        taken: The names of those before it.

    Raises:
        ConfigError: Its weight, its models or its name cannot work.
    """
    weight: Any = relay.weight
    if not is_number(weight) or not 0 < weight < math.inf:
        raise ConfigError(f"weight must be a number above 0; got {shown(weight)}")
    for field in ("name", "account"):
        value = getattr(relay, field)
        if value is not None and not (isinstance(value, str) and value.strip() and value.isprintable()):
            raise ConfigError(f"{field} must be text that can be printed; got {shown(value)}")
        if looks_like_key(value):
            raise ConfigError(f"{field} looks like a key, and would be shown: call it something else")
    name, used = relay.name or base_url, {*taken}
    if relay.name is None:
        number = 2
        while name in used:  # Another key at the same address.
            name, number = f"{base_url} ({number})", number + 1
    elif name in used:
        raise ConfigError(f"the name {name!r} is another relay's already")
    return Traits(name=name, weight=float(weight), models=_models(relay.models), account=relay.account or "")


def _models(models: Any) -> dict[str, str] | None:
    if models is None:
        return None
    given: object = models
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigError(f"models must be a list of names, or a mapping to the relay's names; got {shown(given)}")
    found: dict[Any, Any] = dict(models) if isinstance(given, Mapping) else {name: name for name in models}
    for name in (*found, *found.values()):
        if not isinstance(name, str) or not name:
            raise ConfigError(f"models must hold names of models; got {shown(name)}")
    if not found:
        raise ConfigError("models is empty, so that no call could go there: leave it out for all models")
    return found
