"""The relay's price page: asked for without the key, read with care, and what answers cost by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tests.wire.test_prices import DRAWS, GPT, page
from tutuclient import (
    APIError,
    ConfigError,
    NotFoundError,
    Prices,
    Relay,
    Spent,
    TutuClient,
    UnexpectedResponseError,
)
from tutuclient.testing import fails, raw, says, sends, serve

if TYPE_CHECKING:
    from tutuclient.testing import Server

STATUS = {"success": True, "data": {"quota_per_unit": 500_000}}
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


async def test_the_page_of_the_embedded_relay_is_read(server: Server, client: TutuClient) -> None:
    prices = await client.prices()
    assert len(prices) > 10
    assert (prices.unit, prices.group, prices.source) == ("USD", "default", f"{server.origin}/api/pricing")
    assert prices.of("gpt-4o-image") is not None
    half = await client.prices(group="half")
    assert half.cost("gpt-4o", None) == pytest.approx(0.0001)


async def test_the_key_is_not_sent_and_other_headers_are(server: Server, client: TutuClient) -> None:
    await client.with_options(default_headers={"X-Team": "a"}).prices()
    for request in server.requests:
        assert KEY not in str(dict(request.headers))
        assert "Authorization" not in request.headers
        assert request.headers["X-Team"] == "a"
    assert [request.path for request in server.requests] == ["/api/pricing", "/api/status"]
    await client.models.list()
    assert server.requests[-1].headers["Authorization"] == f"Bearer {KEY}"


async def test_a_key_that_a_function_returns_is_not_asked_for(server: Server) -> None:
    def key() -> str:
        raise AssertionError("no key is needed")

    async with TutuClient(key, server.base_url) as client:
        assert len(await client.prices()) > 10


@pytest.mark.parametrize("path", ["/v1", "/api"])  # The page lies below the second.
async def test_of_several_relays_it_is_the_page_of_one_and_gets_no_key(server: Server, path: str) -> None:
    async with serve() as other:
        relays = [Relay(server.origin + path, f"{KEY}-a", name="a"), Relay(other.base_url, f"{KEY}-b", name="b")]
        async with TutuClient(relays=relays) as client:
            for one, asked in ((client, server), (client, server), (client.with_options(relay="b"), other)):
                assert (await one.prices()).source == f"{asked.origin}/api/pricing"
        assert [len(each.requests) for each in (server, other)] == [4, 2]
        for request in (*server.requests, *other.requests):
            assert KEY not in str(dict(request.headers))


async def test_a_cost_is_one_of_the_relay_that_has_answered_by_its_own_name_of_the_model(server: Server) -> None:
    spent: list[Spent] = []
    server.answers(sends(page(GPT, default=1)), path="/api/pricing")
    async with serve() as other:
        relays = [
            Relay(server.base_url, f"{KEY}-a", name="a", models={"mine": "gpt-4o"}),
            Relay(other.base_url, f"{KEY}-b", name="b"),
        ]
        async with TutuClient(relays=relays, on_usage=spent.append) as client:
            priced = client.with_options(prices=await client.prices())
            for _ in range(2):
                await priced.chat.completions.create(model="mine", **HI)
    costs = {each.meta.relay: each.cost for each in spent}
    assert costs["a"] is not None
    assert costs["a"] > 0
    assert costs["b"] is None


async def test_each_relay_has_prices_of_its_own_also_two_keys_of_one(server: Server) -> None:
    spent: list[Spent] = []
    server.answers(*[sends(page(GPT, default=1, vip=0.5))] * 2, path="/api/pricing")
    async with serve() as other:
        relays = [
            Relay(server.base_url, f"{KEY}-a", name="a"),
            Relay(server.base_url, f"{KEY}-v", name="vip"),
            Relay(other.base_url, f"{KEY}-b", name="b"),
        ]
        async with TutuClient(relays=relays) as client:
            pages = {
                "a": await client.prices(),
                "vip": await client.with_options(relay="vip").prices(group="vip"),
            }
        async with TutuClient(relays=relays, on_usage=spent.append, prices=pages) as made:
            for priced in (
                made,
                made.with_options(timeout=9),
                client.with_options(prices=pages, on_usage=spent.append),
            ):
                for name in ("a", "vip", "b"):
                    await priced.with_options(relay=name).chat.completions.create(model="gpt-4o", **HI)
                for _ in range(3):
                    await priced.chat.completions.create(model="gpt-4o", **HI)
        await client.aclose()
    assert len(spent) == 18
    by_relay: dict[str, set[float | None]] = {}
    for each in spent:
        by_relay.setdefault(str(each.meta.relay), set()).add(each.cost)
    [usual], [half], [unknown] = by_relay["a"], by_relay["vip"], by_relay["b"]
    assert unknown is None
    assert usual is not None
    assert usual > 0
    assert half == pytest.approx(usual / 2)


async def test_prices_by_name_are_of_relays_that_there_are(server: Server, client: TutuClient) -> None:
    own = await client.prices()
    async with serve() as other:
        relays = [Relay(server.base_url, KEY, name="a"), Relay(other.base_url, KEY, name="b")]
        several = TutuClient(relays=relays)
        wrong: list[tuple[Any, dict[str, Prices], str]] = [
            (several, {"c": own}, "no relay is called 'c': the names are 'a', 'b'"),
            (several, {"b": own}, r"prices\['b'\] is the page of .*, and that relay is at"),
            (several.with_options(relay="a"), {"a": Prices()}, r"prices\['a'\] is the page of"),
            (client, {"a": own}, "no relay is called 'a': the client has one only"),
        ]
        for one, pages, message in wrong:
            with pytest.raises(ConfigError, match=message):
                one.with_options(prices=pages)
        with pytest.raises(ConfigError, match="the client has one only"):
            TutuClient(KEY, server.base_url, prices={"a": own})
        with pytest.raises(ConfigError, match="no relay is called 'c'"):
            TutuClient(relays=relays, prices={"a": own, "c": own})
        with pytest.raises(ConfigError, match="a mapping of such pages by the relays' names"):
            TutuClient(relays=relays, prices={})


async def test_points_are_those_of_the_relay(server: Server, client: TutuClient) -> None:
    server.answers(sends(page(GPT, default=1)), path="/api/pricing")
    server.answers(sends({"data": {"quota_per_unit": 1_000_000}}), path="/api/status")
    price = (await client.prices()).of("gpt-4o")
    assert price is not None
    assert price.input == 1.25


@pytest.mark.parametrize(
    "status", [fails(404, "no"), sends([]), sends({"data": {"quota_per_unit": -1}}), raw(200, b"<p>")]
)
async def test_without_a_status_they_are_the_usual_ones(server: Server, client: TutuClient, status: Any) -> None:
    server.answers(sends(page(GPT, default=1)), path="/api/pricing")
    server.answers(status, path="/api/status")
    price = (await client.with_options(max_retries=0).prices()).of("gpt-4o")
    assert price is not None
    assert price.input == 2.5


async def test_each_answer_says_what_it_cost(server: Server, client: TutuClient) -> None:
    server.answers(sends(page(GPT, DRAWS, default=1)), path="/api/pricing")
    prices = await client.prices()
    spent: list[Spent] = []
    watched = client.with_options(prices=prices, on_usage=spent.append)
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    server.answers(says("hi", usage=usage), says("hi", usage=usage), says("hi", usage=usage))
    await watched.chat.completions.create(model="gpt-4o", **HI)
    asked = {"include_usage": True}
    async with watched.chat.completions.stream(model="gpt-4o", stream_options=asked, **HI) as stream:
        await stream.completion()
    await watched.chat.completions.create(model="unknown", **HI)
    await client.with_options(on_usage=spent.append).chat.completions.create(model="gpt-4o", **HI)
    assert [each.cost for each in spent] == [pytest.approx(0.0035), pytest.approx(0.0035), None, None]


async def test_several_images_are_several_calls(server: Server, client: TutuClient) -> None:
    row = DRAWS | {"model_name": "gpt-image-1", "enable_groups": ["all"]}
    server.answers(sends(page(row, default=1)), path="/api/pricing")
    spent: list[Spent] = []
    watched = client.with_options(prices=await client.prices(), on_usage=spent.append)
    await watched.images.generate(model="gpt-image-1", prompt="a cat", n=2)
    assert [each.cost for each in spent] == [pytest.approx(0.16)]


async def test_prices_that_are_none_are_an_error(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"prices takes what await client.prices\(\) returns; got"):
        TutuClient(KEY, server.base_url, prices={"gpt-4o": 1.0})  # type: ignore[dict-item]
    async with TutuClient(KEY, server.base_url, prices=Prices()) as client:
        await client.models.list()


@pytest.mark.parametrize("group", ["", 5, b"vip"])
async def test_a_group_is_a_name(client: TutuClient, group: Any) -> None:
    with pytest.raises(ConfigError, match="group is"):
        await client.prices(group=group)


async def test_a_relay_without_a_page_says_so(server: Server, client: TutuClient) -> None:
    server.answers(fails(404, "Invalid URL"), path="/api/pricing")
    with pytest.raises(NotFoundError):
        await client.prices()


@pytest.mark.parametrize(
    "answer",
    [
        raw(200, b"<!doctype html><title>New API</title>", {"Content-Type": "text/html"}),
        raw(200, b""),
        raw(200, b"[[" * 10_000),
        sends({"success": False, "message": "no"}),
        sends({"success": True, "data": "none"}),
        raw(200, b'{"data": [' + b'{"model_name": "m"},' * 500_000 + b"{}]}"),
    ],
    ids=["HTML", "nothing", "deep", "refused", "text", "10 MB"],
)
async def test_a_page_that_is_hostile_is_an_error_of_ours(server: Server, client: TutuClient, answer: Any) -> None:
    server.answers(answer, path="/api/pricing")
    with pytest.raises((APIError, UnexpectedResponseError)):
        await client.with_options(max_retries=0).prices()


async def test_a_large_page_is_read(server: Server, client: TutuClient) -> None:
    rows = [GPT | {"model_name": f"m{number}"} for number in range(3000)]
    server.answers(sends(page(*rows, default=1)), path="/api/pricing")
    assert len(await client.prices()) == 3000
