"""What embeddings promise: the same numbers from lists and from base64, as lists and as arrays."""

from __future__ import annotations

import array
import base64
import json
import pickle
import struct
import sys
from typing import Literal

import numpy as np
import pytest

from tutuclient import wire
from tutuclient._meta import Meta
from tutuclient.errors import ConfigError
from tutuclient.types.embeddings import CreateEmbeddingResponse, Embedding

NUMBERS = [0.5, -1.0, 2.0]
BYTES = struct.pack("<3f", *NUMBERS)
BOTH = [Embedding(given=NUMBERS), Embedding(given=BYTES, index=1)]


def test_lists_and_bytes_are_the_same_numbers() -> None:
    for each in BOTH:
        assert each.embedding == NUMBERS
        assert each.embedding is each.embedding
        assert len(each) == 3


def test_bytes_are_read_as_little_endian_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    real = array.array

    def swapping(kind: Literal["f"], data: bytes) -> array.array[float]:
        made = real(kind, data)
        made.byteswap()
        return made

    monkeypatch.setattr(array, "array", swapping)
    monkeypatch.setattr(sys, "byteorder", "big")
    assert Embedding(given=BYTES).embedding == NUMBERS


def test_arrays_are_of_32_bit_floats_and_not_to_be_written_to() -> None:
    for each in BOTH:
        vector = each.numpy()
        assert vector.dtype == np.float32
        assert vector.tolist() == NUMBERS
        assert not vector.flags.writeable
    rows = CreateEmbeddingResponse(data=BOTH).numpy()
    assert rows.shape == (2, 3)
    assert rows.dtype == np.float32


def test_says_which_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    for read in (BOTH[0].numpy, CreateEmbeddingResponse(data=BOTH).numpy):
        with pytest.raises(ConfigError, match="pip install numpy"):
            read()


def test_an_answer_reads_as_a_list_and_travels() -> None:
    encoded = base64.b64encode(BYTES).decode()
    body = json.dumps({"data": [{"embedding": encoded}, {"embedding": encoded}], "model": "m", "odd": 1}).encode()
    answer = wire.read_vectors(body, Meta(200), 2)
    assert [each.embedding for each in answer] == [NUMBERS] * len(answer) == [NUMBERS, NUMBERS]
    again = pickle.loads(pickle.dumps(answer))  # noqa: S301  (our own bytes)
    assert again == answer
    assert again.data[1].embedding == NUMBERS
    assert answer.to_dict()["data"][0] == {"embedding": encoded}
    assert again.extra == {"odd": 1}


def test_shows_no_thousand_numbers() -> None:
    assert repr(BOTH[1]) == "Embedding(index=1, 3 numbers)"


def test_a_dump_has_the_numbers_however_they_came() -> None:
    encoded = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
    answer = wire.read_vectors(json.dumps({"data": [{"embedding": encoded}]}).encode(), Meta(), 1)
    assert answer.model_dump()["data"] == [{"embedding": [0.5, -1.0], "index": 0, "object": "embedding"}]
