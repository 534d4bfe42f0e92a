from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
import pytest

from tutuclient import (
    APIError,
    ChatCompletion,
    ConfigError,
    IncompleteStreamError,
    InternalServerError,
    OutcomeUnknownError,
    TutuClient,
    UnexpectedResponseError,
)
from tutuclient.testing import event, sends, serve, streams

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.testing import Server


class Ranked(msgspec.Struct):
    index: int
    relevance_score: float


class Ranking(msgspec.Struct):
    results: list[Ranked]


@dataclass
class Point:
    x: int
    y: int = 0


class Named(TypedDict):
    name: str


class Model:
    """Speaks as pydantic's models do."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def model_validate(cls, value: Any) -> Model:
        if "bad" in value:
            raise ValueError("bad is not allowed")
        return cls(value)


async def test_an_endpoint_of_the_relays_own_is_read_as_the_type_asked_for(server: Server, client: TutuClient) -> None:
    server.answers(sends({"results": [{"index": 1, "relevance_score": "0.5", "more": 1}]}))
    ranking = await client.post(
        "/rerank",
        cast_to=Ranking,
        body={"query": "q", "documents": ["a"]},
        extra_headers={"X-A": "1"},
        extra_query={"b": True},
    )
    assert ranking == Ranking([Ranked(1, 0.5)])
    [sent] = server.requests
    assert (sent.method, sent.path, sent.json["query"], sent.headers["X-A"]) == ("POST", "/v1/rerank", "q", "1")
    assert sent.query["b"] == "true"


async def test_every_kind_of_type(server: Server, client: TutuClient) -> None:
    server.answers(*[sends(value) for value in ({"x": "1"}, {"name": "n"}, [1, 2], {"a": 1}, {"a": 1}, {"a": 1})])
    assert await client.get("/p", cast_to=Point) == Point(1)
    assert await client.get("/p", cast_to=Named) == {"name": "n"}
    assert await client.get("/p", cast_to=list[int]) == [1, 2]
    assert await client.get("/p", cast_to=bytes) == b'{"a":1}'
    assert await client.get("/p", cast_to=str) == '{"a":1}'
    assert (await client.get("/p", cast_to=Model)).value == {"a": 1}


async def test_an_answer_of_ours_knows_how_the_call_went(server: Server, client: TutuClient) -> None:
    completion = await client.post(
        "/chat/completions",
        cast_to=ChatCompletion,
        body={"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    )
    assert completion.text
    assert completion.meta.status_code == 200
    assert server.requests[0].path == "/v1/chat/completions"


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
async def test_every_method(server: Server, client: TutuClient, method: str) -> None:
    server.answers(sends({"ok": True}))
    assert await getattr(client, method)("/things/1", cast_to=dict) == {"ok": True}
    assert server.requests[0].method == method.upper()


@pytest.mark.parametrize("cls", [bytes, str, dict, ChatCompletion, Point])
async def test_an_error_in_an_answers_clothes_is_one_for_every_type(
    server: Server, client: TutuClient, cls: type[Any]
) -> None:
    server.answers(sends({"error": {"message": "boom", "type": "server_error"}}))
    with pytest.raises(InternalServerError, match="boom"):
        await client.with_options(max_retries=0).get("/p", cast_to=cls)


async def test_what_does_not_fit_says_where(server: Server, client: TutuClient) -> None:
    server.answers(sends({"x": "one"}), sends({"bad": 1}))
    with pytest.raises(UnexpectedResponseError, match=r"not a Point .*x"):
        await client.get("/p", cast_to=Point)
    with pytest.raises(UnexpectedResponseError, match="bad is not allowed"):
        await client.get("/p", cast_to=Model)
    assert len(server.requests) == 2


async def test_the_key_goes_to_the_relay_only(server: Server, client: TutuClient) -> None:
    address = server.origin.removeprefix("http://")
    for path in (
        "https://elsewhere.example/v1/p",
        "rerank",
        "file:///etc/passwd",
        f"http://{address}@elsewhere.example/p",
        f"http://elsewhere.example@{address}/p",
        f"http://elsewhere.example\\@{address}/p",
        "http://[elsewhere/p",
        "http://elsewhere:99999/p",
    ):
        with pytest.raises(ConfigError, match="the key goes nowhere else"):
            await client.get(path, cast_to=dict)
    assert server.requests == []
    status = await client.get(f"{server.origin}/api/status", cast_to=dict)
    assert status["success"] is True


async def test_a_path_with_an_address_in_it_is_a_path(server: Server, client: TutuClient) -> None:
    async with serve() as other:
        elsewhere = other.base_url.removeprefix("http:")
        for path in (f"{elsewhere}/models", f"{elsewhere}/a://b", f"/fetch?url={other.base_url}/models"):
            server.answers(sends({"here": True}))
            assert await client.get(path, cast_to=dict) == {"here": True}
        assert other.requests == []
    assert [sent.path[:5] for sent in server.requests] == ["/v1//", "/v1//", "/v1/f"]


async def test_a_path_may_have_a_query_of_its_own(server: Server, client: TutuClient) -> None:
    server.answers(sends({}))
    await client.get("/log?page=2", cast_to=dict, extra_query={"size": 5})
    assert server.requests[0].query == {"page": "2", "size": "5"}


@pytest.mark.parametrize("path", ["/a#b", "/a\nb", "/a\tb", "/\ud800", "http://relay.example\t/a"])
async def test_a_path_of_which_a_part_would_be_lost_is_refused(server: Server, client: TutuClient, path: str) -> None:
    with pytest.raises(ConfigError, match="inside"):
        await client.get(path, cast_to=dict)
    assert server.requests == []


async def test_files_go_as_a_form_from_the_disk(server: Server, client: TutuClient, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"words")
    server.answers(sends({"id": "file-1"}))
    await client.post("/files", cast_to=dict, body={"purpose": "user_data"}, files={"file": path})
    form = server.requests[0].form
    assert form.fields == {"purpose": "user_data"}
    [sent] = form.files
    assert (sent.filename, sent.content, sent.content_type) == ("notes.txt", b"words", "text/plain")


async def test_events_are_read_as_the_type_asked_for(server: Server, client: TutuClient) -> None:
    server.answers(streams([{"x": 1}, {"x": 2}]), streams([{"x": 1}], done=False), sends({"x": 3}))
    for expected in ([1, 2], [1], [3]):
        async with await client.post("/p", cast_to=Point, body={"stream": True}, stream=True) as stream:
            assert [event.x async for event in stream] == expected


class ResponseEvent(msgspec.Struct):
    type: str
    delta: str = ""
    response: dict[str, Any] | None = None


async def test_responses_are_asked_for_whole_and_as_events(server: Server, client: TutuClient) -> None:
    """As the README shows it: openai's newer endpoint, by the door for any endpoint."""
    whole = {"id": "resp_1", "output": [{"type": "message", "content": [{"type": "output_text", "text": "two cats"}]}]}
    typed = [
        event({"type": "response.created", "response": {"id": "resp_1"}}),
        event({"type": "response.output_text.delta", "delta": "two "}),
        event({"type": "response.output_text.delta", "delta": "cats"}),
        event({"type": "response.completed", "response": whole}),
    ]
    server.answers(sends(whole), streams(typed, done=False), path="/v1/responses")
    body = {"model": "gpt-4o", "input": "What is in this image?"}
    answer = await client.post("/responses", body=body, cast_to=dict)
    assert answer["output"][0]["content"][0]["text"] == "two cats"
    async with await client.post(
        "/responses", body=body | {"stream": True}, cast_to=ResponseEvent, stream=True
    ) as stream:
        events = [each async for each in stream]
    assert "".join(each.delta for each in events) == "two cats"
    assert (events[-1].type, events[-1].response) == ("response.completed", whole)
    assert [request.path for request in server.requests] == ["/v1/responses", "/v1/responses"]


