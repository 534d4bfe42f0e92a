"""The endpoints of images over a real socket: forms in pieces, images as everywhere, and nothing ordered twice."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image as Pillow

from tests.forms import Entry, entries_of
from tests.images import jpeg, png
from tutuclient import (
    InternalServerError,
    MediaError,
    OutcomeUnknownError,
    RetryPolicy,
    TutuClient,
    UnexpectedResponseError,
    Upload,
)
from tutuclient.compat import NOT_GIVEN
from tutuclient.testing import fails, raw

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tutuclient.testing import Server
    from tutuclient.testing.exchange import Answer, Recorded

PNG = png(bytes(range(256)))
JPEG = jpeg(bytes(range(255, 0, -1)))
B64 = base64.b64encode(PNG).decode()


def lists(*pictures: dict[str, Any], **fields: Any) -> Answer:
    return raw(body=json.dumps({"created": 5, "data": list(pictures), **fields}).encode())


def form_of(request: Recorded) -> list[Entry]:
    assert request.size_bytes == len(request.body) == int(request.headers["Content-Length"])
    return entries_of(request.headers["Content-Type"], request.body)


async def test_generates_images_that_are_read_and_saved_as_everywhere(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    url = server.host(PNG, "cat.png")
    usage = {"input_tokens": 3, "output_tokens": 4, "input_tokens_details": {"text_tokens": 3}}
    server.answers(lists({"url": url, "b64_json": "", "revised_prompt": "a red cat"}, {"b64_json": B64}, usage=usage))
    answer = await client.images.generate(prompt="a cat", model="m", n=2, size="1024x1024", extra_body={"seed": 1})
    assert (answer.created, answer.data[0].url, answer.data[0].b64_json, answer.data[1].b64_json) == (5, url, None, B64)
    assert answer.usage is not None
    assert (answer.usage.total_tokens, answer.meta.status) == (7, 200)
    assert [image.revised_prompt for image in answer.images] == ["a red cat", None]
    for image in answer.images:
        assert (await image.save(tmp_path / "sky.jpg", overwrite=True)).read_bytes() == PNG
        assert image.mime == "image/png"
    request = server.requests[0]
    assert (request.path, len(server.requests)) == ("/v1/images/generations", 1)
    assert request.json == {"prompt": "a cat", "model": "m", "n": 2, "size": "1024x1024", "seed": 1}


def saved(folder: Path) -> Path:
    path = folder / "图 1.png"
    path.write_bytes(PNG)
    return path


SOURCES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "path": (saved, "图 1.png"),
    "text": (lambda folder: str(saved(folder)), "图 1.png"),
    "bytes": (lambda _: PNG, "picture.png"),
    "data URI": (lambda _: f"data:image/jpeg;base64,{B64}", "picture.png"),
    "open file": (lambda folder: saved(folder).open("rb"), "图 1.png"),
    "buffer": (lambda _: io.BytesIO(PNG), "picture.png"),
    "named bytes": (lambda _: ("cat.jpg", PNG), "cat.png"),
    "named file": (lambda _: ("cat", io.BytesIO(PNG), "image/jpeg"), "cat.png"),
    "bytes without a name": (lambda _: (None, PNG), "picture.png"),
    "upload": (lambda folder: Upload(saved(folder)), "图 1.png"),
}


@pytest.mark.parametrize(("source", "name"), SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("page", ["edit", "create_variation"])
async def test_sends_every_kind_of_source_as_a_file(
    client: TutuClient, server: Server, tmp_path: Path, source: Callable[[Path], Any], name: str, page: str
) -> None:
    server.answers(lists({"b64_json": B64}))
    given = source(tmp_path)
    try:
        if page == "edit":
            await client.images.edit(image=given, prompt="a hat", model="m", n=1)
        else:
            await client.images.create_variation(image=given, model="m", n=1)
    finally:
        if isinstance(given, io.IOBase):
            given.close()
    fields = [Entry("prompt", "a hat")] if page == "edit" else []
    assert form_of(server.requests[0]) == [
        *fields,
        Entry("model", "m"),
        Entry("n", "1"),
        Entry("image", PNG, name, "image/png"),
    ]
    assert server.requests[0].path == f"/v1/images/{'edits' if page == 'edit' else 'variations'}"


async def test_several_images_and_a_mask_have_fields_of_their_own(client: TutuClient, server: Server) -> None:
    server.answers(lists({"b64_json": B64}))
    drawn = Pillow.new("RGB", (3, 2))
    answer = await client.images.edit(
        image=[PNG, JPEG, drawn], mask=PNG, prompt="a hat", extra_body={"tags": ["a", "b"], "watermark": False}
    )
    entries = form_of(server.requests[0])
    assert [(entry.name, entry.filename, entry.mime) for entry in entries[1:]] == [
        ("tags[]", None, None),
        ("tags[]", None, None),
        ("watermark", None, None),
        ("image[]", "picture.png", "image/png"),
        ("image[]", "picture.jpg", "image/jpeg"),
        ("image[]", "picture.png", "image/png"),
        ("mask", "picture.png", "image/png"),
    ]
    assert answer.images[0].mime == "image/png"


@pytest.mark.parametrize(
    ("markup", "entry"),
    [
        (PNG, Entry("markup", PNG, "picture.png", "image/png")),
        (f"data:image/png;base64,{B64}", Entry("markup", PNG, "picture.png", "image/png")),
        (("m.png", PNG, "image/png"), Entry("markup", PNG, "m.png", "image/png")),
        (io.BytesIO(PNG), Entry("markup", PNG, "picture.png", "image/png")),
        ("path", Entry("markup", PNG, "图 1.png", "image/png")),
        (JPEG, Entry("markup", JPEG, "picture.jpg", "image/jpeg")),
        (None, None),
        (NOT_GIVEN, None),
    ],
)
async def test_a_markup_is_any_image(  # Source: openai-python 3.57, ``images.edit(markup=FileTypes)``.
    client: TutuClient, server: Server, tmp_path: Path, markup: Any, entry: Entry | None
) -> None:
    server.answers(lists({"b64_json": B64}))
    given = str(saved(tmp_path)) if markup == "path" else markup
    await client.images.edit(image=PNG, markup=given, prompt="a hat")
    sent = form_of(server.requests[0])[1:]
    assert sent[1:] == ([] if entry is None else [entry])


async def test_one_image_in_a_list_is_one_image(client: TutuClient, server: Server) -> None:
    server.answers(lists({"b64_json": B64}))
    await client.images.edit(image=[PNG], prompt="a hat")
    assert [entry.name for entry in form_of(server.requests[0])] == ["prompt", "image"]


async def test_two_paths_in_a_tuple_are_two_images(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(lists({"b64_json": B64}), lists({"b64_json": B64}))
    path = saved(tmp_path)
    await client.images.edit(image=(str(path), path), prompt="a hat")
    await client.images.edit(image=[("a.png", PNG), ("b.png", PNG)], mask=("m.png", PNG), prompt="a hat")
    sent = [[(entry.name, entry.filename) for entry in form_of(request)[1:]] for request in server.requests]
    assert sent[0] == [("image[]", "图 1.png"), ("image[]", "图 1.png")]
    assert sent[1] == [("image[]", "a.png"), ("image[]", "b.png"), ("mask", "m.png")]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image": "https://h.example/a.png"}, "image is an address, and this endpoint takes files"),
        ({"image": PNG, "mask": " HTTP://h.example/a.png"}, "mask is an address"),
        ({"image": PNG, "mask": JPEG}, "mask must be image/png"),
        ({"image": PNG, "markup": "https://h.example/a.png"}, "markup is an address"),
        ({"image": []}, "the list is empty"),
        ({"image": b"text"}, "is not an image"),
        ({"image": "missing.png"}, "There is no file"),
    ],
)
async def test_what_cannot_be_sent_is_said_before_anything_is(
    client: TutuClient, server: Server, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(MediaError, match=words):
        await client.images.edit(prompt="a hat", **fields)
    assert server.requests == []


def orders(client: TutuClient) -> list[Callable[[], Any]]:
    return [
        lambda: client.images.generate(prompt="a cat", model="m"),
        lambda: client.images.edit(image=PNG, prompt="a hat", model="m"),
        lambda: client.images.create_variation(image=PNG, model="m"),
    ]


@pytest.mark.parametrize("page", range(3))
async def test_no_image_is_ordered_twice_in_silence(client: TutuClient, server: Server, page: int) -> None:
    server.faults("fin_after_request", times=3)
    with pytest.raises(OutcomeUnknownError):
        await orders(client)[page]()
    assert len(server.requests) == 1
    server.reset()
    server.faults("fin_after_request")
    server.answers(lists({"b64_json": B64}))
    daring = client.with_options(retry=RetryPolicy(wait_initial=0.01, wait_max=0.02, resend_unknown=True))
    assert (await orders(daring)[page]()).meta.attempts == 2


@pytest.mark.parametrize("page", range(3))
async def test_a_refused_order_is_sent_again_with_all_of_its_form(
    client: TutuClient, server: Server, page: int
) -> None:
    server.answers(fails(503, "busy"), lists({"b64_json": B64}))
    assert (await orders(client)[page]()).meta.attempts == 2
    first, second = server.requests
    assert first.body == second.body
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


async def test_an_endpoint_the_relay_does_not_have_is_reported(client: TutuClient, server: Server) -> None:
    server.answers(*[fails(501, "API not implemented", code="api_not_implemented")] * 3)
    with pytest.raises(InternalServerError) as caught:
        await client.images.create_variation(image=PNG)
    assert (caught.value.status_code, caught.value.code) == (501, "api_not_implemented")


@pytest.mark.parametrize("body", [b'{"created":5,"data":[]}', b'{"data":[{"url":"","b64_json":""}]}', b"{}"])
async def test_an_answer_without_an_image_is_an_error(client: TutuClient, server: Server, body: bytes) -> None:
    server.answers(raw(body=body))
    with pytest.raises(UnexpectedResponseError, match="without images") as caught:
        await client.images.generate(prompt="a cat")
    assert (caught.value.outcome, len(server.requests)) == ("unknown", 1)


@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
async def test_a_callers_own_content_type_does_not_break_a_form(client: TutuClient, server: Server, name: str) -> None:
    server.answers(lists({"b64_json": B64}))
    await client.images.edit(image=PNG, prompt="a hat", extra_headers={name: "multipart/form-data"})
    assert server.requests[0].headers.getall("Content-Type") == [server.requests[0].headers["Content-Type"]]
    assert form_of(server.requests[0])[0] == Entry("prompt", "a hat")


async def drain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read an order without keeping any of it."""
    head = await reader.readuntil(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length:")[2].split()[0])
    while left:
        left -= len(await reader.read(min(left, 2**16)))
    body = json.dumps({"data": [{"b64_json": B64}]}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
    writer.close()


async def test_a_large_image_is_never_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(PNG + bytes(20 * 2**20))
    server = await asyncio.start_server(drain, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, TutuClient("sk-x", f"http://{host}:{port}/v1") as client:
        await client.images.edit(image=PNG, prompt="a hat")  # What is imported with a first call is not counted.
        tracemalloc.start()
        try:
            await client.images.edit(image=[path, PNG], prompt="a hat")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 4 * 2**20
