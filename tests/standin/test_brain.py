import base64
import io
import sys
from typing import Any

import pytest
from PIL import Image

from tutuclient.standin import brain
from tutuclient.testing import sample_picture

SAMPLE = sample_picture()


def data_uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def ask(prompt: str, *urls: str, model: str = "gpt-4o", **extra: Any) -> brain.Reply:
    parts: list[Any] = [{"type": "text", "text": prompt}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    request = {"model": model, "messages": [{"role": "user", "content": parts}], **extra}
    return brain.answer(request, {"http://here/a.png": SAMPLE}.get)


def test_echoes_a_text_in_its_language_and_admits_what_it_is() -> None:
    assert ask("hello").text == 'I am an offline stand-in, no model. You said: "hello"'
    assert ask("你好").text == "我是离线替身,不是模型。你说的是:「你好」"


def test_describes_an_image_in_the_language_of_the_prompt() -> None:
    english, chinese = ask("What is this?", "http://here/a.png"), ask("这张图片有什么", "http://here/a.png")
    assert english.text.startswith("This is a PNG image of 720x540 pixels, mode RGB. Main colours: white 6")
    assert english.text.endswith("(I am an offline stand-in that counts pixels, no model.)")
    assert chinese.text.startswith("这是一张 PNG 图片,720×540 像素,RGB 模式。主要颜色:白色 6")
    assert (english.language, chinese.language, english.image) == ("en", "zh", None)


def test_numbers_several_images() -> None:
    text = ask("compare", "http://here/a.png", data_uri(SAMPLE)).text
    assert "Image 1: This is" in text
    assert "Image 2: This is" in text


def test_gives_the_same_answer_to_the_same_request() -> None:
    assert ask("背景换成红色", "http://here/a.png", model="x-image") == ask(
        "背景换成红色", "http://here/a.png", model="x-image"
    )


@pytest.mark.parametrize(("model", "extra"), [("gpt-4o-image", {}), ("m", {"modalities": ["text", "image"]})])
def test_edits_when_the_model_or_the_modalities_ask_for_an_image(model: str, extra: dict[str, Any]) -> None:
    reply = ask("make it darker", "http://here/a.png", model=model, **extra)
    assert reply.text == "Made it darker. (Offline stand-in, no model.)"
    assert reply.image is not None


def test_generates_when_there_is_no_image_to_edit() -> None:
    reply = ask("画一只猫", model="gpt-4o-image")
    assert reply.text == "画了橙色的猫。(离线替身,不是模型)"
    assert reply.image is not None


def test_takes_the_words_from_the_last_message_and_the_image_from_an_earlier_one() -> None:
    first = [{"type": "text", "text": "older"}, {"type": "image_url", "image_url": "http://here/a.png"}]
    messages = [
        {"role": "user", "content": first},
        {"role": "assistant", "content": "a cat"},
        {"role": "user", "content": "invert it"},
    ]
    reply = brain.answer({"model": "m-image", "messages": messages}, lambda _: SAMPLE)
    assert reply.text.startswith("Inverted the colours.")


def test_survives_messages_of_odd_shapes() -> None:
    messages: list[Any] = ["odd", {"role": "user"}, {"role": "user", "content": ["odd", {"type": "text", "text": 7}]}]
    assert "You said" in brain.answer({"model": "m", "messages": messages}, lambda _: None).text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://elsewhere/a.png", "fetches no images from the network"),
        ("file:///etc/passwd", "fetches no images from the network"),
        ("data:image/png;base64,a-_b", "illegal base64 data"),
        ("data:image/png;base64,AAA", "illegal base64 data"),
        ("data:image/png;base64,AAAA", "could not be decoded: UnidentifiedImageError"),
        (data_uri(SAMPLE[:9000]), "could not be decoded"),
    ],
)
def test_says_why_it_cannot_see(url: str, message: str) -> None:
    with pytest.raises(brain.BadImageError, match=message):
        ask("?", url)


def test_refuses_more_pixels_than_it_wants_to_look_at() -> None:
    buffer = io.BytesIO()
    Image.new("1", (8000, 8000)).save(buffer, "PNG")
    with pytest.raises(brain.BadImageError, match="64000000 pixels"):
        ask("?", data_uri(buffer.getvalue()))


def test_refuses_a_decompression_bomb() -> None:
    buffer = io.BytesIO()
    Image.new("1", (20000, 20000)).save(buffer, "PNG")
    with pytest.raises(brain.BadImageError, match="DecompressionBombError"):
        ask("?", data_uri(buffer.getvalue()))


def test_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tutuclient.standin.images", raising=False)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(brain.BadImageError, match=r"pip install pillow"):
        ask("?", "http://here/a.png")


def test_quotes_tools_in_the_language_of_the_prompt() -> None:
    messages = [
        {"role": "user", "content": "天气"},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "4 度"},
    ]
    reply = brain.answer({"model": "m", "messages": messages}, lambda _: None)
    assert reply.text == "工具结果:f 返回「4 度」。(我是离线替身,不是模型。)"


@pytest.mark.parametrize(("stop", "text"), [("c", "ab"), (["x", "b"], "a"), ("", "abc"), (None, "abc"), (["x"], "abc")])
def test_cuts_a_text_where_it_is_to_stop(stop: Any, text: str) -> None:
    assert brain.stopped("abc", stop) == text
