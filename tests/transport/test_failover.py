"""Calls of a client with several relays, on real sockets: where they go, what they cost, what is never sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.conftest import KEY, QUICK
from tests.images import png
from tests.leftovers import until
from tutuclient import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ChatCompletion,
    ConfigError,
    ImageTaskError,
    ImageTaskTimeoutError,
    InsufficientQuotaError,
    InternalServerError,
    OutcomeUnknownError,
    RateLimitError,
    Relay,
    Request,
    RetryPolicy,
    Timeout,
    TutuClient,
    UnexpectedResponseError,
    user,
)
from tutuclient.chooser import Fault
from tutuclient.resources import image_tasks
from tutuclient.testing import chunk, fails, queues, rate_limited, raw, raw_server, says, sends, serve, streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tutuclient.testing import Server
    from tutuclient.testing.exchange import Scripted
    from tutuclient.transport.relays import Relays

PNG = png(bytes(range(200)))
ONCE = RetryPolicy(max_retries=0)
BROKE = fails(403, "余额不足", code="insufficient_user_quota")
UNTRUE_KEY = fails(401, "无效的令牌", code="invalid_api_key")


@asynccontextmanager
async def several(*, count: int = 2, **options: Any) -> AsyncIterator[tuple[TutuClient, list[Server]]]:
    """Run relays "a", "b"…, each with a key of its own, and a client of them all; "a" has the first turn."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serve(key=f"{KEY}-{place}")) for place in range(count)]
        relays = [
            Relay(server.base_url, f"{KEY}-{place}", name="abc"[place], **options.pop(f"of_{'abc'[place]}", {}))
            for place, server in enumerate(servers)
        ]
        client = await stack.enter_async_context(TutuClient(relays=relays, **{"retry": QUICK, **options}))
        yield client, servers


async def ask(client: TutuClient, **fields: Any) -> ChatCompletion:
    fields = {"model": "gpt-4o", **fields}
    answer: ChatCompletion = await client.chat.completions.create(messages=[user("hi")], **fields)
    return answer


def known(client: TutuClient) -> Relays:
    pool = client._transport.pool
    assert pool is not None
    assert pool.relays is not None
    return pool.relays


def counts(servers: list[Server]) -> list[int]:
    return [len(server.requests) for server in servers]


# --- to the next at once ---------------------------------------------------------------------------------------------

ELSEWHERE: dict[str, Scripted] = {
    "500": fails(500, "boom"),
    "503": fails(503, "busy"),
    "429": rate_limited(),
    "429, later": rate_limited(retry_after=30),
    "429, in an hour": rate_limited(retry_after=3600),
    "401": UNTRUE_KEY,
    "404": fails(404, "no such model", code="model_not_found"),
    "no channel": fails(503, "当前分组 default 下对于模型 gpt-4o 无可用渠道", code="model_not_found"),
    "empty account": BROKE,
    "200 with an error": sends({"error": {"message": "upstream error", "type": "server_error", "code": 500}}),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
@pytest.mark.parametrize("makes_image", [False, True], ids=["question", "order"])
async def test_what_was_surely_not_done_goes_to_the_next_and_costs_no_retry(kind: str, makes_image: bool) -> None:
    async with several(retry=ONCE) as (client, servers):
        servers[0].answers(ELSEWHERE[kind])
        answer = await (client.generate("a cat") if makes_image else ask(client))
        assert (answer.meta.relay, answer.meta.attempts) == ("b", 2)
        assert counts(servers) == [1, 1]
        assert answer.meta.elapsed_s < 30  # Nobody waits for what a relay asks while there is another.


@pytest.mark.parametrize("fault", ["refused", "accept_close", "tls_plain_http", "dns_failure"])
async def test_a_relay_that_is_not_there_costs_no_call(fault: str) -> None:
    async with raw_server(fault) as dead, serve() as alive:
        relays = [Relay(dead.base_url, KEY, name="dead"), Relay(alive.base_url, KEY, name="alive")]
        async with TutuClient(relays=relays, retry=QUICK, timeout=Timeout(20, connect=5)) as client:
            answers = [await ask(client) for _ in range(6)]
            assert {answer.meta.relay for answer in answers} == {"alive"}
            # It is known by the first call, or by three where the connection was there.
            assert answers[-1].meta.attempts == 1


async def test_a_black_hole_costs_the_connect_limit_and_no_order() -> None:
    async with raw_server("syn_unanswered") as hole, serve() as alive:
        relays = [Relay(hole.base_url, KEY, name="hole"), Relay(alive.base_url, KEY, name="alive")]
        async with TutuClient(relays=relays, retry=ONCE, timeout=Timeout(20, connect=0.2)) as client:
            answers = [await client.generate("a cat") for _ in range(3)]
            assert [answer.meta.relay for answer in answers] == ["alive"] * 3
            assert answers[0].meta.attempts == 2
        assert len(alive.requests) == 3


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_the_request_is_the_cause_of_goes_nowhere(status: int) -> None:
    async with several() as (client, servers):
        servers[0].answers(fails(status, "not like that"))
        with pytest.raises(APIStatusError) as caught:
            await ask(client)
        assert (caught.value.status_code, caught.value.relay, caught.value.attempts) == (status, "a", 1)
        assert counts(servers) == [1, 0]


async def test_contents_that_one_rejects_are_not_tried_at_another() -> None:
    async with several() as (client, servers):
        servers[0].answers(fails(500, "rejected as a result of our safety system", code="content_policy_violation"))
        with pytest.raises(BadRequestError):
            await ask(client)
        assert counts(servers) == [1, 0]


# --- never twice -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["reset_after_request", "fin_after_request", "reset_mid_body", "html", "empty_body", "garbage"]
)
async def test_an_order_that_may_have_been_done_goes_nowhere(fault: str) -> None:
    async with several() as (client, servers):
        servers[0].faults(fault)
        with pytest.raises(APIError) as caught:
            await client.generate("a cat")
        assert (caught.value.outcome, caught.value.relay, caught.value.attempts) == ("unknown", "a", 1)
        assert counts(servers) == [1, 0]


