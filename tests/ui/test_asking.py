"""What becomes of a call of the page."""

from __future__ import annotations

import logging
import secrets
from contextlib import aclosing
from typing import Any

import pytest

from tests.ui.conftest import KEY
from tutuclient import APIError, TutuClient, errors
from tutuclient.testing import Server, event, fails, queues, sample_picture, says, streams
from tutuclient.ui.asking import Asking, described
from tutuclient.ui.calls import Asked, Call, Calls
from tutuclient.ui.images import ImageStore
from tutuclient.ui.masking import Mask


class Asker:
    def __init__(self, client: TutuClient) -> None:
        self.images = ImageStore()
        self.calls = Calls(Asking(client, self.images).carry_out, Mask(KEY))
        self.cat = self.images.add(sample_picture(), "cat.png").id

    async def events(self, task: Any, prompt: str = "What is this?", **fields: Any) -> list[dict[str, Any]]:
        model = "gpt-4o" if task == "ask" else "gpt-4o-image"
        image = None if task == "generate" else self.cat
        given = {"image": image, "model": model, **fields}
        call = self.calls.start(Asked(id=secrets.token_hex(16), task=task, prompt=prompt, **given))
        async with aclosing(call.read()) as reading:
            return [each async for events in reading for each in events]


@pytest.fixture
async def asker(ui_client: TutuClient) -> Asker:
    return Asker(ui_client)


async def test_a_question_is_answered_as_it_comes(server: Server, asker: Asker) -> None:
    events = await asker.events("ask", "这张图片有什么")
    assert {each["type"] for each in events[:-1]} == {"text"}
    assert "720×540" in "".join(each["text"] for each in events[:-1])
    done = events[-1]
    assert done["type"] == "done"
    assert done["usage"]["total"] == done["usage"]["prompt"] + done["usage"]["completion"]
    assert (done["attempts"], done["model"], done["finishReason"], done["warnings"]) == (1, "gpt-4o", "stop", [])
    assert done["requestId"]
    assert 0 <= done["first"] <= done["elapsed"]
    assert server.requests[0].json["stream"] is True


async def test_thoughts_come_apart_from_the_answer(server: Server, asker: Asker) -> None:
    deltas = [{"delta": {"reasoning_content": "hm"}}, {"delta": {"content": "a cat"}, "finish_reason": "stop"}]
    server.answers(streams([event({"choices": [each]}) for each in deltas]))
    assert [(each["type"], each.get("text")) for each in await asker.events("ask")] == [
        ("thinking", "hm"), ("text", "a cat"), ("done", None),
    ]  # fmt: skip


async def test_what_only_the_folded_answer_has_is_shown_too(server: Server, asker: Asker) -> None:
    pieces = [
        {"index": 0, "delta": {"content": "a "}},
        {"index": 1, "delta": {"content": "cat"}, "finish_reason": "stop"},
    ]
    server.answers(streams([event({"choices": pieces})]))
    events = await asker.events("ask")
    assert "".join(each.get("text", "") for each in events) == "a cat"


async def test_an_edit_brings_its_image_and_the_next_edit_may_begin_with_it(server: Server, asker: Asker) -> None:
    events = await asker.events("edit", "请将这张图片的背景替换为蓝天白云")
    (image,) = [each for each in events if each["type"] == "image"]
    stored = asker.images.get(image["id"])
    assert stored is not None
    assert (stored.name, stored.mime) == ("cat-edited.png", "image/png")
    assert stored.data != sample_picture()
    assert events[-1]["type"] == "done"
    assert [each["type"] for each in await asker.events("edit", "黑白", image=image["id"])][-2:] == ["image", "done"]
    assert len(server.requests) == 2


async def test_an_image_is_generated(asker: Asker) -> None:
    events = await asker.events("generate", "an orange cat")
    assert [(each["type"], each.get("name")) for each in events[-2:]] == [("image", "generated.png"), ("done", None)]


async def test_several_images_have_names_of_their_own(server: Server, asker: Asker) -> None:
    urls = [server.host(sample_picture(), f"{name}.png") for name in "ab"]
    server.answers(says(" ".join(f"![]({url})" for url in urls)))
    names = [each["name"] for each in await asker.events("generate", "two cats") if each["type"] == "image"]
    assert names == ["generated.png", "generated-2.png"]


async def test_the_last_line_of_progress_is_told_and_no_data(server: Server, asker: Asker) -> None:
    url = server.host(sample_picture(), "a.png")
    server.answers(says(f"> 进度 **50%**\n![a]({url})"))
    progress = [each["text"] for each in await asker.events("generate", "a cat") if each["type"] == "progress"]
    assert all("http" not in each and "*" not in each.strip() for each in progress)


async def test_progress_holds_no_piece_of_the_key() -> None:
    key = "sk-Ab3dEf6hIj9lMn2pQr5tUv8xYz1BcD4fGh7jKl0nOpQrStUv"
    call = Call(Asked(id="a" * 20, task="generate", prompt="a cat", model="m"), Mask(key))
    pieces = ["> bad token ", *[key[at : at + 8] for at in range(0, len(key), 8)], " it was read"]
    shown = "".join(call.without_key("progress", piece) for piece in pieces)
    assert shown == "> bad token *** it was read"
    assert call.masked("x" * 480 + key) == "x" * 480 + "***"
    call.without_key("progress", key[:9])
    call.end("done")
    assert key[:9] not in str([events async for events in call.read()])


