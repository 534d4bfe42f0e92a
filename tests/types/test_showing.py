"""What a notebook shows of answers."""

from __future__ import annotations

import asyncio
import base64
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.images import jpeg, png
from tests.media.test_html import HOSTILE, check
from tutuclient.media import html
from tutuclient.testing import Server, says, sends, streams
from tutuclient.testing.chat import chunk
from tutuclient.types import ChatChoice, ChatCompletion, ChatMessage
from tutuclient.types.showing import completion

if TYPE_CHECKING:
    from tutuclient import TutuClient

PNG = png(bytes(range(256)) * 3)
DATA = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


async def ask(client: TutuClient, **fields: Any) -> Any:
    return await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], **fields)


async def test_an_answer_shows_its_text_and_how_the_call_went(server: Server, client: TutuClient) -> None:
    server.answers(says("two cats", usage={"prompt_tokens": 1200, "completion_tokens": 3, "total_tokens": 1203}))
    answer = await ask(client)
    page = check(answer._repr_html_()).text
    assert page.startswith("two cats")
    assert f"{answer.model} · stop · 1,200 + 3 tokens · " in page
    assert f"request {answer.request_id}" in page


@pytest.mark.parametrize("words", HOSTILE)
async def test_nothing_of_an_answer_becomes_markup(server: Server, client: TutuClient, words: str) -> None:
    call = {"id": words, "type": "function", "function": {"name": words, "arguments": words}}
    message: dict[str, Any] = {"role": "assistant", "content": words, "refusal": words, "reasoning_content": words}
    message |= {"tool_calls": [call], "images": [{"image_url": {"url": words}}]}
    choice = {"index": 0, "message": message, "finish_reason": words}
    server.answers(sends({"id": words, "model": words, "choices": [choice, choice]}))
    page = check((await ask(client, n=2))._repr_html_())
    assert not [tag for tag, _ in page.elements if tag == "img"]


async def test_an_image_that_is_here_is_shown_and_its_letters_are_not(server: Server, client: TutuClient) -> None:
    server.answers(says(f"here: ![cat]({DATA})"))
    answer = await ask(client)
    page = check(answer._repr_html_())
    assert [attributes["src"] for tag, attributes in page.elements if tag == "img"] == [DATA]
    assert "here: ![cat](data:image/png;base64,…)" in page.text


async def test_an_address_is_text_and_is_never_fetched(server: Server, client: TutuClient) -> None:
    address = f"{server.origin}/a.png?token=secret"
    server.answers(says(f"![cat]({address})"))
    answer = await ask(client)
    asked = len(server.requests)
    page = check(answer._repr_html_())
    assert {tag for tag, _ in page.elements} == {"div"}
    assert f"image at {server.origin}/a.png?… · await image.save(…) fetches it" in page.text
    (image,) = answer.images
    assert image._repr_png_() is image._repr_jpeg_() is None
    assert "image at" in str(image._repr_html_())
    assert len(server.requests) == asked


async def test_images_of_an_answer_share_what_a_notebook_may_keep(
    server: Server, client: TutuClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "MOST_BYTES", len(PNG) * 2)
    data = base64.b64encode(PNG).decode()
    other = base64.b64encode(png(b"other" * 100)).decode()
    server.answers(
        sends({"created": 1, "data": [{"b64_json": data}, {"b64_json": other}, {"b64_json": data[:-9] + "A" * 8}]})
    )
    answer = await client.images.generate(prompt="a cat")
    page = check(answer._repr_html_())
    assert len([tag for tag, _ in page.elements if tag == "img"]) == 2
    assert "await image.save(…) writes it" in page.text


async def test_images_show_what_was_drawn_and_what_was_not(server: Server, client: TutuClient) -> None:
    data = base64.b64encode(jpeg(b"x" * 600)).decode()
    one = {"b64_json": data, "revised_prompt": "a <b>red</b> cat"}
    other = {"error": {"message": "<i>unsafe</i>", "code": "policy"}}
    server.answers(sends({"created": 1, "data": [one, other], "size": "1024x1024"}))
    page = check((await client.images.generate(prompt="a cat"))._repr_html_())
    assert "a <b>red</b> cat" in page.text
    assert "not made · <i>unsafe</i>" in page.text
    assert "1024x1024" in page.text


async def test_a_conversation_with_tools_shows_its_calls_and_results(server: Server, client: TutuClient) -> None:
    def weather(city: str) -> str:
        """Return the weather."""
        return f"<script>{city}</script>"

    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    server.answers(says("", tool_calls=[call], finish_reason="tool_calls"), says("cold"))
    run = await client.chat.completions.run_tools(
        model="m", messages=[{"role": "user", "content": "hi"}], tools=[weather]
    )
    page = check(run._repr_html_()).text
    assert (
        page.index("calls weather") < page.index('{"city": "Oslo"}') < page.index("<script>Oslo") < page.index("cold")
    )
    assert page.endswith("2 rounds")


def test_an_answer_made_by_hand_is_shown() -> None:
    assert check(ChatCompletion()._repr_html_()).text == ""
    assert check(completion(ChatCompletion(choices=[ChatChoice(message=ChatMessage(content="hi"))]))).text == "hi"


async def test_a_stream_is_printed_as_it_comes(
    server: Server, client: TutuClient, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers(says("one two\n\x1b[31mthree"))
    stream = await ask(client, stream=True)
    await stream.show()
    assert capsys.readouterr().out == "one two\n\\x1b[31mthree\n"
    assert (await stream.completion()).text.startswith("one two")
    await stream.show()
    assert capsys.readouterr().out.startswith("one two")


async def test_a_stream_that_breaks_shows_what_came(
    server: Server, client: TutuClient, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers(streams([chunk("half")], done=False))
    stream: Any = await ask(client, stream=True)
    with pytest.raises(Exception, match="ended early"):
        await stream.show()
    assert capsys.readouterr().out == "half\n"


@pytest.mark.parametrize("read", [0, 1, 2, 3])
async def test_what_was_read_before_is_printed_too(
    server: Server, client: TutuClient, capsys: pytest.CaptureFixture[str], read: int
) -> None:
    server.answers(says("one two three"))
    stream: Any = await ask(client, stream=True)
    for _ in range(read):
        await anext(stream)
    await stream.show()
    assert capsys.readouterr().out == "one two three\n"


async def test_a_program_without_a_console_reads_to_the_end(
    server: Server, client: TutuClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers(says("one"))
    stream: Any = await ask(client, stream=True)
    monkeypatch.setattr(sys, "stdout", None)
    await stream.show()
    assert (await stream.completion()).text == "one"


class Kernel:
    """A notebook's kernel that ends once it has shown something."""

    def __init__(self) -> None:
        self.kernel = self.display_pub = self
        self.showed = asyncio.Event()

    def get_ipython(self) -> Kernel:
        return self

    def publish(self, data: dict[str, str], **more: object) -> None:
        del data, more
        if self.showed.is_set():
            raise RuntimeError("the socket is closed")
        self.showed.set()


async def test_a_kernel_that_ends_hides_no_cancellation(
    server: Server, client: TutuClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers(streams([chunk("one")], done=False, then="hang"))
    kernel = Kernel()
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    stream: Any = await ask(client, stream=True)
    task = asyncio.create_task(stream.show())
    await kernel.showed.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.wait_closed(0)