@pytest.mark.parametrize("status", [502, 504, 524])
async def test_an_order_behind_a_gateway_that_gave_up_goes_nowhere(status: int) -> None:
    async with several() as (client, servers):
        servers[0].answers(fails(status, "timeout"))
        with pytest.raises(InternalServerError) as caught:
            await client.generate("a cat")
        assert caught.value.outcome == "unknown"
        assert counts(servers) == [1, 0]


async def test_an_order_that_one_refused_and_another_left_open_goes_no_further() -> None:
    async with several(count=3) as (client, servers):
        servers[0].answers(fails(503, "busy"))
        servers[1].faults("reset_after_request")
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.generate("a cat")
        assert (caught.value.relay, caught.value.attempts) == ("b", 2)
        assert any("relay a: InternalServerError" in note for note in caught.value.__notes__)
        assert counts(servers) == [1, 1, 0]


async def test_a_question_left_open_is_a_retry_at_another_relay() -> None:
    async with several(of_a={"weight": 9}) as (client, servers):
        servers[0].faults("reset_after_request")
        answer = await ask(client)
        assert (answer.meta.relay, answer.meta.attempts) == ("b", 2)
        budget = client._transport.pool
        assert budget is not None
        assert budget.budget.left == 90 * 5  # Taken, and returned by the success.


@pytest.mark.parametrize("retry", [ONCE, RetryPolicy(wait_initial=0.01, resend_unknown=False)])
async def test_a_question_left_open_goes_nowhere_where_the_caller_forbids_it(retry: RetryPolicy) -> None:
    async with several(retry=retry) as (client, servers):
        servers[0].faults("reset_after_request")
        with pytest.raises(APIConnectionError) as caught:
            await ask(client)
        assert caught.value.outcome == "unknown"
        assert counts(servers) == [1, 0]


# --- rounds ----------------------------------------------------------------------------------------------------------


async def test_each_relay_has_a_call_once_in_a_round_and_max_retries_counts_rounds() -> None:
    async with several(retry=RetryPolicy(max_retries=2, wait_initial=0.01)) as (client, servers):
        for server in servers:
            server.answers(*[fails(500, "boom")] * 9)
        with pytest.raises(InternalServerError) as caught:
            await ask(client)
        assert counts(servers) == [3, 3]
        assert caught.value.attempts == 6
        assert caught.value.relay in {"a", "b"}
        assert len(caught.value.__notes__) == 1


async def test_a_relay_that_would_say_the_same_again_is_left_out_of_the_next_round() -> None:
    async with several(retry=RetryPolicy(max_retries=2, wait_initial=0.01)) as (client, servers):
        servers[0].answers(*[UNTRUE_KEY] * 9)
        servers[1].answers(fails(500, "boom"), fails(500, "boom"), says("at last"))
        answer = await ask(client)
        assert (answer.text, answer.meta.attempts) == ("at last", 4)
        assert counts(servers) == [1, 3]


async def test_the_error_is_that_of_the_relay_which_may_do_it_yet() -> None:
    async with several(retry=ONCE) as (client, servers):
        servers[0].answers(fails(503, "busy"))
        servers[1].answers(UNTRUE_KEY)
        with pytest.raises(InternalServerError, match="busy") as caught:  # A run would stop for a wrong key.
            await ask(client)
        assert (caught.value.relay, caught.value.attempts) == ("a", 2)
        assert any("relay b: AuthenticationError" in note for note in caught.value.__notes__)


