"""Answers that hold images, and what is found in them."""

from __future__ import annotations

import base64
from typing import Any

from tests.images import jpeg, png
from tutuclient.finding import find_images
from tutuclient.types import ChatChoice, ChatCompletion, ChatMessage

PNG = png(bytes(range(256)) * 3)
JPEG = jpeg(bytes(range(255, 0, -1)) * 3)
B64 = base64.b64encode(PNG).decode()
DATA_URI = f"data:image/png;base64,{B64}"
CDN = "https://pro.cdn.example.com/cdn"


def says(*texts: str | None, **fields: Any) -> ChatCompletion:
    return ChatCompletion(choices=[ChatChoice(message=ChatMessage(content=text, **fields)) for text in texts])


def urls(answer: ChatCompletion | str, *, made: bool = False) -> list[str | None]:
    answer = says(answer) if isinstance(answer, str) else answer
    return [image.url for image in find_images(answer, made=made)]


async def data_of(answer: ChatCompletion | str) -> list[bytes]:
    answer = says(answer) if isinstance(answer, str) else answer
    return [await image.read() for image in find_images(answer)]
