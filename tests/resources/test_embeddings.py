"""Embeddings over a real socket: asked for as base64, read by what came, one for each input."""

from __future__ import annotations

import base64
import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tutuclient import ConfigError, InternalServerError, TutuClient, UnexpectedResponseError
from tutuclient.testing import Server, fails, raw

if TYPE_CHECKING:
    from tutuclient.testing.exchange import Answer


def answers(*vectors: list[float], as_text: bool = False, **fields: Any) -> Answer:
    given: list[Any] = list(vectors)
    if not as_text:
        given = [base64.b64encode(struct.pack(f"<{len(each)}f", *each)).decode() for each in vectors]
    data = [{"object": "embedding", "index": 0, "embedding": each} for each in given]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    return raw(body=json.dumps({"object": "list", "data": data, "model": "m", "usage": usage, **fields}).encode())


@pytest.mark.parametrize("as_text", [True, False])
async def test_vectors_come_in_the_order_of_the_inputs(client: TutuClient, server: Server, as_text: bool) -> None:
    server.answers(answers([0.5, 1.0], [2.0, -1.0], as_text=as_text))
    answer = await client.embeddings.create(input=("a", "b"), model="m", dimensions=2)
    assert [each.embedding for each in answer] == [[0.5, 1.0], [2.0, -1.0]]
    assert answer.usage is not None
    assert (answer.model, answer.usage.prompt_tokens, answer.meta.attempts) == ("m", 2, 1)
    assert server.requests[0].path == "/v1/embeddings"
    assert server.requests[0].json == {"input": ["a", "b"], "model": "m", "encoding_format": "base64", "dimensions": 2}


async def test_floats_are_asked_for_when_the_caller_wants_them(client: TutuClient, server: Server) -> None:
    server.answers(answers([1.0], as_text=True))
    await client.embeddings.create(input="a", model="m", encoding_format="float", extra_body={"task": "query"})
    assert server.requests[0].json == {"input": "a", "model": "m", "encoding_format": "float", "task": "query"}


@pytest.mark.parametrize(
    ("given", "vectors"),
    [("a", 1), (["a"], 1), ([1, 2, 3], 1), ([[1, 2], [3]], 2), ((text for text in "abc"), 3)],
)
async def test_every_input_has_its_vector(client: TutuClient, server: Server, given: Any, vectors: int) -> None:
    server.answers(answers(*[[1.0]] * vectors), answers(*[[1.0]] * (vectors + 1)))
    inputs = list(given) if not isinstance(given, str) else given
    assert len(await client.embeddings.create(input=inputs, model="m")) == vectors
    with pytest.raises(UnexpectedResponseError, match=f"in place of {vectors}"):
        await client.embeddings.create(input=inputs, model="m")


async def test_how_many_inputs_there_are_may_be_unknown(client: TutuClient, server: Server) -> None:
    server.answers(answers([1.0], [2.0]))
    assert len(await client.embeddings.create(input=[], model="m", extra_body={"input": {"image": "u"}})) == 2


async def test_no_vectors_is_an_error(client: TutuClient, server: Server) -> None:
    server.answers(answers())
    with pytest.raises(UnexpectedResponseError, match="without embeddings") as caught:
        await client.embeddings.create(input="a", model="m")
    assert (caught.value.attempts, caught.value.outcome) == (1, "unknown")


async def test_what_was_rejected_is_asked_again(client: TutuClient, server: Server) -> None:
    server.answers(fails(500, "busy"), answers([1.0]))
    answer = await client.embeddings.create(input="a", model="m")
    assert answer.meta.attempts == 2
    server.answers(*[fails(500, "busy")] * 3)
    with pytest.raises(InternalServerError):
        await client.embeddings.create(input="a", model="m")


@pytest.mark.parametrize("given", [b"text", bytearray(b"text"), {"a": 1}, None, 5])
async def test_what_is_not_text_is_not_taken_for_tokens(client: TutuClient, server: Server, given: Any) -> None:
    with pytest.raises(ConfigError, match="neither"):
        await client.embeddings.create(input=given, model="m")
    assert server.requests == []


async def test_what_cannot_be_written_is_not_sent(client: TutuClient, server: Server) -> None:
    nothing: Any = object()
    with pytest.raises(ConfigError):
        await client.embeddings.create(input=[nothing], model="m")
    assert server.requests == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "input must be a text or a list, and None is neither"),
        (5, "and 5 is neither"),
        (b"x", "and 1 bytes is neither"),
    ],
)
async def test_an_invalid_input_is_refused(server: Server, given: Any, words: str) -> None:
    async with TutuClient("any", server.base_url) as client:
        with pytest.raises(ConfigError, match=words):
            await client.embeddings.create(model="m", input=given)
    assert not server.requests


async def test_tokens_of_numpy_are_those_of_one_text(server: Server) -> None:
    async with TutuClient("any", server.base_url) as client:
        given: Any = np.array([1, 2, 3])
        assert len((await client.embeddings.create(model="m", input=given)).data) == 1
        given = np.array([[1, 2], [3, 4]])
        assert len((await client.embeddings.create(model="m", input=given)).data) == 2
