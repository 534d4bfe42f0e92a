"""The names of the conventions, checked with OpenTelemetry's own package of names; and content without what is data."""

from __future__ import annotations

import base64
import hashlib
import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, openai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from tests.images import jpeg, png
from tutuclient import CallEnd, Meta, Sound, Usage, assistant, audio, file, image, system, user
from tutuclient.integrations import genai
from tutuclient.types import ChatCompletion, ImagesResponse

NAMES = {
    value
    for module in (gen_ai_attributes, openai_attributes, gen_ai_metrics)
    for value in vars(module).values()
    if isinstance(value, str)
}
CHAT = genai.OPERATIONS["/chat/completions"]
EVERYTHING: dict[str, Any] = {
    "temperature": 1,
    "top_p": 0.5,
    "top_k": 4,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.2,
    "max_completion_tokens": 9,
    "seed": 1,
    "n": 2,
    "stream": True,
    "stop": "x",
    "dimensions": 3,
    "encoding_format": "base64",
    "service_tier": "flex",
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema"},
}
USAGE = msgspec.convert(
    {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 3, "image_tokens": 60, "text_tokens": 40},
        "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 2},
    },
    Usage,
)


def ended(answer: Any, how: Any = "answered") -> CallEnd:
    return CallEnd(how, None, lambda: answer, Meta(200), 1.0)


def same(text: str) -> str:
    return text


def completion(**message: Any) -> ChatCompletion:
    return msgspec.convert({"id": "c1", "model": "m-1", "choices": [{"index": 0, "message": message}]}, ChatCompletion)


def test_the_names_of_the_default_are_those_of_the_standard() -> None:
    names = set(genai.request_attributes(CHAT, EVERYTHING, latest=False))
    names |= set(genai.response_attributes(ended(completion(content="x")), USAGE, str, latest=False))
    names |= {metric.name for metric in genai.metrics(latest=False).values()}
    assert names <= NAMES
    assert len(names) > 25


def test_a_request_is_told_by_its_fields() -> None:
    assert genai.request_attributes(CHAT, EVERYTHING, latest=True) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.top_k": 4,
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.2,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 1,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stream": True,
        "gen_ai.request.stop_sequences": ["x"],
        "gen_ai.embeddings.dimension.count": 3,
        "gen_ai.request.encoding_formats": ["base64"],
        "openai.request.service_tier": "flex",
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.output.type": "json",
    }


@pytest.mark.parametrize("value", [None, True, "5", [], {}, object()])
def test_a_field_of_another_type_is_left_out(value: Any) -> None:
    fields = dict.fromkeys(("temperature", "max_tokens", "seed", "n", "top_k", "dimensions"), value)
    assert genai.request_attributes(CHAT, {**fields, "stream": None, "stop": 5}, latest=True) == {
        "gen_ai.operation.name": "chat"
    }


def test_tokens_are_told_as_far_as_the_relay_counts_them() -> None:
    assert genai.usage_attributes(USAGE, latest=False) == {
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.reasoning.output_tokens": 30,
        "gen_ai.usage.cache_creation.input_tokens": 3,
    }
    latest = genai.usage_attributes(USAGE, latest=True)
    assert latest["gen_ai.usage.cache_write.input_tokens"] == 3
    assert (latest["gen_ai.usage.image.input_tokens"], latest["gen_ai.usage.audio.output_tokens"]) == (60, 2)
    assert genai.usage_attributes(None, latest=True) == {}


def test_a_generation_that_did_not_end_is_an_error_in_the_latest_only() -> None:
    cut = ended(completion(content="x"), "closed")
    assert "gen_ai.response.finish_reasons" not in genai.response_attributes(cut, None, str, latest=False)
    assert genai.response_attributes(cut, None, str, latest=True)["gen_ai.response.finish_reasons"] == ["error"]
    assert genai.response_attributes(ended(None), None, str, latest=True) == {}