async def test_an_error_in_the_events_of_a_response_is_raised(server: Server, client: TutuClient) -> None:
    typed = [
        event({"type": "response.output_text.delta", "delta": "two "}),
        event({"type": "error", "error": {"message": "overloaded", "code": "server_error"}}),
    ]
    server.answers(streams(typed, done=False), path="/v1/responses")
    async with await client.post("/responses", body={"stream": True}, cast_to=ResponseEvent, stream=True) as stream:
        with pytest.raises(APIError, match="overloaded"):
            _ = [each async for each in stream]


async def test_events_that_are_cut_are_not_passed_off_as_all(server: Server, client: TutuClient) -> None:
    server.answers(streams([{"x": 1}], done=False, then="fin"))
    async with await client.post("/p", cast_to=Point, body={}, stream=True) as stream:
        with pytest.raises(IncompleteStreamError):
            _ = [event async for event in stream]


async def test_what_is_paid_for_by_the_piece_is_not_sent_twice(server: Server, client: TutuClient) -> None:
    server.faults("fin_after_request", times=2)
    with pytest.raises(OutcomeUnknownError):
        await client.post("/video/generations", cast_to=dict, body={}, makes_image=True)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("path", "more", "words"),
    [
        (None, {}, "the path is None: write text"),
        (5, {}, "the path is 5"),
        ("/models", {"cast_to": "dict"}, "cast_to is 'dict': write a type"),
        ("/models", {"cast_to": {}}, "cast_to is a dict: write a type"),
        ("/models", {"body": "x"}, "body is 'x': write it as a dict"),
        ("/models", {"body": b"x"}, "body is 1 bytes: write it as a dict"),
    ],
)
async def test_what_no_endpoint_takes_is_refused(server: Server, path: Any, more: dict[str, Any], words: str) -> None:
    async with TutuClient("any", server.base_url) as client:
        with pytest.raises(ConfigError, match=re.escape(words)):
            await client.post(path, **{"cast_to": dict, **more})
    assert not server.requests
