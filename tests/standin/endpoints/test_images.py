import base64
import io
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from PIL import Image, ImageStat

from tutuclient.testing import Server, sample_picture

Post = Callable[..., Awaitable[Any]]
MAKE, EDIT, VARY = "/images/generations", "/images/edits", "/images/variations"


def opened(data: bytes | str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data) if isinstance(data, str) else data))


def png(colour: Any = (200, 100, 20), size: tuple[int, int] = (40, 30), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def form(*files: tuple[str, bytes], **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData(fields, default_to_multipart=True)
    for name, content in files:
        data.add_field(name, content, filename="a.png", content_type="image/png")
    return data


def uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


async def test_draws_and_hands_out_a_link_that_works(server: Server, http: aiohttp.ClientSession, post: Post) -> None:
    answer = await post(MAKE, model="dall-e-2", prompt="a red cat", size="256x256")
    (item,) = answer["data"]
    assert (item["b64_json"], item["revised_prompt"]) == ("", "a red cat")
    assert item["url"].startswith(f"{server.base_url}/files/")
    assert "usage" not in answer
    async with http.get(item["url"]) as download:
        assert opened(await download.read()).size == (256, 256)


async def test_gpt_image_gives_base64_with_what_it_is(post: Post) -> None:
    answer = await post(MAKE, model="gpt-image-1", prompt="a red cat", size="96x64", quality="low")
    (item,) = answer["data"]
    assert item["url"] == ""
    assert opened(item["b64_json"]).size == (96, 64)
    said = [answer[name] for name in ("size", "quality", "background", "output_format")]
    assert said == ["96x64", "low", "opaque", "png"]
    assert answer["usage"] == {
        "input_tokens": 3,
        "output_tokens": 6,
        "total_tokens": 9,
        "input_tokens_details": {"text_tokens": 3, "image_tokens": 0},
        "output_tokens_details": {"text_tokens": 0, "image_tokens": 6},
    }


@pytest.mark.parametrize(("model", "asked"), [("dall-e-2", "b64_json"), ("gpt-image-1", "url"), ("flux", "b64_json")])
async def test_hands_over_as_asked(post: Post, model: str, asked: str) -> None:
    (item,) = (await post(MAKE, model=model, prompt="x", size="256x256", response_format=asked))["data"]
    assert item[asked]
    assert item["url" if asked == "b64_json" else "b64_json"] == ""


@pytest.mark.parametrize(("kind", "name"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
async def test_writes_the_format_that_is_asked_for(post: Post, kind: str, name: str) -> None:
    order = {"model": "gpt-image-1", "prompt": "x", "size": "64x64", "output_format": kind, "output_compression": 50}
    assert opened((await post(MAKE, **order))["data"][0]["b64_json"]).format == name


async def test_leaves_the_ground_clear_when_asked(post: Post) -> None:
    order = {"model": "gpt-image-1", "prompt": "a red circle", "size": "64x64", "background": "transparent"}
    answer = await post(MAKE, **order)
    alpha = opened(answer["data"][0]["b64_json"]).getchannel("A")
    assert alpha.getextrema() == (0, 255)
    assert answer["background"] == "transparent"


async def test_draws_several_that_differ_and_the_same_again(post: Post) -> None:
    order = {"model": "gpt-image-1", "prompt": "a red cat", "size": "64x64", "n": 3}
    first, again = [await post(MAKE, **order) for _ in range(2)]
    drawn = [item["b64_json"] for item in first["data"]]
    assert len(set(drawn)) == 3
    assert drawn == [item["b64_json"] for item in again["data"]]


async def test_draws_a_square_of_1024_when_it_may_choose(post: Post) -> None:
    answer = await post(MAKE, model="gpt-image-1", prompt="天空", size="auto")
    assert answer["size"] == "1024x1024"


async def test_takes_a_model_when_none_is_named(post: Post) -> None:
    assert (await post(MAKE, prompt="x", size="256x256"))["data"][0]["url"]


async def test_edits_a_form(post: Post) -> None:
    sent = form(("image", sample_picture()), model="gpt-image-1", prompt="make it darker")
    answer = await post(EDIT, sent)
    assert "size" not in answer  # The API's description has no word for 720x540.
    assert opened(answer["data"][0]["b64_json"]).size == (720, 540)
    before, after = (opened(each) for each in (sample_picture(), answer["data"][0]["b64_json"]))
    assert ImageStat.Stat(after.convert("L")).mean < ImageStat.Stat(before.convert("L")).mean
    assert answer["usage"]["input_tokens_details"]["image_tokens"] == 23 * 17


async def test_edits_only_where_the_mask_is_clear(post: Post) -> None:
    mask = Image.new("RGBA", (40, 30), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 20, 30))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    sent = form(("image", png()), ("mask", buffer.getvalue()), model="gpt-image-1", prompt="invert")
    after = opened((await post(EDIT, sent))["data"][0]["b64_json"]).convert("RGB")
    assert (after.getpixel((5, 15)), after.getpixel((35, 15))) == ((55, 155, 235), (200, 100, 20))


async def test_sets_several_images_side_by_side(post: Post) -> None:
    for name in ("image[]", "image[0]"):
        sent = form((name, png()), (name, png((0, 0, 200), (20, 60))), model="gpt-image-1", prompt="invert")
        answer = await post(EDIT, sent)
        assert opened(answer["data"][0]["b64_json"]).size == (50, 30)


async def test_a_mask_is_about_the_first_of_several_images(post: Post) -> None:
    mask = png((0, 0, 0, 255), mode="RGBA")
    sent = form(("image[]", png()), ("image[]", png()), ("mask", mask), model="gpt-image-1", prompt="invert")
    after = opened((await post(EDIT, sent))["data"][0]["b64_json"]).convert("RGB")
    assert (after.size, after.getpixel((5, 5))) == ((40, 30), (200, 100, 20))


async def test_edits_json_with_images_by_address(server: Server, post: Post) -> None:
    hosted = server.host(png(), "a.png")
    for given in ({"image": uri(png())}, {"images": [hosted]}, {"image": [{"image_url": {"url": hosted}}]},
                  {"images": {"image_url": hosted}}):  # fmt: skip
        answer = await post(EDIT, model="gpt-image-1", prompt="invert", **given)
        assert opened(answer["data"][0]["b64_json"]).convert("RGB").getpixel((5, 5)) == (55, 155, 235)
    clear = uri(png((0, 0, 0, 255), mode="RGBA"))
    kept = await post(EDIT, model="gpt-image-1", prompt="invert", image=hosted, mask=clear)
    assert opened(kept["data"][0]["b64_json"]).convert("RGB").getpixel((5, 5)) == (200, 100, 20)


async def test_brings_an_edit_into_the_asked_size_and_clears_its_ground(post: Post) -> None:
    fields = {"model": "gpt-image-1", "prompt": "x", "size": "60x60", "background": "transparent"}
    answer = await post(EDIT, form(("image", sample_picture()), **fields))
    image = opened(answer["data"][0]["b64_json"])
    assert (image.size, image.getpixel((3, 3))[3]) == ((60, 60), 0)  # type: ignore[index]  # RGBA


async def test_varies_an_image(post: Post) -> None:
    sent = form(("image", png()), n="2", size="256x256", response_format="b64_json")
    items = (await post(VARY, sent))["data"]
    pixels = {opened(item["b64_json"]).convert("RGB").getpixel((5, 5)) for item in items}
    assert len(pixels | {(200, 100, 20)}) == 3


async def test_streams_drafts_and_then_the_image(events: Post) -> None:
    order = {"model": "gpt-image-1", "prompt": "a red cat", "size": "64x64", "partial_images": 2}
    *drafts, done = await events(MAKE, **order)
    assert [each["type"] for each in drafts] == ["image_generation.partial_image"] * 2
    assert [each["partial_image_index"] for each in drafts] == [0, 1]
    assert done["type"] == "image_generation.completed"
    assert done["usage"]["total_tokens"] == 7
    for each in (*drafts, done):
        assert opened(each["b64_json"]).size == (64, 64)
        said = [each[name] for name in ("size", "quality", "background", "output_format")]
        assert said == ["64x64", "high", "opaque", "png"]
        assert each["created_at"] > 0
    assert len({each["b64_json"] for each in (*drafts, done)}) == 3


async def test_streams_an_edit_of_a_form(events: Post) -> None:
    sent = form(("image", png()), model="gpt-image-1", prompt="invert", stream="true", partial_images="1")
    assert [each["type"] for each in await events(EDIT, sent)] == ["image_edit.partial_image", "image_edit.completed"]


async def test_older_models_do_not_stream(post: Post) -> None:
    assert (await post(MAKE, model="dall-e-2", prompt="x", size="256x256", stream=True))["data"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"prompt": ""}, "prompt is required"),
        ({"size": "512×512"}, "instead of the multiplication sign"),
        ({"size": "100x100"}, "size must be one of 256x256, 512x512, 1024x1024 for dall-e-2"),
        ({"model": "dall-e-3", "size": "512x512"}, "for dall-e-3"),
        ({"model": "dall-e-3", "n": 2}, "You must provide n=1"),
        ({"model": "flux", "size": "big"}, "WIDTHxHEIGHT"),
        ({"model": "flux", "size": "0x9"}, "WIDTHxHEIGHT"),
        ({"model": "flux", "size": "9000x10"}, "at most 4096"),
        ({"n": 0}, "n must be between 1 and 10"),
        ({"n": 11}, "n must be between 1 and 10"),
        ({"response_format": "hex"}, "response_format must be url or b64_json"),
        ({"model": "gpt-image-1", "output_format": "gif"}, "output_format must be one of png, jpeg, webp"),
        ({"background": "transparent", "output_format": "jpeg"}, "Transparent background is not supported"),
    ],
)
async def test_complains_of_an_order_in_the_words_of_new_api(post: Post, body: Any, words: str) -> None:
    answer = await post(MAKE, **{"model": "dall-e-2", "prompt": "x", **body})
    assert (answer["status"], answer["error"]["code"]) == (400, "invalid_image_request")
    assert words in answer["error"]["message"]


