from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tutuclient.resources.embeddings import Embeddings
from tutuclient.testing import sample_sound

if TYPE_CHECKING:
    from tutuclient import TutuClient

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


ENDPOINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat.completions": ("create", ASKED),
    "completions": ("create", {"model": "gpt-3.5-turbo-instruct", "prompt": "hi"}),
    "embeddings": ("create", {"model": "text-embedding-3-small", "input": "hi"}),
    "images": ("generate", {"model": "dall-e-3", "prompt": "a cat"}),
    "models": ("list", {}),
    "audio.speech": ("create", {"model": "tts-1", "voice": "alloy", "input": "hi"}),
    "audio.transcriptions": ("create", {"model": "whisper-1", "file": sample_sound()}),
    "audio.translations": ("create", {"model": "whisper-1", "file": sample_sound()}),
}


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_every_endpoint_returns_its_answers_raw_and_open(client: TutuClient, name: str) -> None:
    resource: Any = client
    for step in name.split("."):
        resource = getattr(resource, step)
    method, fields = ENDPOINTS[name]
    usual = await getattr(resource, method)(**fields)
    as_it_came = await getattr(resource.with_raw_response, method)(**fields)
    assert type(as_it_came.parse()) is type(usual)
    assert as_it_came.content
    assert as_it_came.request_id
    async with getattr(resource.with_streaming_response, method)(**fields) as response:
        assert response.status_code == 200
        assert type(await response.parse()) is type(usual)


def test_a_view_has_the_help_of_its_endpoint(client: TutuClient) -> None:
    for view in (client.embeddings.with_raw_response, client.embeddings.with_streaming_response):
        assert view.create.__name__ == "create"
        assert view.create.__doc__ == Embeddings.create.__doc__


def test_a_view_has_no_other_calls(client: TutuClient) -> None:
    with pytest.raises(AttributeError):
        _ = client.chat.completions.with_raw_response.stream  # type: ignore[attr-defined]  # as mypy says too