async def test_the_error_is_final_where_all_are() -> None:
    async with several() as (client, servers):
        servers[0].answers(UNTRUE_KEY)
        servers[1].answers(BROKE)
        with pytest.raises(InsufficientQuotaError):
            await ask(client)
        assert counts(servers) == [1, 1]


async def test_it_waits_when_all_refuse_as_long_as_the_soonest_asks() -> None:
    async with several() as (client, servers):
        servers[0].answers(rate_limited(retry_after=0.3))
        servers[1].answers(rate_limited(retry_after=9))
        answer = await ask(client)
        assert (answer.meta.relay, answer.meta.attempts) == ("a", 3)
        assert 0.3 <= servers[0].gaps[0] < 9


async def test_a_refusal_leads_to_no_relay_that_is_away() -> None:
    async with several() as (client, servers):
        servers[0].answers(UNTRUE_KEY)
        await ask(client)
        servers[1].answers(rate_limited(retry_after=0.2))
        answer = await ask(client)
        assert (answer.meta.relay, answer.meta.attempts) == ("b", 2)
        assert counts(servers) == [1, 3]


async def test_all_that_ask_for_an_hour_raise_at_once() -> None:
    async with several() as (client, servers):
        for server in servers:
            server.answers(rate_limited(retry_after=3600))
        with pytest.raises(RateLimitError) as caught:
            await ask(client)
        assert (caught.value.retry_after, caught.value.attempts) == (3600, 2)


async def test_one_deadline_covers_all_relays() -> None:
    async with several(count=3, retry=RetryPolicy(max_retries=50, wait_initial=0.01)) as (client, servers):
        for server in servers:
            server.answers(*[says("x", delay=20)] * 3)
        with pytest.raises(APITimeoutError) as caught:
            await ask(client, timeout=0.4)
        assert (caught.value.attempts, caught.value.outcome, sum(counts(servers))) == (1, "unknown", 1)


async def test_a_deadline_that_passes_while_connecting_ends_the_call() -> None:
    async with raw_server("syn_unanswered") as hole, serve() as alive:
        relays = [Relay(hole.base_url, KEY), Relay(alive.base_url, KEY)]
        async with TutuClient(relays=relays, retry=QUICK) as client:
            with pytest.raises(APITimeoutError) as caught:
                await ask(client, timeout=0.3)
            assert caught.value.outcome == "not_sent"
        assert len(alive.requests) == 0


# --- health ----------------------------------------------------------------------------------------------------------


async def test_a_relay_that_comes_back_is_tried_by_one_call_and_has_its_share_again() -> None:
    async with several(count=2) as (client, servers):
        servers[0].answers(UNTRUE_KEY)
        await ask(client)
        relays = known(client)
        ill = relays.chooser._ill[0, ""]
        assert [(await ask(client)).meta.relay for _ in range(4)] == ["b"] * 4
        ill.until = 0.0  # Its time is over.
        servers[0].answers(says("slowly", delay=0.3))
        answers = await asyncio.gather(*(ask(client) for _ in range(10)))
        assert sorted(str(answer.meta.relay) for answer in answers) == ["a", *["b"] * 9]
        found = [(await ask(client)).meta.relay for _ in range(6)]
        assert found.count("a") == 3


async def test_a_trial_over_an_idle_connection_that_died_is_made_again() -> None:
    async with several() as (client, servers):
        servers[0].faults("close_at_reuse")
        assert (await ask(client)).meta.relay == "a"
        relays = known(client)
        now = relays.loop.time()
        relays.chooser.failed(0, "", Fault(1), now, now)
        relays.chooser._ill[0, ""].until = 0.0  # Its time is over.
        assert (await ask(client)).meta.relay == "a"
        assert not relays.chooser.is_away(0)


async def test_calls_that_wait_for_a_busy_relay_learn_that_the_other_one_is_back() -> None:
    async with several(max_concurrency=2) as (client, servers):
        servers[0].answers(UNTRUE_KEY)
        await ask(client)
        relays = known(client)
        relays.chooser._ill[0, ""].until += 3600
        servers[1].answers(*[says("slow", delay=600)] * 2)
        busy = [asyncio.create_task(ask(client)) for _ in range(2)]
        await servers[1].wait_requests(3)
        waiting = asyncio.create_task(ask(client))
        await until(lambda: len(relays.waiting) == 1)
        relays.chooser._ill.clear()
        relays.changed(0, "it works again, says the test")
        busy[0].cancel()
        assert (await waiting).meta.relay == "a"
        busy[1].cancel()


