"""Cassettes with clients that others wrote: what one of them recorded is replayed to it, and to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

from tests.real.asking import KEY, Body, Npm, Python
from tests.real.questions import QUESTIONS, question
from tutuclient import TutuClient
from tutuclient.testing import Server, record_cassette, replay_cassette, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS: dict[str, Python | Npm] = {
    "openai": Python(openai.OpenAI),
    "openai-async": Python(openai.AsyncOpenAI),
    "npm-openai": Npm("openai.mjs"),
    "tutuclient": Python(TutuClient),
}
# What is said in words; a relay that is replayed has stand-ins for images and audio, which have digests of their own.
WORDS = (
    "models", "chat", "chat-zh", "chat-picture", "chat-sound", "chat-stream", "chat-picture-stream", "thinking", "tool",
    "tool-stream", "tool-round", "object", "completion-stream", "embedding", "transcription-json",
    "transcription-stream",
)  # fmt: skip
FILES = ("image", "image-stream", "image-edit", "speech")


@pytest.fixture
def relay() -> Iterator[Server]:
    with serve_in_thread(key=KEY) as server:
        server.picture_form = "b64"
        yield server


def asked(client: Python | Npm, base_url: str, names: tuple[str, ...], folder: Path) -> dict[str, Body]:
    return {name: client.ask(base_url, *question(name, folder)) for name in names}


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # openai's word on its oldest endpoints.
@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_is_answered_as_it_was_recorded(relay: Server, tmp_path: Path, name: str) -> None:
    cassette = tmp_path / "all.jsonl"
    with CLIENTS[name] as client:
        with record_cassette(relay.base_url, cassette) as recorder:
            words = asked(client, recorder.base_url, WORDS, tmp_path)
            files = asked(client, recorder.base_url, FILES, tmp_path)
        sent = len(relay.requests)
        with replay_cassette(cassette) as player:
            assert asked(client, player.base_url, WORDS, tmp_path) == words
            again = asked(client, player.base_url, FILES, tmp_path)
            assert player.unplayed == []
    assert {each: len(str(again[each])) for each in FILES} == {each: len(str(files[each])) for each in FILES}
    assert all(again[each] != files[each] for each in FILES)
    assert len(relay.requests) == sent >= len(WORDS) + len(FILES)
    assert KEY not in cassette.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CLIENTS)
def test_what_one_client_recorded_another_is_told(relay: Server, tmp_path: Path, name: str) -> None:
    cassette, shared = tmp_path / "chat.jsonl", ("chat", "chat-picture", "chat-stream", "tool-stream")
    with record_cassette(relay.base_url, cassette) as recorder, CLIENTS["openai"] as judge:
        expected = asked(judge, recorder.base_url, shared, tmp_path)
    with replay_cassette(cassette) as player, CLIENTS[name] as client:
        for each, answer in asked(client, player.base_url, shared, tmp_path).items():
            assert answer == {field: expected[each][field] for field in answer}
    assert set(shared) <= set(QUESTIONS)
