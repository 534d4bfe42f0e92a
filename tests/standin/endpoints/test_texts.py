import base64
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Post = Callable[..., Awaitable[Any]]
INSTRUCT = "gpt-3.5-turbo-instruct"


async def test_completes_each_prompt_as_often_as_asked(post: Post) -> None:
    answer = await post("/completions", model=INSTRUCT, prompt=["one two", "three"], n=2, max_tokens=4)
    assert (answer["object"], answer["id"][:5]) == ("text_completion", "cmpl-")
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert {choice["text"] for choice in answer["choices"]} == {" (A stand-in, no model,"}
    assert {choice["finish_reason"] for choice in answer["choices"]} == {"length"}
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 16, "total_tokens": 19}


async def test_echoes_the_prompt_before_what_it_adds(post: Post) -> None:
    (choice,) = (await post("/completions", model=INSTRUCT, prompt="once upon", echo=True, max_tokens=100))["choices"]
    assert choice["text"] == 'once upon (A stand-in, no model, goes on after "once upon".)'
    assert choice["finish_reason"] == "stop"


async def test_stops_a_completion_at_a_word(post: Post) -> None:
    (choice,) = (await post("/completions", model=INSTRUCT, prompt="a", stop=[", no"]))["choices"]
    assert choice["text"] == " (A stand-in"


@pytest.mark.parametrize("prompt", [[1, 2, 3], [[1, 2], [3]], ["a", "b"], "a"])
async def test_takes_prompts_in_every_shape(post: Post, prompt: Any) -> None:
    number = len((await post("/completions", model=INSTRUCT, prompt=prompt))["choices"])
    assert number == (2 if prompt in ([[1, 2], [3]], ["a", "b"]) else 1)


async def test_lists_the_likelihoods_of_a_completion(post: Post) -> None:
    (choice,) = (await post("/completions", model=INSTRUCT, prompt="a", echo=True, logprobs=2))["choices"]
    listed = choice["logprobs"]
    assert "".join(listed["tokens"]) == choice["text"]
    assert all(choice["text"][at:].startswith(t) for at, t in zip(listed["text_offset"], listed["tokens"], strict=True))
    assert all(len(each) <= 2 for each in listed["top_logprobs"])
    assert len(listed["token_logprobs"]) == len(listed["tokens"])


async def test_streams_completions_in_turns_and_usage_in_a_chat_frame(post: Post, events: Post) -> None:
    body = {"model": INSTRUCT, "prompt": ["a", "b"], "logprobs": 1}
    whole = await post("/completions", **body)
    *frames, usage, done = await events("/completions", **body, stream_options={"include_usage": True})
    texts = ["", ""]
    tokens: list[list[str]] = [[], []]
    for frame in frames:
        assert frame["object"] == "text_completion"
        (choice,) = frame["choices"]
        texts[choice["index"]] += choice["text"]
        tokens[choice["index"]] += (choice["logprobs"] or {"tokens": []})["tokens"]
    assert texts == [choice["text"] for choice in whole["choices"]]
    assert tokens == [choice["logprobs"]["tokens"] for choice in whole["choices"]]
    assert [frame["choices"][0]["finish_reason"] for frame in frames[-2:]] == ["stop", "stop"]
    assert (usage["object"], usage["choices"], usage["usage"]) == ("chat.completion.chunk", [], whole["usage"])
    assert done == "[DONE]"


async def test_embeds_texts_in_order(post: Post) -> None:
    answer = await post("/embeddings", model="text-embedding-3-small", input=["a cat", "a dog"], dimensions=8)
    assert (answer["object"], answer["model"]) == ("list", "text-embedding-3-small")
    assert [each["index"] for each in answer["data"]] == [0, 1]
    assert [len(each["embedding"]) for each in answer["data"]] == [8, 8]
    assert answer["data"][0]["embedding"] != answer["data"][1]["embedding"]
    assert answer["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


async def test_packs_vectors_as_base64_of_float32(post: Post) -> None:
    asked = {"model": "text-embedding-3-small", "input": "a cat", "dimensions": 16}
    plain = (await post("/embeddings", **asked))["data"][0]["embedding"]
    packed = (await post("/embeddings", **asked, encoding_format="base64"))["data"][0]["embedding"]
    assert struct.unpack("<16f", base64.b64decode(packed)) == pytest.approx(plain)


@pytest.mark.parametrize(
    ("model", "size"), [("text-embedding-3-small", 1536), ("text-embedding-3-large", 3072), ("bge-small", 256)]
)
async def test_vectors_are_as_long_as_the_models(post: Post, model: str, size: int) -> None:
    assert len((await post("/embeddings", model=model, input="a"))["data"][0]["embedding"]) == size


@pytest.mark.parametrize("given", [[7, 8], [[7], [8, 9]]])
async def test_embeds_tokens(post: Post, given: Any) -> None:
    data = (await post("/embeddings", model="m", input=given, dimensions=4))["data"]
    assert len(data) == (1 if given == [7, 8] else 2)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/completions", {}, "field prompt is required"),
        ("/embeddings", {}, "field input is required"),
        ("/embeddings", {"input": ["a", 1]}, "field input is required"),
        ("/embeddings", {"input": ["a"] * 2049}, "at most 2048"),
        ("/embeddings", {"input": "a", "encoding_format": "hex"}, "float or base64"),
        ("/embeddings", {"input": "a", "dimensions": 0}, "dimensions must be 1 to"),
    ],
)
async def test_complains_of_what_is_missing_or_too_much(post: Post, path: str, body: Any, words: str) -> None:
    answer = await post(path, model="m", **body)
    assert (answer["status"], answer["error"]["code"]) == (400, "invalid_text_request")
    assert words in answer["error"]["message"]