@pytest.mark.parametrize(
    ("files", "fields", "words"),
    [
        ((), {}, "image is required"),
        ((("image", b"no picture"),), {}, "could not be decoded"),
        ((("image", png()),), {"prompt": ""}, "prompt is required"),
        ((("image[]", png()),) * 17, {}, "at most 16"),
        ((("image", png()), ("mask", png())), {}, "missing alpha channel"),
        ((("image", png()), ("mask", png((0, 0, 0, 0), (9, 9), "RGBA"))), {}, "the same size"),
    ],
)
async def test_complains_of_what_it_cannot_edit(post: Post, files: Any, fields: Any, words: str) -> None:
    answer = await post(EDIT, form(*files, **{"model": "gpt-image-1", "prompt": "x", **fields}))
    assert (answer["status"], answer["error"]["code"]) == (400, "invalid_image_request")
    assert words in answer["error"]["message"]


async def test_fetches_no_images_from_the_network(post: Post) -> None:
    answer = await post(EDIT, model="gpt-image-1", prompt="x", image="https://example.com/a.png")
    assert "fetches no images" in answer["error"]["message"]


async def test_each_image_costs(server: Server, post: Post) -> None:
    before = server.account.used_points
    await post(MAKE, model="gpt-image-1", prompt="x", size="16x16", n=3)
    assert server.account.used_points - before == 3 * 20_000
