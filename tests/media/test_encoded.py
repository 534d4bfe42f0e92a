"""Images as base64 in a text: decoded in slices off the event loop, to their end or as far as they go."""

from __future__ import annotations

import base64
import binascii
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.differing import difference
from tests.images import png
from tutuclient.finding import find_images
from tutuclient.types import ChatChoice, ChatCompletion, ChatMessage

if TYPE_CHECKING:
    from tutuclient.media.image import GeneratedImage

PNG = png(bytes(range(256)) * 3)
B64 = base64.b64encode(PNG).decode()


def says(text: str | None, **fields: Any) -> ChatCompletion:
    return ChatCompletion(choices=[ChatChoice(message=ChatMessage(content=text, **fields))])


def inline(data: bytes) -> GeneratedImage:
    [image] = find_images(says(None, images=[{"b64_json": base64.b64encode(data).decode()}]))
    return image


async def test_large_data_are_decoded_in_slices_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    data = PNG + os.urandom(1_000_000)
    threads: set[int] = set()
    sizes: list[int] = []
    decode = binascii.a2b_base64

    def spy(piece: str, *, strict_mode: bool) -> bytes:
        if len(piece) > 128:  # The first bytes alone are decoded at once, for the type.
            threads.add(threading.get_ident())
        sizes.append(len(piece))
        return decode(piece, strict_mode=strict_mode)

    image = inline(data)
    monkeypatch.setattr(binascii, "a2b_base64", spy)
    assert difference(await image.read(), data) == ""
    assert threading.get_ident() not in threads
    assert max(sizes) <= 4 * 48 * 1024


@pytest.mark.parametrize("length", range(5))
async def test_decodes_any_length(length: int) -> None:
    data = PNG + bytes(length)
    image = inline(data)
    assert image.size_bytes == len(data)
    assert await image.read() == data


async def test_of_data_that_cannot_be_decoded_what_can_be_is_kept() -> None:
    [image] = find_images(says(None, images=[{"b64_json": B64[:401] + "图" + B64[401:]}]))
    assert await image.read(damaged=True) == PNG[:300]
    large = png(bytes(1_000_000))
    text = base64.b64encode(large).decode()
    [image] = find_images(says(None, images=[{"b64_json": text[:700_001] + "!" + text[700_001:]}]))
    assert difference(await image.read(damaged=True), large[:525_000]) == ""


async def test_data_travel_without_the_text_around_them() -> None:
    for text in (
        f"a secret ![a](data:image/png;base64,{B64}) word",
        f"a secret data:image/png;base64,{B64.rstrip('=')}\nDone",
    ):
        [image] = find_images(says(text))
        pickled = pickle.dumps(image)
        assert b"secret" not in pickled
        assert await pickle.loads(pickled).read() == await image.read() == PNG  # noqa: S301  (our own bytes)
