"""What we send, and whether we send it again; aiohttp is mocked, so nothing here is about the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.conftest import KEY, Mocked
from tutuclient import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    ConfigError,
    InsufficientQuotaError,
    InternalServerError,
    MediaError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    TutuClient,
    UnexpectedResponseError,
    user,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

GOOD = {"id": "c1", "choices": [{"index": 0, "message": {"content": "好"}, "finish_reason": "stop"}]}


def ask(client: TutuClient, **fields: Any) -> Awaitable[Any]:
    return client.chat.completions.create(model=fields.pop("model", "gpt-4o"), messages=[user("hi")], **fields)


async def test_a_call_is_the_one_of_the_page(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers(payload=GOOD)
    answer = await mocked_client.chat.completions.create(
        model="gpt-4o",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "这张图片有什么"},
                    {"type": "image_url", "image_url": {"url": "https://pics.example/cat.png", "detail": "high"}},
                ],
            }
        ],
        max_tokens=400,
    )
    assert answer.text == "好"
    [(method, url, sent)] = mocked.sent
    assert (method, url) == ("POST", "https://relay.example/v1/chat/completions")
    assert json.loads(sent["data"]) == {
        "model": "gpt-4o",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "这张图片有什么"},
                    {"type": "image_url", "image_url": {"url": "https://pics.example/cat.png", "detail": "high"}},
                ],
            }
        ],
        "max_tokens": 400,
    }
    headers = sent["headers"]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Content-Type"] == "application/json"
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"].startswith("tutuclient/")
    assert sent["allow_redirects"] is False


async def test_analyze_sends_what_the_page_shows(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers(payload=GOOD)
    await mocked_client.analyze("https://pics.example/cat.png", "这张图片有什么", max_tokens=400)
    [(_, _, sent)] = mocked.sent
    body = json.loads(sent["data"])
    assert body["model"] == "gpt-4o"
    assert body["max_tokens"] == 400
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "这张图片有什么"},
        {"type": "image_url", "image_url": {"url": "https://pics.example/cat.png", "detail": "high"}},
    ]


async def test_unknown_keywords_and_extra_fields_go_into_the_body(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers("/chat/completions?tag=a%26b", payload=GOOD)
    await ask(
        mocked_client,
        enable_thinking=True,
        seed=None,
        extra_body={"top_k": 3},
        extra_headers={"x-tag": "7", "user-agent": "mine"},
        extra_query={"tag": "a&b", "none": None},
    )
    [(_, url, sent)] = mocked.sent
    body = json.loads(sent["data"])
    assert body["enable_thinking"] is True
    assert body["top_k"] == 3
    assert body["seed"] is None
    assert sent["headers"]["x-tag"] == "7"
    assert sent["headers"]["user-agent"] == "mine"
    assert "User-Agent" not in sent["headers"]
    assert url.endswith("/chat/completions?tag=a%26b")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 520, 522, 529])
async def test_passing_trouble_is_tried_again(mocked: Mocked, mocked_client: TutuClient, status: int) -> None:
    mocked.answers(status=status, payload={"error": {"message": "later"}})
    mocked.answers(payload=GOOD)
    answer = await ask(mocked_client)
    assert answer.meta.attempts == 2
    assert len(mocked.sent) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 501])
async def test_a_plain_no_is_not_tried_again(mocked: Mocked, mocked_client: TutuClient, status: int) -> None:
    mocked.answers(status=status, payload={"error": {"message": "no (request id: r-1)"}})
    with pytest.raises(Exception, match="no") as caught:
        await ask(mocked_client)
    assert len(mocked.sent) == 1
    assert vars(caught.value)["request_id"] == "r-1"
    assert vars(caught.value)["attempts"] == 1


async def test_an_empty_account_is_not_worth_a_retry(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers(status=429, payload={"error": {"message": "quota", "code": "insufficient_quota"}})
    with pytest.raises(InsufficientQuotaError):
        await ask(mocked_client)
    assert len(mocked.sent) == 1


async def test_all_attempts_carry_one_idempotency_key(mocked: Mocked, mocked_client: TutuClient) -> None:
    for _ in range(2):
        mocked.answers(status=503)
    mocked.answers(payload=GOOD)
    await ask(mocked_client)
    mocked.answers(payload=GOOD)
    await ask(mocked_client)
    keys = [sent["headers"]["Idempotency-Key"] for _, _, sent in mocked.sent]
    assert keys[0] == keys[1] == keys[2] != keys[3]


async def test_a_wait_the_server_asks_for_beyond_the_limit_is_raised_at_once(
    mocked: Mocked, mocked_client: TutuClient
) -> None:
    mocked.answers(status=429, headers={"Retry-After": "3600"})
    with pytest.raises(RateLimitError) as caught:
        await ask(mocked_client)
    assert caught.value.retry_after == 3600
    assert len(mocked.sent) == 1


async def test_a_wait_beyond_the_deadline_is_not_begun(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers(status=503, headers={"Retry-After": "5"})
    with pytest.raises(InternalServerError):
        await ask(mocked_client, timeout=1)
    assert len(mocked.sent) == 1


LOST = aiohttp.ServerDisconnectedError()


async def test_an_analysis_of_unknown_outcome_is_sent_again(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers(status=502)
    mocked.answers(payload=GOOD)
    assert (await ask(mocked_client)).meta.attempts == 2


async def test_a_picture_of_unknown_outcome_is_never_ordered_again(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers(status=504, body="<html><title>504 Gateway Time-out</title></html>")
    with pytest.raises(InternalServerError, match="504 Gateway Time-out") as caught:
        await mocked_client.edit("https://pics.example/cat.png", "背景")
    assert caught.value.outcome == "unknown"
    assert len(mocked.sent) == 1


async def test_a_picture_the_relay_refused_is_ordered_again(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers(status=429)
    mocked.answers(payload=GOOD)
    assert (await mocked_client.generate("a red panda")).meta.attempts == 2


async def test_the_caller_may_allow_ordering_twice(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers(status=504)
    mocked.answers(payload=GOOD)
    bold = mocked_client.with_options(retry=RetryPolicy(wait_initial=0, resend_unknown=True))
    assert (await bold.generate("a red panda")).meta.attempts == 2


async def test_a_model_that_draws_counts_as_an_order_through_the_plain_door_too(
    mocked: Mocked, mocked_client: TutuClient
) -> None:
    mocked.answers(status=504)
    with pytest.raises(InternalServerError):
        await ask(mocked_client, model="gpt-4o-image")
    assert len(mocked.sent) == 1


async def test_one_unknown_attempt_makes_the_whole_call_unknown(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers(status=502)
    mocked.answers(status=400, payload={"error": {"message": "no"}})
    with pytest.raises(BadRequestError) as caught:
        await ask(mocked_client)
    assert caught.value.outcome == "unknown"
    assert caught.value.attempts == 2


async def test_an_answer_that_is_none_is_not_paid_for_again(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers(body="<html><title>One API</title></html>", content_type="text/html")
    with pytest.raises(UnexpectedResponseError, match="One API") as caught:
        await ask(mocked_client)
    assert "/v1" in caught.value.hint
    assert len(mocked.sent) == 1


@pytest.mark.parametrize(
    ("raised", "cls"), [(LOST, APIConnectionError), (aiohttp.ClientPayloadError("cut"), APIConnectionError)]
)
async def test_what_aiohttp_raises_becomes_ours(
    mocked: Mocked, mocked_client: TutuClient, raised: Exception, cls: type[Exception]
) -> None:
    for _ in range(3):
        mocked.answers(exception=raised)
    with pytest.raises(cls) as caught:
        await ask(mocked_client)
    assert len(mocked.sent) == 3
    assert not isinstance(caught.value, OutcomeUnknownError)


async def test_the_key_is_taken_out_of_what_the_relay_echoes(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers(status=401, payload={"error": {"message": f"bad key {KEY}"}}, headers={"x-echo": KEY})
    with pytest.raises(AuthenticationError) as caught:
        await ask(mocked_client)
    error = caught.value
    assert KEY not in f"{error} {error!r} {error.args} {error.body} {vars(error)} {error.response}"
    assert error.response is not None
    assert KEY not in str(dict(error.response.headers))


@pytest.mark.parametrize(
    "bad",
    [
        {"messages": []},
        {"messages": "hi"},
        {"messages": [{"role": "user", "content": "\ud83d"}]},
        {"messages": [{"role": "user", "content": object()}]},
        {"extra_headers": {"x-a": "b\r\nc: d"}},
    ],
)
async def test_a_request_that_cannot_be_written_is_not_sent(
    mocked: Mocked, mocked_client: TutuClient, bad: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as caught:
        await mocked_client.chat.completions.create(**{"model": "m", "messages": [user("hi")], **bad})
    assert caught.value.outcome == "not_sent"
    assert mocked.sent == []


async def test_models_are_listed_and_retrieved(mocked: Mocked, mocked_client: TutuClient) -> None:
    mocked.answers("/models", method="GET", payload={"success": True, "data": [{"id": "a", "permission": None}]})
    models = await mocked_client.models.list()
    assert [model.id for model in models] == ["a"]
    assert len(models) == 1
    mocked.answers("/models/a%2Fb", method="GET", payload={"id": "a/b"})
    assert (await mocked_client.models.retrieve("a/b")).id == "a/b"
    assert "Idempotency-Key" not in mocked.sent[0][2]["headers"]
    with pytest.raises(ConfigError):
        await mocked_client.models.retrieve(" ")


async def test_with_options_changes_the_copy_only(mocked: Mocked, mocked_client: TutuClient) -> None:
    copy = mocked_client.with_options(max_retries=0, default_headers={"x-team": "a"}, timeout=3, strict_finish=True)
    mocked.answers(status=503)
    with pytest.raises(InternalServerError):
        await ask(copy)
    assert mocked.sent[0][2]["headers"]["x-team"] == "a"
    assert copy.timeout.total == 3
    assert mocked_client.timeout.total == 600
    mocked.answers(status=503)
    mocked.answers(payload=GOOD)
    assert (await ask(mocked_client)).meta.attempts == 2
    with pytest.raises(ConfigError):
        mocked_client.with_options(max_retries=1, retry=RetryPolicy())


@pytest.mark.parametrize("prompt", ["", "  ", None, b"x", 5])
async def test_a_prompt_that_says_nothing_is_not_paid_for(
    mocked: Mocked, mocked_client: TutuClient, prompt: Any
) -> None:
    with pytest.raises(ConfigError, match="prompt"):
        await mocked_client.generate(prompt)
    with pytest.raises(ConfigError, match="prompt"):
        await mocked_client.edit("https://pics.example/cat.png", prompt)
    assert mocked.sent == []


async def test_no_picture_is_not_paid_for(mocked: Mocked, mocked_client: TutuClient) -> None:
    for verb in (mocked_client.analyze, mocked_client.edit):
        with pytest.raises(MediaError, match="no image"):
            await verb([], "what?")
    assert mocked.sent == []


def test_a_message_takes_no_bare_path() -> None:
    with pytest.raises(ConfigError, match="image"):
        user("what?", Path("cat.png"))


async def test_the_verbs_take_what_is_said_of_one_call(mocked: Mocked, mocked_client: TutuClient) -> None:
    extra: dict[str, Any] = {
        "extra_body": {"size": "1024x1024"},
        "extra_headers": {"x-tenant": "t"},
        "extra_query": {"tag": "a"},
    }
    for ask_for in (
        mocked_client.generate("a red panda", **extra),
        mocked_client.edit("https://pics.example/cat.png", "sky", **extra),
        mocked_client.analyze("https://pics.example/cat.png", "what?", **extra),
    ):
        mocked.answers("/chat/completions?tag=a", payload=GOOD)
        await ask_for
    for _, _, sent in mocked.sent:
        body = json.loads(sent["data"])
        assert body["size"] == "1024x1024"
        assert not [name for name in body if name.startswith("extra")]
        assert sent["headers"]["x-tenant"] == "t"