async def test_what_fails_three_times_is_left_alone_and_its_slots_go_to_the_others() -> None:
    async with several(max_concurrency=8) as (client, servers):
        await ask(client)
        relays = known(client)
        assert [each.pace.state(0).window for each in relays.admissions] == [4, 4]
        servers[0].answers(*[fails(500, "boom")] * 3)
        for _ in range(8):
            await ask(client)
        assert counts(servers)[0] <= 4
        assert relays.chooser.is_away(0)
        assert relays.admissions[1].pace.state(0).window == 8


async def test_what_is_shared_is_no_more_than_the_connector_of_the_caller_has() -> None:
    async with several(connector=lambda: aiohttp.TCPConnector(limit=6)) as (client, servers):
        servers[0].answers(*[says("slow", delay=60)] * 50)
        busy = [asyncio.create_task(ask(client)) for _ in range(20)]
        async with asyncio.timeout(20):
            for finished in asyncio.as_completed(busy):
                assert (await finished).meta.relay == "b"
                if len(servers[1].requests) == 17:
                    break
        assert len(servers[0].requests) == 3
        for each in busy:
            each.cancel()


async def test_a_slow_relay_takes_its_share_of_the_slots_and_no_more() -> None:
    async with several(max_concurrency=4) as (client, servers):
        servers[0].answers(*[says("slow", delay=60)] * 50)
        tasks = [asyncio.create_task(ask(client)) for _ in range(60)]
        await until(lambda: sum(task.done() for task in tasks) >= 58)
        assert servers[0].peak_in_flight == 2
        for task in tasks:
            task.cancel()


async def test_weights_hold_and_a_model_goes_where_it_is() -> None:
    mapped = {"gpt-4o": "openai/gpt-4o", "only-b": "only-b"}
    async with several(of_a={"weight": 3, "models": ["gpt-4o"]}, of_b={"models": mapped}) as (client, servers):
        found = [(await ask(client)).meta.relay for _ in range(8)]
        assert (found.count("a"), found.count("b")) == (6, 2)
        assert {request.json["model"] for request in servers[1].requests} == {"openai/gpt-4o"}
        assert (await ask(client, model="only-b")).meta.relay == "b"
        with pytest.raises(ConfigError, match=r"none of the relays \(a, b\) has the model 'neither'"):
            await ask(client, model="neither")


async def test_a_form_names_the_model_as_the_relay_does() -> None:
    async with several(of_a={"models": {"gpt-image-1": "vendor/gpt-image-1"}}) as (client, servers):
        servers[0].answers(sends({"data": [{"b64_json": "aGk="}]}))
        await client.images.edit(image=PNG, prompt="a cat", model="gpt-image-1")
        assert servers[0].requests[0].form.fields["model"] == "vendor/gpt-image-1"


async def test_a_body_that_goes_on_has_the_callers_own_name_again() -> None:
    async with several(of_a={"models": {"gpt-4o": "vendor/gpt-4o"}}) as (client, servers):
        servers[0].answers(fails(500, "boom"))
        assert (await ask(client)).meta.relay == "b"
        assert [server.requests[0].json["model"] for server in servers] == ["vendor/gpt-4o", "gpt-4o"]


async def test_each_key_goes_to_its_own_relay() -> None:
    async with several(count=3) as (client, servers):
        servers[0].answers(*[fails(500, "boom")] * 6)
        await asyncio.gather(*(ask(client) for _ in range(20)))
        for place, server in enumerate(servers):
            assert {request.headers["Authorization"] for request in server.requests} == {f"Bearer {KEY}-{place}"}


@pytest.mark.parametrize("is_raised", [True, False])
async def test_a_key_that_cannot_be_had_costs_no_call_and_is_told_of(is_raised: bool) -> None:
    asked: list[str] = []

    async def no_key() -> str:
        asked.append("a")
        if is_raised:
            raise LookupError(f"{KEY} cannot be read")
        return "no key"

    def key() -> str:
        asked.append("b")
        return f"{KEY}-b"

    async with serve(key=f"{KEY}-a") as first, serve(key=f"{KEY}-b") as second:
        relays = [Relay(first.base_url, no_key, name="a"), Relay(second.base_url, key, name="b")]
        async with TutuClient(relays=relays, retry=QUICK) as client:
            assert [(await ask(client)).meta.relay for _ in range(4)] == ["b"] * 4
            assert (await client.generate("a cat")).meta.relay == "b"
            assert known(client).chooser.is_away(0)
            with pytest.raises(APIConnectionError) as caught:
                await ask(client.with_options(relay="a", retry=ONCE))
        assert counts([first, second]) == [0, 5]
    assert asked.count("b") == 5
    assert caught.value.outcome == "not_sent"
    assert caught.value.message.endswith(
        f"the function that returns the key of the relay a raised {'LookupError' if is_raised else 'ConfigError'}"
    )
    assert KEY not in str(caught.value)


