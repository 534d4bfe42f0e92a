"""An endpoint that is declared as those of the package are has all that they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never, TypedDict, Unpack

import pytest

from tests.conftest import KEY
from tutuclient import APIResponse, ConfigError, OutcomeUnknownError, RequestWarning, TutuClient, wire
from tutuclient.resources.endpoint import Endpoint, events, stamped
from tutuclient.resources.options import CallOptions
from tutuclient.resources.resource import Resource
from tutuclient.resources.views import View, opened, raw, viewed
from tutuclient.streams.events import EventReader, EventStream
from tutuclient.testing import Server, sends, streams
from tutuclient.types.base import Answer

if TYPE_CHECKING:
    from tutuclient.resources.endpoint import RequestInfo
    from tutuclient.transport.reply import Reply


class Ranking(Answer, frozen=True, kw_only=True):
    best: int = -1


class RankFields(TypedDict, total=False):
    top_n: int


class _Fields(RankFields, CallOptions, total=False):
    pass


class Ranks(Resource):
    with_raw_response = viewed("raw", lambda: RanksRaw)
    with_streaming_response = viewed("open", lambda: RanksOpen)

    async def create(self, *, query: str, **fields: Unpack[_Fields]) -> Ranking:
        return await self._ask(_CREATE, {"query": query}, {**fields})

    async def order(self, *, query: str, stream: bool = False, **fields: Any) -> Ranking | EventStream[Ranking]:
        return await self._ask(_ORDER, {"query": query}, fields, stream=stream)

    async def open(self) -> None:
        await self._streamed(_CREATE, {})


class RanksRaw(View):
    create = raw(Ranks.create)


class RanksOpen(View):
    create = opened(Ranks.create)


def _prepare(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_text(body.get("query"), "query")
    return body | {"query": body["query"].upper()}


def _read(data: bytes | bytearray, reply: Reply, info: RequestInfo) -> Ranking:
    assert info.body["query"]
    return stamped(wire.read_answer(data, Ranking, reply.meta), reply)


def _reader(reply: Reply, info: RequestInfo) -> EventReader[Ranking]:
    return EventReader(
        reply.meta,
        read=lambda _, data, __: _read(bytes(data), reply, info),
        is_last=lambda event: event.best > 0,
        read_whole=lambda data, _: [_read(data, reply, info)],
        max_bytes=reply.call.max_bytes,
    )


_CREATE: Endpoint[Ranking, Never] = Endpoint(
    "ranks.create", "/rerank", known=wire.names(RankFields, "query"), prepare=_prepare, read=_read
)
_ORDER = Endpoint("ranks.order", "/order?mode=all", makes_image=True, read=_read, begin=events(_reader))


@pytest.fixture
async def ranks(client: TutuClient) -> Ranks:
    return Ranks(client._settings, client._transport)


async def test_its_keywords_are_sent_and_its_answer_read(server: Server, ranks: Ranks) -> None:
    server.answers(sends({"best": 3}))
    answer = await ranks.create(query="what?", top_n=1, extra_body={"own": True})
    assert (answer.best, answer.meta.status_code) == (3, 200)
    [sent] = server.requests
    assert (sent.method, sent.path) == ("POST", "/v1/rerank")
    assert sent.json == {"query": "WHAT?", "top_n": 1, "own": True}


async def test_a_keyword_that_is_misspelt_warns_and_what_cannot_be_sent_is_refused(
    server: Server, ranks: Ranks
) -> None:
    misspelt: dict[str, Any] = {"topn": 1}
    server.answers(sends({"best": 3}))
    with pytest.warns(RequestWarning, match="ranks.create: topn= is not a field .* top_n="):
        await ranks.create(query="what?", **misspelt)
    with pytest.raises(ConfigError, match="query"):
        await ranks.create(query="")
    assert len(server.requests) == 1


async def test_its_answers_come_raw_and_open_too(server: Server, ranks: Ranks) -> None:
    server.answers(sends({"best": 3}), sends({"best": 4}))
    response = await ranks.with_raw_response.create(query="what?")
    assert isinstance(response, APIResponse)
    assert response.parse().best == 3
    async with ranks.with_streaming_response.create(query="what?") as open_response:
        assert (await open_response.parse()).best == 4


async def test_it_streams_if_its_declaration_says_how(server: Server, ranks: Ranks) -> None:
    server.answers(streams([{"best": 0}, {"best": 2}]))
    stream = await ranks.order(query="what?", stream=True)
    assert isinstance(stream, EventStream)
    async with stream:
        assert [event.best async for event in stream] == [0, 2]
    with pytest.raises(TypeError, match="ranks.create has no stream"):
        await ranks.open()


async def test_what_orders_an_image_is_not_sent_twice_in_silence(server: Server) -> None:
    async with TutuClient(KEY, server.base_url) as client:
        ranks = Ranks(client._settings, client._transport)
        server.faults("reset_after_request")
        with pytest.raises(OutcomeUnknownError):
            await ranks.order(query="what?")
        server.faults("reset_after_request")
        server.answers(sends({"best": 3}))
        assert (await ranks.create(query="what?")).best == 3


async def test_one_thing_of_many_has_a_path_of_its_own(server: Server, ranks: Ranks) -> None:
    server.answers(sends({"best": 3}))
    await ranks._whole(_ORDER.at("/order/7?mode=one"), {"query": "x"}, extra_query={"a": 1})
    [sent] = server.requests
    assert sent.path == "/v1/order/7"
    assert dict(sent.query) == {"mode": "one", "a": "1"}
    assert _ORDER.path == "/order?mode=all"


async def test_text_keeps_no_notes() -> None:
    reply: Any = None
    assert stamped("text", reply) == "text"