@pytest.mark.parametrize(
    ("script", "name", "advice", "outcome"),
    [
        (fails(401, "无效的令牌"), "AuthenticationError", "key", "rejected"),
        (fails(403, "用户额度不足", code="insufficient_user_quota"), "InsufficientQuotaError", "quota", "rejected"),
        (fails(404, "no such model"), "NotFoundError", "model", "rejected"),
        (fails(413, "too large"), "PayloadTooLargeError", "smaller", "rejected"),
        (fails(400, "content_policy_violation", code="content_policy_violation"), "ContentPolicyError", "content",
         "rejected"),
    ],
)  # fmt: skip
async def test_an_error_has_its_class_outcome_and_advice(
    server: Server, asker: Asker, script: Any, name: str, advice: str, outcome: str
) -> None:
    server.answers(script)
    (end,) = await asker.events("ask")
    assert (end["type"], end["name"], end["advice"], end["outcome"], end["attempts"]) == (
        "error",
        name,
        advice,
        outcome,
        1,
    )
    assert end["requestId"]
    assert end["message"]


async def test_an_answer_that_breaks_off_keeps_what_came(server: Server, asker: Asker) -> None:
    server.faults("fin_mid_stream", after=3)
    events = await asker.events("ask")
    assert events[0]["type"] == "text"
    assert (events[-1]["type"], events[-1]["name"], events[-1]["advice"]) == ("error", "IncompleteStreamError", "cut")


async def test_an_order_whose_fate_is_unknown_is_not_sent_again(server: Server, asker: Asker) -> None:
    server.faults("fin_after_request", times=3)
    (end,) = await asker.events("edit", "a blue sky")
    assert (end["outcome"], end["advice"], end["attempts"]) == ("unknown", "log", 1)
    assert len(server.requests) == 1


async def test_an_image_that_cannot_be_fetched_is_named_and_costs_no_other(server: Server, asker: Asker) -> None:
    good, gone = server.host(sample_picture(), "a.png"), f"{server.base_url}/files/gone.png"
    server.answers(says(f"![]({gone}) ![]({good})"))
    events = await asker.events("generate", "two cats")
    assert [each["type"] for each in events if each["type"] != "progress"] == ["image", "error"]
    assert (events[-1]["name"], events[-1]["advice"]) == ("ImageDownloadError", "download")
    assert gone in events[-1]["addresses"]
    assert len(server.requests) == 1


async def test_an_image_inside_a_private_network_is_not_fetched(server: Server, asker: Asker) -> None:
    server.answers(says("![](http://169.254.169.254/latest/meta-data/a.png)"))
    end = (await asker.events("generate", "a cat"))[-1]
    assert (end["name"], end["advice"]) == ("ImageDownloadError", "download")


async def test_an_answer_without_an_image_says_what_the_relay_said(server: Server, asker: Asker) -> None:
    server.answers(says("I cannot draw that."))
    end = (await asker.events("generate", "a cat"))[-1]
    assert (end["name"], end["advice"], end["outcome"]) == ("NoImageError", "drawing", "unknown")
    assert "I cannot draw that." in end["message"]


async def test_an_image_that_is_not_kept_is_chosen_again_and_nothing_is_sent(server: Server, asker: Asker) -> None:
    (end,) = await asker.events("ask", image="gone")
    assert (end["name"], end["advice"], end["outcome"]) == ("MediaError", "image", "not_sent")
    assert server.requests == []


async def test_a_question_fetches_nothing_that_its_answer_names(server: Server, asker: Asker) -> None:
    server.answers(says(f"![]({server.host(sample_picture(), 'a.png')})"))
    events = await asker.events("ask")
    assert {each["type"] for each in events} == {"text", "done"}
    assert server.downloads == []


async def test_a_task_in_place_of_an_image_is_waited_for_and_not_ordered_again(server: Server, asker: Asker) -> None:
    server.answers(queues(sample_picture(), form="accepted", steps=(), retry_after=0.01))
    events = await asker.events("edit", "a blue sky")
    assert [each["type"] for each in events if each["type"] != "progress"] == ["image", "done"]
    assert [seen.method for seen in server.requests].count("POST") == 1


async def test_a_task_that_fails_is_an_error(server: Server, asker: Asker) -> None:
    server.answers(queues(form="accepted", steps=(), ends="failed", retry_after=0.01))
    end = (await asker.events("edit", "a blue sky"))[-1]
    assert (end["type"], end["name"]) == ("error", "ImageTaskError")


async def test_stopping_closes_the_relays_connection(server: Server, asker: Asker) -> None:
    server.token_delay = 30
    call = asker.calls.start(Asked(id="x" * 20, task="edit", prompt="a sky", model="gpt-4o-image", image=asker.cat))
    await server.wait_requests(1)
    call.stop()
    await server.wait_closed(0)
    async with aclosing(call.read()) as reading:
        events = [each async for events in reading for each in events]
    assert (events[-1]["type"], events[-1]["outcome"]) == ("stopped", "unknown")


async def test_what_nobody_expected_is_an_error_too_and_its_text_stays_here(
    asker: Asker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(*_: Any, **__: Any) -> None:
        raise LookupError(KEY)

    monkeypatch.setattr(TutuClient, "generate", breaks)
    with caplog.at_level(logging.DEBUG):
        (end,) = await asker.events("generate", "a cat")
    assert (end["name"], end["advice"], end["outcome"]) == ("LookupError", "report", "unknown")
    assert KEY not in str(end) + caplog.text
    assert "unexpected LookupError" in caplog.text


async def test_an_echoed_key_is_masked(server: Server, asker: Asker) -> None:
    server.answers(says(f"your key is {KEY}."), fails(400, f"bad key {KEY}"))
    assert KEY not in "".join(map(str, await asker.events("ask")))
    (end,) = await asker.events("ask")
    assert "bad key ***" in end["message"]


def test_each_class_of_error_has_an_advice() -> None:
    for name in dir(errors):
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, errors.TutuError):
            assert described(kind("m"))["advice"]
    assert described(APIError("a\nb\u202e"))["message"] == "a\\nb\\u202e"