async def test_a_key_of_one_relay_is_in_no_error_of_its_own() -> None:
    async with several(retry=ONCE) as (client, servers):
        for place, server in enumerate(servers):
            server.answers(fails(401, f"the key {KEY}-{place} is wrong", code="invalid_api_key"))
        with pytest.raises(AuthenticationError) as caught:
            await ask(client)
        assert KEY not in f"{caught.value} {caught.value.__notes__} {caught.value.body}"
        assert pickle.loads(pickle.dumps(caught.value)).relay == caught.value.relay  # noqa: S301  (our own)


# --- streams, tasks, single relays -----------------------------------------------------------------------------------


async def test_a_stream_stays_where_it_began() -> None:
    async with several() as (client, servers):
        servers[0].faults("reset_mid_stream")
        stream = await client.chat.completions.create(model="gpt-4o", messages=[user("hi")], stream=True)
        with pytest.raises(APIConnectionError) as caught:
            _ = [chunk async for chunk in stream]
        assert caught.value.relay == "a"
        assert caught.value.partial is not None
        assert counts(servers) == [1, 0]


async def test_a_relay_whose_streams_break_is_found_out() -> None:
    async with several() as (client, servers):
        servers[0].faults("reset_mid_stream", times=20)
        ends = []
        for _ in range(12):
            stream = await client.chat.completions.create(model="gpt-4o", messages=[user("hi")], stream=True)
            try:
                ends.append((await stream.completion()).meta.relay)
            except APIConnectionError:
                ends.append("broke")
        assert ends.count("broke") <= 4


async def test_streams_that_break_between_whole_ones_are_none_in_a_row() -> None:
    async with several(of_b={"models": ["another"]}, retry=ONCE) as (client, servers):
        cut = streams([chunk("a")], done=False)
        servers[0].answers(cut, cut, says("a b"), cut, cut, cut)
        away = []
        for is_whole in (False, False, True, False, False, False):
            stream = await client.chat.completions.create(model="gpt-4o", messages=[user("hi")], stream=True)
            with contextlib.nullcontext() if is_whole else pytest.raises(APIConnectionError):
                await stream.completion()
            away.append(known(client).chooser.is_away(0))
        assert away == [False] * 5 + [True]


