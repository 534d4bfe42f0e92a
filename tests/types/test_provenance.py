"""A struct remembers the call and the JSON that it came from, and no encoder sees that."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from tutuclient._meta import Meta
from tutuclient.types.chat import ChatCompletion, ChatMessage, Usage
from tutuclient.types.provenance import Origin, Provenance, Traced, copy_provenance, provenance, remember, set_origin

RAW = b'{"id": "c", "odd": 1}'


def nothing(_: object) -> list[Any]:
    return []


ORIGIN = Origin(Meta(200, {"x-request-id": "r"}), nothing)


def test_a_pair_serves_as_well_as_the_whole() -> None:
    pair, whole = ChatCompletion(), ChatCompletion()
    remember(pair, (ORIGIN, RAW))
    remember(whole, Provenance(raw=RAW))
    set_origin(whole, ORIGIN)
    assert vars(provenance(pair)) == vars(provenance(whole))
    assert (pair.extra, pair.meta) == (whole.extra, whole.meta) == ({"odd": 1}, ORIGIN.meta)


def test_a_part_has_its_place_or_its_unknown_fields_alone() -> None:
    placed, alone, lost = Usage(), Usage(), Usage()
    remember(placed, (b'{"usage": {"cost": 1}}', ("usage",)))
    remember(alone, ({"cost": 1}, ()))
    remember(lost, ({"usage": [1]}, ("usage",)))
    assert placed.extra == alone.extra == {"cost": 1}
    assert lost.extra == {}


def test_the_origin_is_written_without_losing_the_json() -> None:
    by_hand, read, decoded = ChatCompletion(), ChatCompletion(), ChatCompletion()
    remember(read, (None, RAW))
    remember(decoded, Provenance(raw=RAW, tree={"odd": 2}))
    for answer in (by_hand, read, decoded):
        set_origin(answer, ORIGIN, b'{"odd": 3}')
        assert answer.meta is ORIGIN.meta
    assert [answer.extra["odd"] for answer in (by_hand, read, decoded)] == [3, 1, 2]


def test_a_copy_is_changed_by_itself() -> None:
    source, target = ChatCompletion(), ChatCompletion()
    remember(source, (ORIGIN, RAW))
    copy_provenance(source, target)
    provenance(target).raw = b"{}"
    assert (source.raw, target.raw, target.meta) == (RAW, b"{}", ORIGIN.meta)


@pytest.mark.parametrize("struct", [ChatCompletion(), ChatMessage(), Usage()], ids=lambda struct: type(struct).__name__)
def test_the_slot_has_no_name(struct: Traced) -> None:
    remember(struct, Provenance(raw=RAW))
    seen = {*dir(struct), *vars(struct), *msgspec.to_builtins(struct)}
    assert not seen & {"provenance", "raw_json", "origin", "tree", "place", "cached"}
    assert RAW.decode() not in repr((struct, vars(struct), copy.copy(struct)))
