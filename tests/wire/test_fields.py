"""A request names its model and its texts, and one that orders an image is known as such."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tutuclient import TutuClient, wire
from tutuclient.errors import ConfigError
from tutuclient.media.parts import user
from tutuclient.settings import UNSET

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 100


@pytest.mark.parametrize("model", [None, "", " ", 5, b"gpt", object(), UNSET])
async def test_a_call_names_a_model(model: Any) -> None:
    with pytest.raises(ConfigError, match="model is "):
        wire.check_model({"model": model})
    async with TutuClient("any-key", "https://relay.example") as client:
        for call in (
            client.chat.completions.create(model=model, messages=[user("hi")]),
            client.chat.completions.parse(model=model, messages=[user("hi")]),
            client.completions.create(model=model, prompt="hi"),
            client.embeddings.create(model=model, input="hi"),
            client.audio.speech.create(model=model, voice="alloy", input="hi"),
            client.analyze("https://h/a.png", "What?", model=model),
        ):
            with pytest.raises(ConfigError, match="model is "):
                await call


@pytest.mark.parametrize(
    ("call", "place"),
    [
        (lambda client: client.completions.create(model="m", prompt=b"hi"), "prompt is 2 bytes"),
        (lambda client: client.completions.create(model="m", prompt=Path("a.txt")), "prompt is the path"),
        (lambda client: client.embeddings.create(model="m", input=["a", b"b"]), r"input\[1\] is 1 bytes"),
        (lambda client: client.embeddings.create(model="m", input=["a", None]), r"input\[1\] is None"),
        (lambda client: client.embeddings.create(model="m", input=["a", Path("b.txt")]), r"input\[1\] is the path"),
        (lambda client: client.images.generate(prompt=""), "prompt is ''"),
        (lambda client: client.images.generate(prompt=None), "prompt is None"),
        (lambda client: client.images.generate(prompt=Path("cat.png")), "prompt is the path 'cat.png'"),
        (lambda client: client.images.edit(image=PNG, prompt=b"x"), "prompt is 1 bytes"),
        (lambda client: client.audio.speech.create(model="m", voice="v", input=b"hi"), "input is 2 bytes"),
        (lambda client: client.audio.speech.create(model="m", voice="v", input=" "), "input is ' '"),
    ],
)
async def test_what_is_not_text_is_never_sent_as_one(call: Any, place: str) -> None:
    async with TutuClient("any-key", "https://relay.example") as client:
        with pytest.raises(ConfigError, match=place):
            await call(client)


MAKES_PICTURES = """
    gpt-4o-image gpt-4o-image-vip gpt-image-1 sora_image sora-2 dall-e-3 dalle-2 flux-kontext-pro FLUX.1-dev
    mj_imagine mj-chat midjourney stable-diffusion-3.5 stablediffusion sdxl-turbo imagen-4.0 doubao-seedream-4
    seededit-3 Kolors nano-banana-2 ideogram-v3 recraftv3 cogview-4 wanx2.1-t2i gemini-2.5-flash-image-preview
    google/gemini-3-pro-image veo-3 kling-v2 grok-video
"""


@pytest.mark.parametrize("model", MAKES_PICTURES.split())
def test_knows_a_model_that_makes_images(model: str) -> None:
    assert wire.makes_image({"model": model})


ONLY_TALKS = """
    gpt-4o gpt-5.1-mini o3 claude-sonnet-4-5 gemini-2.5-pro deepseek-chat qwen-vl-max glm-4.5v grok-4 llama-4-scout
    mjolnir-7b kimi-k2 doubao-1-5-vision-pro m
"""


@pytest.mark.parametrize("model", [*ONLY_TALKS.split(), "", None, 5])
def test_knows_a_model_that_only_talks(model: object) -> None:
    assert not wire.makes_image({"model": model})


@pytest.mark.parametrize(
    ("modalities", "orders"),
    [(["text", "image"], True), (("image",), True), (["text", "audio"], False), ([], False), (None, False), (5, False)],
)
def test_knows_an_image_ordered_by_modality(modalities: object, orders: bool) -> None:
    assert wire.makes_image({"model": "gemini-2.5-flash", "modalities": modalities}) is orders