@pytest.mark.parametrize("stream", [True, False])
async def test_the_log_of_a_relay_that_goes_away_has_nothing_of_what_it_was_sent(
    caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    caplog.set_level(logging.DEBUG, "tutuclient")
    async with several() as (client, servers):
        error = {"message": f"{KEY}-0 asked for a secret", "type": "server_error", "code": 500}
        servers[0].answers(*[streams([chunk("one"), {"error": error}]) if stream else sends({"error": error})] * 9)
        for _ in range(8):
            with contextlib.suppress(InternalServerError):
                answer: Any = await ask(client, stream=stream)
                if stream:
                    await answer.completion()
        assert known(client).chooser.is_away(0)
    assert "relay a: away for 1 s at least: InternalServerError, status 500" in caplog.messages
    assert KEY not in caplog.text
    assert "secret" not in caplog.text


async def test_a_query_is_in_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tutuclient")
    async with several() as (client, servers):
        servers[0].answers(fails(503, "busy"))
        await client.get(f"/models?token={KEY}-0", cast_to=dict)
        assert counts(servers) == [1, 1]
    assert "GET /models: InternalServerError at relay a; on to the next" in caplog.messages
    assert "token" not in caplog.text


async def test_a_stream_that_has_not_begun_goes_on() -> None:
    async with several() as (client, servers):
        servers[0].faults("error_frame_first")
        stream = await client.chat.completions.create(model="gpt-4o", messages=[user("hi")], stream=True)
        assert (await stream.completion()).meta.relay == "b"


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_FIRST_S", 0.01), ("_MOST_S", 0.02), ("_LEAST_S", 0.01)):
        monkeypatch.setattr(image_tasks, name, seconds)


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("is_pickled", [False, True])
async def test_a_task_is_asked_for_where_it_was_accepted(is_pickled: bool) -> None:
    async with several() as (client, servers):
        servers[0].answers(fails(503, "busy"))
        servers[1].answers(queues(PNG, form="accepted", steps=[10, 50]))
        task = await client.images.submit(prompt="a cat", model="gpt-image-1")
        assert task.meta is not None
        assert task.meta.relay == "b"
        if is_pickled:
            task = client.images.task(pickle.loads(pickle.dumps(task)))  # noqa: S301  (our own)
        images = await task.wait()
        assert await images.images[0].read() == PNG
        assert counts(servers) == [1, 4]
        assert {request.headers["Authorization"] for request in servers[1].requests} == {f"Bearer {KEY}-1"}


@pytest.mark.parametrize("ends", ["never", "failed"])
async def test_the_error_of_a_task_names_its_relay(ends: Any) -> None:
    async with several() as (client, servers):
        servers[0].answers(fails(503, "busy"))
        servers[1].answers(queues(ends=ends, steps=[]))
        with pytest.raises(ImageTaskError if ends == "failed" else ImageTaskTimeoutError) as caught:
            await client.generate("a cat", timeout=Timeout(total=1.5))
    assert caught.value.relay == "b"


async def test_the_name_of_a_task_alone_does_not_say_which_relay_has_it() -> None:
    async with several() as (client, servers):
        with pytest.raises(ConfigError, match=r"with_options\(relay=its name\)"):
            client.images.task("t1")
        client.with_options(relay="b").images.task("t1")
        client.images.task("t1", poll_url=f"{servers[1].base_url}/tasks/t1")


async def test_an_image_at_a_relays_own_address_may_be_private() -> None:
    async with several() as (client, servers):
        servers[0].answers(fails(503, "busy"))
        answer = await client.generate("a cat")
        assert answer.meta.relay == "b"
        assert answer.images[0].url is not None
        assert answer.images[0].url.startswith(servers[1].origin)
        assert await answer.images[0].read()


async def test_a_copy_for_one_relay_goes_there_alone() -> None:
    async with several(of_b={"models": {"m": "vendor/m"}}) as (client, servers):
        one = client.with_options(relay="b", timeout=5)
        assert {(await ask(one, model="m")).meta.relay for _ in range(3)} == {"b"}
        assert servers[1].requests[0].json["model"] == "vendor/m"
        servers[1].answers(UNTRUE_KEY)
        with pytest.raises(AuthenticationError):
            await ask(one, model="m")
        assert counts(servers) == [0, 4]
        assert one._transport is client._transport


async def test_models_and_balance_are_those_of_the_first_or_of_the_one_named() -> None:
    async with several() as (client, servers):
        servers[0].account.balance, servers[1].account.balance = 3.0, 7.0
        assert (await client.balance()).remaining == pytest.approx(3.0)
        assert (await client.with_options(relay="b").balance()).remaining == pytest.approx(7.0)
        before = counts(servers)
        await client.models.list()
        await client.models.list()
        assert counts(servers) == [before[0] + 2, before[1]]


@pytest.mark.parametrize("status", [403, 404])
async def test_a_path_that_one_lacks_says_nothing_of_its_models(status: int) -> None:
    async with several(retry=ONCE) as (client, servers):
        servers[0].answers(fails(status, "no such page"))
        servers[1].answers(sends({}))
        await client.get("/pages/7", cast_to=dict)
        assert known(client).chooser.is_well
        assert counts(servers) == [1, 1]


async def test_a_relay_that_answers_its_trial_with_a_model_it_lacks_works_for_others() -> None:
    async with several(retry=ONCE) as (client, servers):
        servers[0].answers(UNTRUE_KEY, ELSEWHERE["404"])
        await ask(client)
        chooser = known(client).chooser
        assert chooser.is_away(0)
        chooser._ill[0, ""].until = 0.0  # The time of its absence is over.
        assert (await ask(client)).meta.relay == "b"
        assert counts(servers) == [2, 2]
        assert not chooser.is_away(0)
        assert chooser.standing(0, "gpt-4o", 0.0) == "away"


async def test_any_endpoint_goes_to_all_but_an_address_goes_to_its_relay() -> None:
    async with several() as (client, servers):
        for server in servers:
            server.answers(*[sends({"x": 1})] * 4, path="/v1/rerank")
            server.answers(*[sends({"x": 1})] * 4, path="/api/status")
        for _ in range(4):
            assert await client.post("/rerank", cast_to=dict, body={"model": "m"}) == {"x": 1}
        assert counts(servers) == [2, 2]
        for _ in range(2):
            await client.get(f"{servers[1].origin}/api/status", cast_to=dict)
        assert counts(servers) == [2, 4]
        with pytest.raises(ConfigError, match="the key goes nowhere else"):
            await client.get("https://elsewhere.example/v1/x", cast_to=dict)


async def test_a_pickled_client_has_all_its_relays() -> None:
    async with several() as (client, _):
        async with pickle.loads(pickle.dumps(client)) as copy:  # noqa: S301  (our own)
            assert {(await ask(copy)).meta.relay for _ in range(2)} == {"a", "b"}
        async with pickle.loads(pickle.dumps(client.with_options(relay="b"))) as copy:  # noqa: S301  (our own)
            assert {(await ask(copy)).meta.relay for _ in range(2)} == {"b"}


async def test_an_answer_says_its_relay_in_whatever_form() -> None:
    async with several() as (client, _):
        meta = (await ask(client)).meta
        assert dict(meta)["relay"] == "a"
        assert "relay='a'" in repr(meta)
        assert pickle.loads(pickle.dumps(meta)).relay == "a"  # noqa: S301  (our own)


async def test_one_relay_is_not_named(client: TutuClient) -> None:
    meta = (await ask(client)).meta
    assert meta.relay is None
    assert "relay" not in dict(meta)


# --- pace ------------------------------------------------------------------------------------------------------------


async def test_each_relay_has_a_pace_of_its_own_and_the_clients_is_of_all() -> None:
    async with several() as (client, servers):
        servers[0].answers(rate_limited(retry_after=30))
        for _ in range(5):
            assert (await ask(client)).meta.relay == "b"
        assert counts(servers) == [1, 5]  # Its gate is closed: it is passed over.
        a, b = (client.with_options(relay=name).pace for name in "ab")
        assert (a.refusals, b.refusals, client.pace.refusals) == (1, 0, 1)
        assert a.gate > 20
        assert (b.gate, client.pace.gate) == (0, 0)


async def test_keys_of_one_account_share_a_pace() -> None:
    same = {"account": "ours"}
    async with several(count=3, of_a=same, of_b=same) as (client, servers):
        servers[0].answers(rate_limited(retry_after=30))
        assert {(await ask(client)).meta.relay for _ in range(4)} == {"c"}
        assert counts(servers) == [1, 0, 4]


async def test_a_pickled_policy_and_a_pace_before_the_first_call() -> None:
    async with several(max_concurrency=10) as (client, _):
        assert (client.pace.window, client.pace.rate) == (10, None)
        async with TutuClient(relays=[Relay("a.example", KEY, rate=2), Relay("b.example", KEY, rate=3)]) as other:
            assert other.pace.rate == 5.0


# --- middleware, runs ------------------------------------------------------------------------------------------------


async def test_middleware_that_calls_twice_has_all_relays_both_times() -> None:
    async def twice(request: Request, call_next: Any) -> Any:
        await call_next(request)
        return await call_next(request)

    async with several(middleware=[twice], of_a={"models": {"gpt-4o": "x"}}) as (client, servers):
        for _ in range(2):
            assert (await ask(client)).meta.relay == "b"
        assert [[request.json["model"] for request in server.requests] for server in servers] == [
            ["x", "x"],
            ["gpt-4o", "gpt-4o"],
        ]


async def test_middleware_that_changes_the_model_changes_who_has_it() -> None:
    async def other(request: Request, call_next: Any) -> Any:
        request.fields = {**(request.fields or {}), "model": "only-b"}
        return await call_next(request)

    async with several(attempt_middleware=[other], of_a={"models": ["gpt-4o"]}) as (client, servers):
        assert (await ask(client)).meta.relay == "b"
        assert servers[1].requests[0].json["model"] == "only-b"


async def test_usage_is_told_with_its_relay() -> None:
    spent: list[Any] = []
    async with several(on_usage=spent.append) as (client, _):
        await ask(client)
        assert (spent[0].meta.relay, spent[0].model) == ("a", "gpt-4o")


async def test_a_run_has_the_relay_of_each_line(tmp_path: Path) -> None:
    from tests.batch.runs import records  # noqa: PLC0415  (the only test of runs here)

    async with several() as (client, servers):
        servers[0].answers(fails(503, "busy"), UNTRUE_KEY)
        results = await client.map(
            [(f"cat{number}", f"a cat {number}") for number in range(4)],
            generate=True,
            journal=tmp_path,
            concurrency=1,
        ).gather()
        assert all(result.ok for result in results)
        found = records(tmp_path)
        assert [record.rel for record in found if record.k == "ok"] == ["b", "b", "b", "b"]
        # Each intent names where it went; what was surely not done ends it before the next.
        assert [(record.k, record.rel) for record in found if record.id == "cat0"] == [
            ("sent", "a"),
            ("skip", "a"),
            ("sent", "b"),
            ("ok", "b"),
        ]
        assert counts(servers) == [2, 4]


def run_of_one(client: TutuClient, folder: Path, **options: Any) -> Any:
    return client.map([("cat", "a cat")], generate=True, journal=folder, concurrency=1, **options)


@pytest.mark.usefixtures("_short_pauses")
async def test_a_run_returns_to_a_task_at_the_relay_that_has_it(tmp_path: Path) -> None:
    async with several() as (client, servers):
        servers[0].answers(fails(503, "busy"))
        servers[1].answers(queues(form="accepted", task_id="t9", ends="never"))
        async with run_of_one(client, tmp_path, on_exit="cancel"):
            await servers[1].wait_requests(2)
        asked = len(servers[1].requests)
        servers[1].answers(
            *[sends({"status": "done", "data": [{"url": servers[1].host(PNG)}]})] * 3, path="/v1/images/tasks/t9"
        )
        [result] = await run_of_one(client, tmp_path).gather()
        assert result.error is None
        assert len(servers[0].requests) == 1
        assert {request.method for request in servers[1].requests[asked:]} == {"GET"}


@pytest.mark.usefixtures("_short_pauses")
async def test_a_task_of_a_relay_that_is_gone_is_not_ordered_again(tmp_path: Path) -> None:
    async with several() as (client, servers):
        servers[0].answers(queues(form="accepted", task_id="t9", ends="never"))
        async with run_of_one(client, tmp_path, on_exit="cancel"):
            await servers[0].wait_requests(2)
        others = [Relay(servers[1].base_url, f"{KEY}-1", name="b"), Relay(servers[1].base_url, f"{KEY}-1", name="c")]
        async with TutuClient(relays=others, retry=QUICK) as other:
            for _ in range(2):  # It stays open, however often the run goes on.
                [result] = await run_of_one(other, tmp_path).gather()
                assert isinstance(result.error, ImageTaskError)
                assert result.outcome == "unknown"
        assert len(servers[1].requests) == 0


async def test_many_that_wait_for_several_relays_lose_no_slot_when_they_are_cancelled() -> None:
    async with several(max_concurrency=2) as (client, servers):
        for server in servers:
            server.answers(says("slow", delay=60))
        tasks = [asyncio.create_task(ask(client)) for _ in range(20)]
        await servers[0].wait_requests(1)
        await servers[1].wait_requests(1)
        relays = known(client)
        await until(lambda: len(relays.waiting) == 18)
        assert client.pace.waiting == 18
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (client.pace.in_flight, client.pace.waiting, len(relays.waiting)) == (0, 0, 0)
        assert [(await ask(client)).meta.attempts for _ in range(4)] == [1] * 4


# --- a relay that lies -----------------------------------------------------------------------------------------------

LIES: dict[str, tuple[Scripted, type[Exception] | str]] = {
    "200 with an error": (ELSEWHERE["200 with an error"], "b"),
    "200 with HTML": (raw(200, b"<html>panel</html>"), UnexpectedResponseError),
    "empty": (raw(200, b""), UnexpectedResponseError),
    "404 for every model": (ELSEWHERE["404"], "b"),
    "no content": (says(""), "a"),
    "in an hour": (rate_limited(retry_after=3600), "b"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_taken_for_what_one_relay_alone_takes_it_for(lie: str) -> None:
    answer, outcome = LIES[lie]
    async with several() as (client, servers):
        servers[0].answers(answer)
        if isinstance(outcome, str):
            assert (await ask(client)).meta.relay == outcome
        else:
            with pytest.raises(outcome):
                await ask(client)
            assert counts(servers) == [1, 0]


async def test_a_relay_that_goes_on_lying_is_found_out() -> None:
    async with several() as (client, servers):
        servers[0].answers(*[raw(200, b"<html>panel</html>")] * 50)
        ends = list(await asyncio.gather(*(_end(client) for _ in range(40))))
        # In parallel all may be under way before the first lie is known; one by one it takes three.
        assert ends.count("b") >= 20
        assert [await _end(client) for _ in range(20)] == ["b"] * 20


async def _end(client: TutuClient) -> str:
    try:
        return str((await ask(client)).meta.relay)
    except UnexpectedResponseError:
        return "lie"


@pytest.mark.parametrize("by", ["call", "relay", "middleware"])
async def test_an_order_is_known_by_the_relays_own_name_of_the_model(server: Server, by: str) -> None:
    async def renames(request: Any, call_next: Any) -> Any:
        request.fields = {**request.fields, "model": "studio"}
        return await call_next(request)

    server.answers(*[fails(504, "gave up")] * 5)
    relay = Relay(server.base_url, KEY, models={"studio": "gpt-4o-image", "m": "m"}, name="a")
    layers = [renames] if by == "middleware" else []
    async with TutuClient(relays=[relay], middleware=layers, retry=QUICK) as client:
        asked = client.with_options(relay="a") if by == "relay" else client
        with pytest.raises(APIError) as caught:
            await asked.chat.completions.create(
                model="m" if by == "middleware" else "studio", messages=[{"role": "user", "content": "a cat"}]
            )
    assert caught.value.outcome == "unknown"
    assert [request.json["model"] for request in server.requests] == ["gpt-4o-image"]
