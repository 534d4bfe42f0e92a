"""An error says what to try, by its class, the path and the address."""

from __future__ import annotations

import json

import pytest

from tutuclient import wire
from tutuclient._meta import Meta
from tutuclient.errors import UnexpectedResponseError


# Section 2, q: advice fits the address and the call.
def asked(status: int, method: str, url: str) -> Meta:
    meta = Meta(status)
    meta.asked = (method, url)
    return meta


H = "https://h.example"


@pytest.mark.parametrize(
    ("method", "path", "words", "never"),
    [
        ("POST", "/v1/chat/completions", "base_url ends in /v1 already", "to end in"),
        ("GET", "/api/paas/v4/models", "base_url ends in /v4 already", "/v1"),
        ("POST", "/v1beta/openai/chat/completions?key=v1", "base_url ends in /v1beta already", "to end in"),
        ("POST", "/chat/completions", "want it to end in /v1", "already"),
        ("POST", "/api/chat/completions?of=/v1/", "want it to end in /v1", "already"),
        ("POST", "/v1/v1/chat/completions", "has /v1 and /v1", "to end in"),
    ],
)
def test_an_endpoint_is_recognised_by_its_address(method: str, path: str, words: str, never: str) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        wire.read_completion(b"<html><title>Panel</title>", asked(200, method, H + path))
    assert words in caught.value.hint
    assert caught.value.hint in str(caught.value)
    assert never not in caught.value.hint


@pytest.mark.parametrize(
    ("method", "path", "message", "words", "never"),
    [
        ("GET", "/v1/models", "no", "lists no models", "model's name"),
        ("GET", "/v1/models?limit=5", "no", "check base_url", "/v1"),
        ("GET", "/models", "no", "mostly in /v1", "model's name"),
        ("GET", "/v1/models/gpt-9", "no", "model's name", "base_url"),
        ("POST", "/v1/chat/completions", "The model gpt-9 does not exist", "model's name", "base_url"),
        ("POST", "/v1/chat/completions", "模型不存在", "model's name", "base_url"),
        ("POST", "/v1/chat/completions", "no such page", "check the model's name, and base_url", "/v1"),
        ("POST", "/chat/completions", "no such page", "mostly in /v1", "already"),
        ("GET", "/v1/tasks/5", "no such task", "check base_url", "model's name"),
    ],
)
def test_what_is_not_there_is_recognised_by_its_path(
    method: str, path: str, message: str, words: str, never: str
) -> None:
    body = json.dumps({"error": {"message": message}}).encode()
    error = wire.error_of_status("X", body, asked(404, method, H + path))
    advice = str(error).partition(message)[2]
    assert words in advice
    assert never not in advice


@pytest.mark.parametrize(
    ("path", "status", "message", "words", "never"),
    [
        ("/v1/embeddings", 413, "m", "fewer texts", "pictures"),
        ("/v1/embeddings", 400, "maximum context length is 8192", "shorten the texts", "max_tokens"),
        ("/v1/audio/transcriptions", 413, "m", "shorter recording", "pictures"),
        ("/v1/audio/translations", 400, "rejected by our safety system", "recording", "picture"),
        ("/v1/audio/speech", 400, "maximum context length is 4096", "shorten the text", "max_tokens"),
        ("/v1/chat/completions", 413, "m", "smaller images", "recording"),
        ("/v1/completions", 400, "maximum context length is 8192", "max_tokens", "texts"),
    ],
)
def test_advice_fits_what_was_sent(path: str, status: int, message: str, words: str, never: str) -> None:
    body = json.dumps({"error": {"message": message}}).encode()
    advice = str(wire.error_of_status("X", body, asked(status, "POST", H + path))).partition(message)[2]
    assert words in advice
    assert never not in advice


@pytest.mark.parametrize("status", [504, 524])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/images/generations", ("stream=True with partial_images=1", "client.images.submit(…)")),
        ("/v1/images/edits", ("stream=True with partial_images=1", "client.images.submit(…)")),
        ("/v1/chat/completions", ("stream=True keeps",)),
        ("/v1/images/variations", ()),
        ("/v1/embeddings", ()),
    ],
)
def test_what_a_proxy_gave_up_on_is_asked_for_in_another_way(path: str, words: tuple[str, ...], status: int) -> None:
    page = f"<html><head><title>{status} Gateway Time-out</title></head></html>".encode()
    in_words = json.dumps({"error": {"message": f"bad response status code {status}"}}).encode()
    errors = [
        wire.error_of_status("X", page, asked(status, "POST", H + path)),
        wire.error_of_status("X", in_words, asked(500, "POST", H + path)),
        wire.error_of_answer(
            json.dumps({"error": {"message": "m", "code": status}}).encode(), asked(200, "POST", H + path)
        ),
    ]
    for error in errors:
        assert all(each in str(error) for each in words)
        assert words or "stream" not in str(error)


def test_an_error_of_the_relay_itself_has_no_such_advice() -> None:
    for status in (500, 502, 503):
        error = wire.error_of_status("X", b"no", asked(status, "POST", H + "/v1/images/generations"))
        assert "stream" not in str(error)