# --- content ---------------------------------------------------------------------------------------------------------


def shown(data: bytes, kind: str, size: str) -> str:
    return f"<{kind} {size} sha256:{hashlib.sha256(data).hexdigest()[:12]}…>"


LARGE = png(bytes(range(256)) * 4)
ENCODED = base64.b64encode(LARGE).decode()
IN_LINES = "\n".join(ENCODED[at : at + 76] for at in range(0, len(ENCODED), 76))
DIGEST = shown(LARGE, "image/png", "1.1 kB")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain words", "plain words"),
        (f"see data:image/png;base64,{ENCODED}, and", f"see {DIGEST}, and"),
        (f"![x](data:image/jpeg;base64,{ENCODED})", f"![x]({DIGEST})"),
        (f"data:;base64,{IN_LINES}\nand then words", f"{DIGEST}\nand then words"),
        (f"bare {ENCODED} end", f"bare {DIGEST} end"),
        (f"bare\n{IN_LINES}\nend", f"bare\n{DIGEST}\nend"),
        (ENCODED.replace("+", "-").replace("/", "_"), DIGEST),
        ("data:image/png;base64,", "<image/png 0 B sha256:e3b0c44298fc…>"),
        ("data:image/png;base64,QQ", "<image/png 1 B sha256:559aead08264…>"),
        ("data:image/png;base64,Q", "<image/png 0 B sha256:e3b0c44298fc…>"),
        ("x" * 255, "x" * 255),
        ("word " * 200, "word " * 200),
    ],
)
def test_images_in_a_text_become_their_digests(text: str, clean: str) -> None:
    assert genai.without_data(text) == clean


def test_what_would_hold_the_loop_is_not_hashed() -> None:
    large = base64.b64encode(png(bytes(4_000_000))).decode()
    assert genai.described(large) == "<image/png 4.0 MB>"


@pytest.mark.parametrize("text", ["生成失败", "ab!", "a!", "\ud800", "file not found", "=", ""])
def test_what_stands_in_the_place_of_data_is_told_whatever_it_is(text: str) -> None:
    assert genai.described(text).startswith("<base64 ")
    fields = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": text}}]}]}
    [said] = messages(fields)["gen_ai.input.messages"]
    assert said["parts"][0]["content"] == genai.described(text)


def messages(fields: dict[str, Any], answer: Any = None) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in genai.content_attributes(fields, answer, same).items()}


def test_a_conversation_is_told_part_by_part() -> None:
    call = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    odd = {"id": "t2", "type": "function", "function": {"name": "add", "arguments": "{cut"}}
    said = [
        system("be brief"),
        user("look", image(f"data:image/png;base64,{ENCODED}"), image("https://h/a.png?sig=1#x"), name="me"),
        {"role": "user", "content": [{"type": "image_url", "image_url": f"data:image/png;base64,{ENCODED}"}]},
        {
            "role": "user",
            "content": [
                {"type": "input_audio", "input_audio": {"data": ENCODED, "format": "wav"}},
                {"type": "own", "secret": "x"},
            ],
        },
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call, odd]},
        {"role": "tool", "tool_call_id": "t1", "content": "2"},
        assistant("two"),
    ]
    [first, look, data, heard, asked, result, last] = messages({"messages": said})["gen_ai.input.messages"]
    assert first == {"role": "system", "parts": [{"type": "text", "content": "be brief"}]}
    assert look["name"] == "me"
    assert look["parts"][2] == {"type": "uri", "modality": "image", "uri": "https://h/a.png"}
    assert look["parts"][1]["type"] == "blob"
    assert data["parts"] == [{"type": "blob", "modality": "image", "mime_type": "image/png", "content": DIGEST}]
    assert [part["type"] for part in heard["parts"]] == ["blob", "own"]
    assert "secret" not in heard["parts"][1]
    assert asked["parts"] == [
        {"type": "reasoning", "content": "hm"},
        {"type": "tool_call", "id": "t1", "name": "add", "arguments": {"a": 1}},
        {"type": "tool_call", "id": "t2", "name": "add", "arguments": "{cut"},
    ]
    assert result["parts"] == [{"type": "tool_call_response", "id": "t1", "response": "2"}]
    assert last["parts"] == [{"type": "text", "content": "two"}]


