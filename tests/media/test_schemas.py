from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import TypeAdapter, ValidationError

from tutuclient import GeneratedImage, Sound
from tutuclient.testing import draws

if TYPE_CHECKING:
    from tutuclient import TutuClient
    from tutuclient.testing import Server

SOUND = Sound(b"\xff\xfb\x90 not for JSON", "audio/mpeg", transcript="hello")
HEARD = {"mime": "audio/mpeg", "size_bytes": 16, "seconds": None, "transcript": "hello"}


@pytest.fixture
async def images(client: TutuClient, server: Server) -> list[GeneratedImage]:
    server.answers(draws(count=1))
    return (await client.generate("a red panda", model="gpt-4o-image")).images


async def test_fastapi_sends_and_describes_images_and_audio(images: list[GeneratedImage]) -> None:
    app = FastAPI()

    async def image() -> Any:
        return images[0]

    async def several() -> Any:
        return {"images": images, "audio": [SOUND]}

    async def sound() -> Any:
        return SOUND

    async def untyped():  # type: ignore[no-untyped-def]  # noqa: ANN202  (FastAPI then has its encoder alone)
        return [SOUND, {"audio": SOUND}]

    image.__annotations__["return"] = GeneratedImage
    several.__annotations__["return"] = dict[str, Any]
    sound.__annotations__["return"] = Sound
    app.get("/image")(image)
    app.get("/several")(several)
    app.get("/sound")(sound)
    app.get("/untyped")(untyped)
    site = TestClient(app)
    seen = {
        "url": images[0].url,
        "download_url": None,
        "alt": images[0].alt,
        "mime": None,
        "size_bytes": None,
        "revised_prompt": None,
    }
    assert site.get("/image").json() == seen
    assert site.get("/several").json() == {"images": [seen], "audio": [HEARD]}
    assert site.get("/sound").json() == HEARD
    bare = {"mime": "audio/mpeg", "transcript": "hello"}
    assert site.get("/untyped").json() == [bare, {"audio": bare}]
    schemas = app.openapi()["components"]["schemas"]
    assert set(schemas["GeneratedImage"]["properties"]) == set(seen)
    assert set(schemas["Sound"]["properties"]) == set(HEARD)


def test_nothing_but_one_of_them_is_taken_for_one() -> None:
    assert TypeAdapter(Sound).validate_python(SOUND) is SOUND
    with pytest.raises(ValidationError, match="instance of Sound"):
        TypeAdapter(Sound).validate_python(HEARD)


def test_they_pickle_as_before() -> None:
    copy = pickle.loads(pickle.dumps(SOUND))  # noqa: S301  (our own)
    assert (copy.content, copy.mime, copy.transcript) == (SOUND.content, SOUND.mime, SOUND.transcript)
    assert not hasattr(SOUND, "provenance")
