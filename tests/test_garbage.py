"""What answered calls leave behind: no reference cycles, which the garbage collector would have to free."""

from __future__ import annotations

import gc
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.images import png
from tutuclient import TutuClient, user
from tutuclient.testing import chunk, says, streams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tutuclient.testing import Server

PNG = png(bytes(range(256)) * 3)


async def whole(client: TutuClient) -> None:
    await client.chat.completions.create(model="m", messages=[user("hi")])


async def streamed(client: TutuClient) -> None:
    async with await client.chat.completions.create(model="m", messages=[user("hi")], stream=True) as stream:
        async for _ in stream:
            pass


async def left(client: TutuClient) -> None:
    async with await client.chat.completions.create(model="m", messages=[user("hi")], stream=True) as stream:
        async for _ in stream:
            break


async def image(client: TutuClient) -> None:
    await client.analyze(PNG, "what is it?", model="m")


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (whole, lambda: says("hello")),
        (streamed, lambda: streams([chunk("hello"), chunk(finish_reason="stop")])),
        (left, lambda: streams([*(chunk("hello") for _ in range(20)), chunk(finish_reason="stop")])),
        (image, lambda: says("a cat")),
    ],
)
async def test_a_call_leaves_no_cycles(
    client: TutuClient, server: Server, call: Callable[[TutuClient], Awaitable[None]], answer: Callable[[], Any]
) -> None:
    for _ in range(3):  # The first calls import modules and fill caches.
        server.answers(answer())
        await call(client)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(5):
            server.answers(answer())
            await call(client)
        gc.collect()
        found = Counter(
            type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith("tutuclient")
        )
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    # The relay runs in this process too, so only what is of the client counts.
    assert {name: count for name, count in found.items() if count >= 5} == {}