def test_uploads_are_told_and_not_read() -> None:
    said = [user(image(jpeg()), audio(b"RIFF\0\0\0\0WAVEfmt "), file(b"%PDF-1.7", filename="a.pdf"))]
    parts = messages({"messages": said})["gen_ai.input.messages"][0]["parts"]
    assert [part["modality"] for part in parts] == ["image", "audio", "document"]
    assert all(part["content"].startswith("<") and "base64" not in part["content"] for part in parts)


@pytest.mark.parametrize(
    ("fields", "contents"),
    [
        ({"prompt": "draw"}, ["draw"]),
        ({"prompt": ["a", "b"]}, ["a", "b"]),
        ({"input": "say"}, ["say"]),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "t"}]}]}, ["t"]),
        ({"input": [[1, 2], [3]]}, []),
        ({"input": [1, 2]}, []),
    ],
)
def test_other_endpoints_ask_in_other_fields(fields: dict[str, Any], contents: list[str]) -> None:
    told = messages(fields)["gen_ai.input.messages"]
    assert [part["content"] for message in told for part in message["parts"]] == contents


def test_instructions_stand_apart() -> None:
    assert messages({"instructions": "be kind"}) == {
        "gen_ai.system_instructions": [{"type": "text", "content": "be kind"}]
    }


def test_answers_of_every_kind_are_messages() -> None:
    images = msgspec.convert({"data": [{"b64_json": ENCODED}, {"url": "https://h/i.png?sig=1"}, {}]}, ImagesResponse)
    [made, linked] = messages({}, images)["gen_ai.output.messages"]
    assert made["parts"][0] == {"type": "blob", "modality": "image", "mime_type": "image/png", "content": DIGEST}
    assert linked["parts"][0]["uri"] == "https://h/i.png"
    [sound] = messages({}, Sound(b"abc", "audio/mpeg"))["gen_ai.output.messages"]
    assert sound["parts"][0]["content"] == shown(b"abc", "audio/mpeg", "3 B")
    [text] = messages({}, SimpleNamespace(text="words"))["gen_ai.output.messages"]
    assert text["parts"] == [{"type": "text", "content": "words"}]
    legacy = SimpleNamespace(choices=[SimpleNamespace(text="old", finish_reason="length")])
    [old] = messages({}, legacy)["gen_ai.output.messages"]
    assert (old["parts"], old["finish_reason"]) == ([{"type": "text", "content": "old"}], "length")
    [shown_image] = messages(
        {}, completion(images=[{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{ENCODED}"}}])
    )["gen_ai.output.messages"]
    assert ENCODED not in json.dumps(shown_image)
    assert messages({}, None) == messages({}, {"any": "thing"}) == {}


def test_the_key_is_masked_wherever_it_stands() -> None:
    told = genai.content_attributes({"prompt": "my key is sk-1"}, None, lambda text: text.replace("sk-1", "***"))
    assert "my key is ***" in told["gen_ai.input.messages"]


def test_the_metrics_of_the_latest_conventions_are_grouped_by_what_they_measure() -> None:
    names = {metric.name for metric in genai.metrics(latest=True).values()}
    assert {name.removeprefix("gen_ai.client.") for name in names} == {
        "inference.duration",
        "inference.time_to_first_chunk",
        "inference.time_per_output_chunk",
        "inference.operation.input_tokens",
        "inference.operation.output_tokens",
        "inference.usage.input_tokens",
        "inference.usage.output_tokens",
        "embeddings.duration",
        "embeddings.operation.input_tokens",
    }
