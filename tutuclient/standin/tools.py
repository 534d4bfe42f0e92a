"""Which tools a prompt asks for, and their arguments.

A tool is called when the request requires it, or when the prompt shares words with its name, description or
parameters. A prompt that names several things gets several calls. The same request gets the same calls.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tutuclient.standin.schemas import fill, strict_error
from tutuclient.standin.words import CJK, ENGLISH, Words, split_name, terms
from tutuclient.testing import lenient


@dataclass(frozen=True)
class Tool:
    """A tool as the request offers it.

    Attributes:
        name: Its name.
        description: Its description.
        parameters: The schema of its arguments; None for a custom tool, which takes a text.
    """

    name: str
    description: str
    parameters: Mapping[str, Any] | None


class BadToolsError(Exception):
    """The request's tools cannot be used; the message is returned to the client."""

    def __init__(self, message: str, param: str = "tools") -> None:
        super().__init__(message)
        self.param = param


def calls(request: Mapping[str, Any], prompt: str) -> list[dict[str, Any]]:
    """Return the calls that a request asks for, as ``tool_calls`` of a message; ``prompt`` is the last user message's.

    Raises:
        BadToolsError: A tool has no name, a strict schema is not strict, or ``tool_choice`` names no tool.
    """
    tools = offered(request)
    tools, must = _allowed(request, tools)
    if not tools:
        return []
    scored = [(_score(tool, prompt), tool) for tool in tools]
    chosen = [tool for score, tool in scored if score > 0]
    if must and not chosen:
        chosen = [tools[0]]
    best = max((score for score, _ in scored), default=0)
    # A tool that shares one word by chance is not called beside one that is named.
    chosen = [tool for score, tool in scored if tool in chosen and score * 2 >= best]
    found = [call for tool in chosen for call in _calls_of(tool, prompt)]
    if request.get("parallel_tool_calls") is False or request.get("functions"):
        found = found[:1]
    return [{"id": _call_id(place, call), **call} for place, call in enumerate(found)]


def offered(request: Mapping[str, Any]) -> list[Tool]:
    """Read the tools of a request, the old ``functions`` among them.

    Raises:
        BadToolsError: As ``calls`` says.
    """
    tools: list[Tool] = []
    for place, tool in enumerate(lenient.objects(request.get("tools"))):
        kind = tool.get("type", "function")
        inner = lenient.mapping(tool.get(str(kind)))
        name = inner.get("name")
        if not isinstance(name, str) or not name:
            raise BadToolsError(
                f"Missing required parameter: 'tools[{place}].{kind}.name'.", f"tools[{place}].{kind}.name"
            )
        schema = None if kind == "custom" else lenient.mapping(inner.get("parameters"))
        if inner.get("strict") is True and (wrong := strict_error(schema)) is not None:
            where = f"tools[{place}].function.parameters"
            raise BadToolsError(f"Invalid schema for function '{name}': {wrong}", where)
        tools.append(Tool(name, str(inner.get("description") or ""), schema))
    for function in lenient.objects(request.get("functions")):
        parameters = lenient.mapping(function.get("parameters"))
        tools.append(Tool(str(function.get("name", "")), str(function.get("description") or ""), parameters))
    return tools


