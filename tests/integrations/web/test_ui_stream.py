from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.integrations.web.test_forms import QUESTION, data, read, texts
from tutuclient.testing import chunk, says, streams

if TYPE_CHECKING:
    from tutuclient import TutuClient
    from tutuclient.testing import Server


def kinds(parts: list[Any]) -> list[str]:
    return [part["type"] for part in parts]


async def test_texts_are_a_message_of_one_step() -> None:
    found = await read(texts("a", "b"), "ai-sdk")
    assert found[-1] == {"data": "[DONE]"}
    parts = data(found)
    assert kinds(parts) == [
        "start",
        "start-step",
        "text-start",
        "text-delta",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
    ]
    assert [part["delta"] for part in parts if part["type"] == "text-delta"] == ["a", "b"]
    assert len({part["id"] for part in parts if part["type"].startswith("text")}) == 1
    assert parts[-1]["finishReason"] == "stop"


async def test_reasoning_and_text_are_blocks_of_their_own(client: TutuClient, server: Server) -> None:
    server.answers(says("a b", reasoning_content="h m", finish_reason="content_filter"))
    parts = data(await read(client.chat.completions.stream(**QUESTION), "ai-sdk"))
    named = [(part["type"], part["id"]) for part in parts if part["type"].endswith(("-start", "-end"))]
    assert named == [
        ("reasoning-start", "reasoning-0"),
        ("reasoning-end", "reasoning-0"),
        ("text-start", "text-1"),
        ("text-end", "text-1"),
    ]
    assert parts[-1]["finishReason"] == "content-filter"


async def test_tools_are_shown_with_their_input_and_output(client: TutuClient, server: Server) -> None:
    def double(number: int) -> dict[str, int]:
        return {"double": number * 2}

    # This relay numbers its calls anew in each round.
    call = {"id": "c", "type": "function", "function": {"name": "double", "arguments": '{"number": 4}'}}
    asks = says("", tool_calls=[call], finish_reason="tool_calls")
    server.answers(asks, asks, says("8"))
    run = client.chat.completions.run_tools(**QUESTION, tools=[double], stream=True)
    parts = data(await read(run, "ai-sdk"))
    steps = kinds(parts)
    assert steps.count("start-step") == steps.count("finish-step") == 3
    tools = [part for part in parts if part["type"].startswith("tool")]
    assert [part["type"] for part in tools if part["toolCallId"] == "c"] == [
        "tool-input-start",
        *["tool-input-delta"] * kinds([each for each in tools if each["toolCallId"] == "c"]).count("tool-input-delta"),
        "tool-input-available",
        "tool-output-available",
    ]
    given = [part for part in tools if part["type"] == "tool-input-available"]
    assert [(part["toolCallId"], part["input"]) for part in given] == [("c", {"number": 4}), ("c-1-0", {"number": 4})]
    outputs = [part["output"] for part in tools if part["type"] == "tool-output-available"]
    assert outputs == [{"double": 8}, {"double": 8}]
    assert parts[-1]["finishReason"] == "stop"


async def test_arguments_that_are_no_json_are_an_error_of_the_call(client: TutuClient, server: Server) -> None:
    call = {"index": 0, "function": {"name": "double", "arguments": '{"number": '}}
    server.answers(streams([chunk(tool_calls=[call]), chunk(finish_reason="tool_calls")]))
    parts = data(await read(client.chat.completions.stream(**QUESTION), "ai-sdk"))
    (wrong,) = [part for part in parts if part["type"] == "tool-input-error"]
    assert (wrong["toolName"], wrong["input"], wrong["toolCallId"]) == ("double", '{"number":', "call_0_0")
    assert parts[-1]["finishReason"] == "tool-calls"


async def test_a_custom_call_has_its_text_as_input(client: TutuClient, server: Server) -> None:
    call = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    server.answers(streams([chunk(tool_calls=[call]), chunk(finish_reason="tool_calls")]))
    parts = data(await read(client.chat.completions.stream(**QUESTION), "ai-sdk"))
    (given,) = [part for part in parts if part["type"] == "tool-input-available"]
    assert (given["toolName"], given["input"]) == ("shell", "ls")


async def test_an_image_beside_the_text_is_a_file(client: TutuClient, server: Server) -> None:
    url = server.host(b"\x89PNG\r\n\x1a\n")
    server.answers(
        streams([chunk("a", images=[{"type": "image_url", "image_url": {"url": url}}]), chunk(finish_reason="stop")])
    )
    parts = data(await read(client.chat.completions.stream(**QUESTION), "ai-sdk"))
    assert [(part["url"], part["mediaType"]) for part in parts if part["type"] == "file"] == [(url, "image/png")]


async def test_what_broke_off_is_closed_and_has_no_finish(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a")], done=False))
    parts = data(await read(client.chat.completions.stream(**QUESTION), "ai-sdk"))
    assert kinds(parts)[-2:] == ["text-end", "error"]
    assert "ended early" in parts[-1]["errorText"]
