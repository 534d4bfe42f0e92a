from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from tutuclient import TutuClient, user
from tutuclient.testing import Server, record_cassette, replay_cassette

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-0123456789abcdefghij"


def test_cassettes_without_an_event_loop(tutu_relay: Server, tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"

    async def ask(base_url: str) -> str:
        async with TutuClient(KEY, base_url) as client:
            answer = await client.chat.completions.create(model="m", messages=[user("hi")])
            return answer.text

    with record_cassette(tutu_relay.base_url, path) as recorder:
        first = asyncio.run(ask(recorder.base_url))
    with replay_cassette(path) as player:
        assert asyncio.run(ask(player.base_url)) == first
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[0])["relay"] == tutu_relay.origin
