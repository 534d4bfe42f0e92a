"""Which exchange of a cassette a request is: by its method, path, query and body; and what differs where it is none."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from tutuclient.errors import printable
from tutuclient.testing import lenient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tutuclient.testing.cassettes.tape import Exchange

_SHOWN = 3
_WIDTH = 60


class Requests:
    """The requests of a cassette. The same request several times is answered in the order of the recording."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self._all = list(exchanges)
        self._waiting: defaultdict[str, deque[Exchange]] = defaultdict(deque)
        for each in self._all:
            self._waiting[_key(each.request)].append(each)

    @property
    def unplayed(self) -> list[int]:
        """The numbers of the exchanges that nobody has asked for yet."""
        return sorted(each.number for queue in self._waiting.values() for each in queue)

    def take(self, request: Mapping[str, Any]) -> Exchange | None:
        """Return the exchange of a request, each one once; None where there is none, or none any more."""
        waiting = self._waiting.get(_key(request))
        return waiting.popleft() if waiting else None

    def difference(self, request: Mapping[str, Any]) -> str:
        """Return in one line what there is in the cassette in the place of a request."""
        if not self._all:
            return "the cassette has no exchanges"
        same = [each.number for each in self._all if _key(each.request) == _key(request)]
        if same:
            times = "once" if len(same) == 1 else f"{len(same)} times"
            return (
                f"it was recorded {times} (exchange {_listed(same)}), and has been asked for once more: "
                "a replay that is started anew begins anew"
            )
        nearest, differences = min(
            ((each, list(_differences(each.request, request))) for each in self._all),
            key=lambda found: (found[0].request["path"] != request["path"], len(found[1])),
        )
        more = f", and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        return f"the nearest, exchange {nearest.number}, differs in {'; '.join(differences[:_SHOWN])}{more}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:_SHOWN])) + ("…" if len(numbers) > _SHOWN else "")


def _compared(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a request's line tells it from others."""
    kept = {name: request[name] for name in ("method", "path", "query", "json", "text", "media") if name in request}
    if "form" in request:
        # Clients write a form's fields in orders of their own, and call what has no name as they like.
        fields: list[tuple[str, Any]] = [
            (name, lenient.mapping(value).get("media", value)) for name, value in request["form"]
        ]
        kept["form"] = [list(field) for field in sorted(fields, key=itemgetter(0))]
    return kept


def _key(request: Mapping[str, Any]) -> str:
    return json.dumps(_plain(_compared(request)), sort_keys=True)


def _plain(value: Any) -> Any:
    """Return a value whose numbers do not tell 1 from 1.0, as JavaScript does not."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in lenient.mapping(cast("object", value)).items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in lenient.array(cast("object", value))]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _differences(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    then, now = dict(_leaves(_compared(recorded))), dict(_leaves(_compared(asked)))
    for place in [*now, *(each for each in then if each not in now)]:
        if place not in then:
            yield f"{place}: {_shown(now[place])} was not recorded"
        elif place not in now:
            yield f"{place}: {_shown(then[place])} was recorded, and is missing"
        elif json.dumps(then[place]) != json.dumps(now[place]):  # To Python True is 1.
            start = _apart(then[place], now[place])
            yield f"{place}: recorded {_shown(then[place], start)}, asked {_shown(now[place], start)}"


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if named := lenient.mapping(value):
        for name, inner in named.items():
            yield from _leaves(inner, f"{place}.{name}" if place else name)
    elif listed := lenient.array(value):
        for index, inner in enumerate(listed):
            yield from _leaves(inner, f"{place}[{index}]")
    else:
        yield place, _plain(value)


def _apart(one: object, other: object) -> int:
    """Return from where on two texts are worth showing: a little before they part."""
    if not isinstance(one, str) or not isinstance(other, str):
        return 0
    same = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return max(0, same - _WIDTH // 3)


def _shown(value: Any, start: int = 0) -> str:
    if isinstance(value, str) and start:
        value = f"…{value[start:]}"
    text = json.dumps(value, ensure_ascii=False)
    return printable(text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…", 2 * _WIDTH)