def results(messages: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the tool results at the end of a conversation, as names and texts; empty when it ends otherwise."""
    listed = list(messages)
    names = {
        str(call.get("id")): str(lenient.mapping(call.get("function") or call.get("custom")).get("name", ""))
        for message in listed
        for call in lenient.objects(message.get("tool_calls"))
    }
    found: list[tuple[str, str]] = []
    for message in reversed(listed):
        if message.get("role") not in {"tool", "function"}:
            break
        name = names.get(str(message.get("tool_call_id")), str(message.get("name") or "tool"))
        found.insert(0, (name, lenient.text_of(message)))
    return found


def _allowed(request: Mapping[str, Any], tools: list[Tool]) -> tuple[list[Tool], bool]:
    """Return which tools may be called, and whether one has to be."""
    choice = request.get("tool_choice", request.get("function_call"))
    if isinstance(choice, str):
        if choice == "required" and not tools:
            raise BadToolsError("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
        return ([] if choice == "none" else tools), choice == "required"
    named = lenient.mapping(choice)
    allowed = lenient.mapping(named.get("allowed_tools"))
    if allowed:
        names = [_name_in(each) for each in lenient.objects(allowed.get("tools"))]
        return [tool for tool in tools if tool.name in names], allowed.get("mode") == "required"
    if not named:
        return tools, False
    picked = [tool for tool in tools if tool.name == _name_in(named)]
    if not picked:
        raise BadToolsError(f"Invalid value for 'tool_choice': no tool is named {_name_in(named)!r}.", "tool_choice")
    return picked, True


def _name_in(choice: Mapping[str, Any]) -> str:
    inner = lenient.mapping(choice.get("function") or choice.get("custom"))
    return str(inner.get("name", choice.get("name", "")))


def _score(tool: Tool, prompt: str) -> int:
    """Count the words that prompt and tool share; those of the tool's name weigh most."""
    asked, own = terms(prompt), terms(tool.name)
    properties = lenient.mapping((tool.parameters or {}).get("properties"))
    described = terms(tool.description) | {word for name in properties for word in terms(name)}
    in_name, in_words = len(asked & own), len(asked & described - own)
    cjk = sum(1 for word in asked & described if CJK.search(word))
    score = 4 * in_name + in_words
    # A single common word of a description says nothing; a pair of Chinese characters is a word.
    return score if in_name or in_words > 1 or cjk else 0


def _calls_of(tool: Tool, prompt: str) -> list[dict[str, Any]]:
    about = {*split_name(tool.name), *split_name(tool.description), *terms(tool.description), *terms(tool.name)}
    if tool.parameters is None:
        return [{"type": "custom", "custom": {"name": tool.name, "input": prompt}}]
    properties = lenient.mapping(tool.parameters.get("properties"))
    about |= {word for name in properties for word in split_name(name)}
    about |= {chinese for chinese, english in ENGLISH.items() if english in about}
    words = Words(prompt, without=about)
    required = lenient.strings(tool.parameters.get("required")) or list(properties)
    wanted = {**tool.parameters, "properties": {
        name: schema for name, schema in properties.items() if name in required or _mentioned(name, schema, words)
    }}  # fmt: skip
    kinds = [lenient.mapping(properties.get(name)) for name in required]
    texts = [each for each in kinds if "string" in lenient.strings(each.get("type")) and "enum" not in each]
    numbers = [each for each in kinds if {"integer", "number"} & {*lenient.strings(each.get("type"))}]
    if len(texts) == 1 and len(words.names) > 1:
        several = [Words(prompt, without=about, names=[name]) for name in words.names]
    elif not texts and len(numbers) == 1 and len(kinds) == 1 and len(words.numbers) > 1:
        several = [Words(prompt, without=about) for _ in words.numbers]
        for place, each in enumerate(several):
            each.numbers = words.numbers[place:]
    else:
        several = [words]
    return [
        {"type": "function", "function": {"name": tool.name, "arguments": _compact(fill(wanted, each))}}
        for each in several
    ]


def _mentioned(name: str, schema: object, words: Words) -> bool:
    """Return whether the prompt mentions an optional argument."""
    choices = lenient.array(lenient.mapping(schema).get("enum"))
    return words.mentions(" ".join(split_name(name))) or any(words.mentions(str(each)) for each in choices)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _call_id(place: int, call: Mapping[str, Any]) -> str:
    # By content: the same request gets the same ids, and tests can compare whole answers.
    return f"call_{hashlib.sha256(f'{place}{_compact(call)}'.encode('utf-8', 'replace')).hexdigest()[:24]}"
