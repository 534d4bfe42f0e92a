"""What ``UNSET`` promises: it is one object, also after it has travelled, and reads as not given."""

from __future__ import annotations

import pickle

from tutuclient._unset import UNSET


def test_unset_is_not_none_and_says_its_name() -> None:
    assert repr(UNSET) == "UNSET"
    assert not UNSET
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET  # noqa: S301  (our own bytes)
