"""The command doctor: what this relay can do, what it cannot, and what to change.

Each thing is tried as a program would use it, with the smallest question that
can tell, and judged by what came back: a picture's colours have to be named, a
schema's odd names have to come back, a stream has to arrive bit by bit. What
could not be told is called so.
"""

from __future__ import annotations

import json
import os
import random
import re
import struct
import sys
import time
import zlib
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, cast

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutuclient import errors
from tutuclient.cli.arguments import CONNECTION, ApiKey, AsJson, BaseUrl, Debug, Model, client_of
from tutuclient.cli.output import Waiting, amount, note, print_json, write
from tutuclient.cli.output_files import rescue
from tutuclient.cli.running import exit_code, explained, in_one_line, run
from tutuclient.errors import APIError, ConfigError, TutuError, printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tutuclient.client import TutuClient
    from tutuclient.types import ChatCompletion, ChatFields, ModelList

_TIMEOUT_S = 60.0
_BROKEN_ANSWER = 8
# A stream that took so long can be told from one that was held back, if all of it came within this share of the time.
_LONG_ENOUGH_S = 0.5
_AT_ONCE = 0.05
_SHOWN_MODELS = 6

_COLOURS = {
    "red": ((220, 20, 20), r"\bred\b|红"),
    "green": ((20, 160, 40), r"\bgreen\b|绿"),
    "blue": ((20, 50, 220), r"\bblue\b|蓝"),
    "yellow": ((250, 220, 20), r"\byellow\b|黄"),
    "black": ((0, 0, 0), r"\bblack\b|黑"),
    "white": ((255, 255, 255), r"\bwhite\b|白"),
}
_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city, now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"town_of_the_tower": {"type": "string"}, "its_letters": {"type": "integer"}},
    "required": ["town_of_the_tower", "its_letters"],
    "additionalProperties": False,
}

Result = Literal["yes", "partly", "no", "untried"]
_STYLES = {"yes": "green", "partly": "yellow", "no": "bold red", "untried": "dim"}


def doctor(
    *,
    model: Model = "gpt-4o",
    picture: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A picture that the relay can reach, to see whether it fetches pictures."),
    ] = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="Order one picture as well. That is paid for like any other.")
    ] = False,
    image_model: Annotated[str, typer.Option(metavar="NAME", help="The model that draws it.")] = "gpt-4o-image",
    speak: Annotated[bool, typer.Option("--speak", help="Have one word said as well, which is paid for too.")] = False,
    speech_model: Annotated[str, typer.Option(metavar="NAME", help="The model that says it.")] = "tts-1",
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="A deadline over each question.", rich_help_panel=CONNECTION)
    ] = _TIMEOUT_S,
    debug: Debug = False,
) -> None:
    """Find out what the relay can do, and what to change.

    Asks a few short questions, which cost a few hundred tokens; a picture is ordered only with --draw, and a sound
    with --speak. The exit code is 0 when a chat about a picture works.

    Example: tutuclient doctor --model gpt-4o-mini
    """
    with in_one_line(debug=debug):
        if picture is not None and not picture.startswith(("http://", "https://")):
            raise ConfigError("--picture takes the http:// or https:// address of a picture that the relay can reach")

        async def work() -> int:
            async with client_of(api_key, base_url, timeout) as client:
                doctor = _Doctor(client, model)
                checks: list[tuple[str, Callable[[], Awaitable[_Finding]]]] = [
                    ("address", lambda: doctor.address(base_url, lambda url: client_of(api_key, url, timeout))),
                    ("models", doctor.models),
                    ("key", doctor.key),
                    ("chat", doctor.chat),
                    ("stream", doctor.stream),
                    ("picture (base64)", doctor.picture),
                    ("picture (URL)", lambda: doctor.picture_at(picture)),
                    ("tools", doctor.tools),
                    ("JSON schema", doctor.schema),
                    ("drawing", lambda: doctor.draw(image_model if draw else None)),
                    ("speech", lambda: doctor.speak(speech_model if speak else None)),
                ]
                _tell_the_cost(model, image_model if draw else None, speech_model if speak else None)
                findings: list[_Finding] = []
                try:
                    for name, check in checks:
                        hope = not doctor.hopeless
                        findings.append(await doctor.look(name, check))
                        if hope and not as_json:
                            _show(findings[-1])
                finally:
                    await doctor.client.aclose()
                code = next((each.code for each in findings if each.code), 0)
                if as_json:
                    print_json(doctor.described(findings, works=code == 0))
                else:
                    if doctor.hopeless:
                        _show(_Finding("untried", doctor.hopeless, name="all else"))
                    write("\n")
                    Console().print(Text(doctor.summed_up(findings)), soft_wrap=_in_a_pipe())
                return code

        if code := run(work()):
            raise typer.Exit(code)


class _Finding(NamedTuple):
    """What became of one check.

    Attributes:
        result: Whether the relay can do it.
        detail: What was seen.
        advice: What to change, or "".
        code: The exit code, when the main job does not work without this; else 0.
        name: What was tried.
    """

    result: Result
    detail: str
    advice: str = ""
    code: int = 0
    name: str = ""


class _Doctor:
    """Looks at one relay, check by check. What an earlier check found out a later one knows.

    Attributes:
        client: The client in use; another than the one given, when only another address works.
        hopeless: Why there is no use in trying more, or "".
    """

    def __init__(self, client: TutuClient, model: str) -> None:
        self.client = client
        self._model = model
        self._models: ModelList | APIError = APIError("nothing has been asked yet")
        self._first: ChatCompletion | APIError = APIError("nothing has been asked yet")
        self.hopeless = ""
        self._tokens: int | None = 0
        self._started = time.monotonic()

    async def look(self, name: str, check: Callable[[], Awaitable[_Finding]]) -> _Finding:
        """Do one check, unless an earlier one left no hope; an error is a finding too."""
        if self.hopeless:
            return _Finding("untried", self.hopeless, name=name)
        with Waiting(f"{self.client.base_url}: {name}"):
            try:
                finding = await check()
            except TutuError as error:
                code = exit_code(error) if name in _NEEDED else 0
                advice = "" if isinstance(error, _NO_MATTER_OF_THE_MODEL) else _ADVICE.get(name, "")
                finding = _Finding("no", explained(error), advice, code)
        return finding._replace(name=name)

    async def address(self, given: str | None, client_at: Callable[[str], TutuClient]) -> _Finding:
        """Find the API: where it was said to be, with ``/v1`` and without."""
        asked = self.client.base_url
        source = _source(given)
        pasted = f" (given as {printable(source.url, 200)})" if source.url and source.url.rstrip("/") != asked else ""
        here = f"{asked}, from {source.name}{pasted}"
        self._models = first = await _list(self.client)
        if not isinstance(first, _NO_API):
            return _Finding("yes", here)
        # Where nobody answers, the other addresses of the same host are no better.
        for url in () if isinstance(first, errors.APIConnectionError) else _variants(asked):
            client = client_at(url)
            found = await _list(client)
            if not isinstance(found, _NO_API):
                await self.client.aclose()
                self.client, self._models = client, found
                advice = f"there is one at {url}: set {source.name} to it"
                return _Finding("no", f"{here}: no API there", advice, exit_code(first))
            await client.aclose()
        if isinstance(first, errors.NotFoundError):
            return _Finding("partly", f"{here}; something answers, and it lists no models")
        self.hopeless = "the address comes first"
        return _Finding("no", f"{here}: {explained(first)}", _advice_on_address(asked, first), exit_code(first))

    async def models(self) -> _Finding:
        """Say which models are listed, and whether the one to be asked is among them."""
        if isinstance(self._models, _ABOUT_THE_KEY):
            return _Finding("untried", "they are not shown to this key")
        if isinstance(self._models, APIError):
            raise self._models
        names = sorted(model.id for model in self._models.data)
        shown = ", ".join(printable(name, 60) for name in names[:_SHOWN_MODELS])
        count = f"{len(names)} listed" + (f": {shown}{', …' if len(names) > _SHOWN_MODELS else ''}" if names else "")
        if self._model in names:
            return _Finding("yes", count)
        missing = f"{printable(self._model, 60)} is not among them"
        return _Finding("partly", f"{count}; {missing}", "choose one of them with --model")

    async def key(self) -> _Finding:
        """Say whether the key is taken, by asking something: some relays list models for everybody."""
        try:
            if isinstance(self._models, _ABOUT_THE_KEY):
                raise self._models
            self._first = await self._ask("Say hello in one word.")
        except _ABOUT_THE_KEY as error:
            self.hopeless = "the key comes first"
            return _Finding("no", explained(error), code=exit_code(error))
        except APIError as error:
            self._first = error
            return _Finding("untried", "no answer tells; see chat")
        return _Finding("yes", "accepted")

    async def chat(self) -> _Finding:
        """Say what came of the first question."""
        if isinstance(self._first, APIError):
            self.hopeless = "a chat comes first"
            raise self._first
        return self._worded(self._first)

    async def stream(self) -> _Finding:
        """See whether an answer comes as it is made."""
        try:
            answer, seen = await self._timed({"stream_options": {"include_usage": True}})
        except errors.BadRequestError:  # Some take no such field; the stream itself may be well.
            answer, seen = await self._timed({})
        usage = "usage at its end" if answer.usage else "no usage"
        if answer.finish_reason is None:
            usage += ", [DONE] and no finish_reason, so that a cut cannot be told from an end"
        if not seen:
            return _Finding("no", f"a stream without text (finish_reason {answer.finish_reason})")
        whole, spread = seen[-1], seen[-1] - seen[0]
        if len(seen) == 1:
            json_came = "json" in answer.meta.headers.get("Content-Type", "")
            said = "JSON in place of a stream" if json_came else "one piece with all of it"
            return _Finding(
                "partly",
                f"{said}, after {whole:.1f} s; {usage}",
                "it is read all the same, but nothing comes before the end",
            )
        if whole <= _LONG_ENOUGH_S:
            quick = f"{len(seen)} pieces in {whole * 1000:.0f} ms, too quick to tell whether it was held back"
            return _Finding("yes", f"{quick}; {usage}")
        if spread < _AT_ONCE * whole:
            return _Finding(
                "partly",
                f"held back: {seen[0]:.1f} s of nothing, then {len(seen)} pieces in {spread * 1000:.0f} ms; {usage}",
                "switch off buffering in the proxy before the relay (nginx: proxy_buffering off)",
            )
        pace = f"the first after {seen[0]:.2f} s, then one every {spread / (len(seen) - 1) * 1000:.0f} ms"
        return _Finding("yes", f"{len(seen)} pieces, {pace}; {usage}")

    async def _timed(self, fields: ChatFields) -> tuple[ChatCompletion, list[float]]:
        """Ask for a stream; note after how many seconds each piece of its text came."""
        message = {"role": "user", "content": "Count from 1 to 40, with spaces between the numbers."}
        started, seen = time.monotonic(), list[float]()
        opening = self.client.chat.completions.create(model=self._model, messages=[message], stream=True, **fields)
        async with await opening as stream:
            async for chunk in stream:
                if chunk.text:
                    seen.append(time.monotonic() - started)
            answer = await stream.completion()
        self._count(answer)
        return answer, seen

    async def picture(self) -> _Finding:
        """Show stripes of colours drawn by lot: who names these and no others has seen them."""
        drawn = random.sample(list(_COLOURS), 3)
        answer = await self.client.analyze(
            _stripes([_COLOURS[name][0] for name in drawn]),
            "Which colours are the stripes of this picture? Name the colours only.",
            model=self._model,
            detail="low",
        )
        self._count(answer)
        named = {name for name, (_, words) in _COLOURS.items() if re.search(words, answer.text, re.IGNORECASE)}
        if named == set(drawn):
            return self._worded(answer)
        seen = f"it was shown {', '.join(drawn)} stripes, and said: {_quoted(answer)}"
        advice = "this model may not see, or the relay drops pictures on the way; try another --model"
        return _Finding("no", seen, advice, _BROKEN_ANSWER)

    async def picture_at(self, url: str | None) -> _Finding:
        """Have the relay fetch a picture. Only a person can say whether it is the one that was seen."""
        if url is None:
            return _Finding("untried", "an address the relay can reach is needed (--picture)")
        question = "What does this picture show? At most ten words."
        answer = await self.client.analyze(url, question, model=self._model, detail="low")
        self._count(answer)
        return _Finding("yes", f"it was shown the address, and said: {_quoted(answer)}", "is that your picture?")

    async def tools(self) -> _Finding:
        """See whether a tool that was offered is called."""
        fields: ChatFields = {"tools": [_TOOL], "tool_choice": "auto"}
        answer = await self._ask("What is the weather in Oslo now? Use the tool.", fields)
        for call in answer.message.tool_calls or []:
            name, arguments = call.function.name or "", call.function.arguments or ""
            if name == "get_weather" and _object(arguments) is not None:
                return _Finding("yes", f"called {name}({printable(arguments, 60)})")
            return _Finding("partly", f"called {printable(name, 60)}({printable(arguments, 60)}), which is no JSON")
        advice = "use a model that knows tools; some relays drop the field on the way"
        return _Finding("no", f"the tool was not called; it said: {_quoted(answer)}", advice)

    async def schema(self) -> _Finding:
        """See whether an answer keeps to a schema whose names the question does not give away."""
        shape = {"name": "town", "strict": True, "schema": _SCHEMA}
        fields: ChatFields = {"response_format": {"type": "json_schema", "json_schema": shape}}
        answer = await self._ask("In which town does the Eiffel tower stand, and how many letters has it?", fields)
        if (_object(answer.text) or {}).keys() == _SCHEMA["properties"].keys():
            return _Finding("yes", printable(answer.text, 80))
        advice = "ask for JSON in the prompt, and check what comes"
        return _Finding("no", f"the schema was not kept to; it said: {_quoted(answer)}", advice)

    async def draw(self, model: str | None) -> _Finding:
        """Order one picture, if that was asked for, and keep it: it is paid for."""
        if model is None:
            return _Finding("untried", "it costs a picture (--draw)")
        async with await self.client.generate("A small red circle on white.", model=model, stream=True) as stream:
            answer = await stream.completion()
        self._count(answer)
        image = answer.images[0]
        place = await rescue(image)
        size = f"{image.mime}, {amount(image.size_bytes)}, " if image.size_bytes else ""
        return _Finding("yes", f"{size}kept: {place}")

    async def speak(self, model: str | None) -> _Finding:
        """Have one word said, if that was asked for."""
        if model is None:
            return _Finding("untried", "it costs a word of speech (--speak)")
        sound = await self.client.audio.speech.create(model=model, voice="alloy", input="Hello.")
        return _Finding("yes", f"{sound.mime}, {amount(sound.size_bytes)}")

    async def _ask(self, question: str, fields: ChatFields | None = None) -> ChatCompletion:
        message = {"role": "user", "content": question}
        more: ChatFields = fields or {}
        answer = await self.client.chat.completions.create(model=self._model, messages=[message], **more)
        self._count(answer)
        return answer

    def _count(self, answer: ChatCompletion) -> None:
        """Add up what the relay says it counted; one answer without usage, and the sum is unknown."""
        counted = answer.usage.total_tokens if answer.usage else None
        self._tokens = None if self._tokens is None or counted is None else self._tokens + counted

    def _worded(self, answer: ChatCompletion) -> _Finding:
        """Judge an answer in words by whether there are any."""
        if not answer.text.strip():
            advice = "a model that thinks may have no room left; try another --model"
            return _Finding("no", f"no words (finish_reason {answer.finish_reason})", advice, _BROKEN_ANSWER)
        usage = f"{answer.usage.total_tokens} tokens" if answer.usage else "no usage"
        return _Finding("yes", f"{_quoted(answer)} in {answer.meta.elapsed_s:.1f} s; {usage}")

    def summed_up(self, findings: list[_Finding]) -> str:
        """Say in a sentence or two what the relay can do, and what it took to find out."""
        ground = [each for each in findings if each.name in _GROUNDWORK and each.result in {"partly", "no"}]
        able = [each for each in findings if each.name not in _GROUNDWORK]
        found = {"To put right": [each.name for each in ground]}
        for result, words in {"yes": "It can", "partly": "Partly", "no": "It cannot", "untried": "Not tried"}.items():
            found[words] = [each.name for each in able if each.result == result]
        parts = [f"{words}: {', '.join(names)}." for words, names in found.items() if names]
        spent = "some questions came back without a count" if self._tokens is None else f"{self._tokens} tokens"
        return f"{' '.join(parts)} Spent: {spent}, {time.monotonic() - self._started:.1f} s."

    def described(self, findings: list[_Finding], *, works: bool) -> dict[str, Any]:
        """Describe it all as JSON has it."""
        checks = [
            {"name": each.name, "result": each.result, "detail": each.detail, "advice": each.advice or None}
            for each in findings
        ]
        return {
            "works": works,
            "base_url": self.client.base_url,
            "model": self._model,
            "checks": checks,
            "total_tokens": self._tokens,
            "elapsed": round(time.monotonic() - self._started, 3),
        }


# --- what is asked, and how it is told -------------------------------------------------------------------------------

_NO_API = (errors.NotFoundError, errors.APIResponseValidationError, errors.APIConnectionError)
_ABOUT_THE_KEY = (errors.AuthenticationError, errors.PermissionDeniedError, errors.InsufficientQuotaError)
_GROUNDWORK = frozenset({"address", "models", "key"})
_NEEDED = frozenset({"chat", "picture (base64)"})
_ADVICE = {
    "models": "other calls may work all the same",
    "chat": "try another --model",
    "stream": "ask for whole answers (--json, and no stream=True), or have timeouts and proxies on the way looked at",
    "picture (base64)": "try another --model; not every model sees",
    "picture (URL)": "give pictures as files: they travel inside the request",
    "tools": "try another --model, or do without",
    "JSON schema": "ask for JSON in the prompt, and check what comes",
}
_NO_MATTER_OF_THE_MODEL = (errors.AuthenticationError, errors.RateLimitError, errors.PayloadTooLargeError)
_NARROW = 60
_BESIDE = 27  # Columns of what stands beside the text.


async def _list(client: TutuClient) -> ModelList | APIError:
    try:
        return await client.with_options(max_retries=0).models.list()
    except APIError as error:
        return error


class _Source(NamedTuple):
    """Where the address comes from, and how it was written there."""

    name: str
    url: str


def _source(given: str | None) -> _Source:
    if given:
        return _Source("--base-url", given)
    named = next((name for name in ("TUTU_BASE_URL", "OPENAI_BASE_URL") if os.environ.get(name)), None)
    return _Source(named, os.environ[named]) if named else _Source("the default (TUTU_BASE_URL is not set)", "")


def _variants(url: str) -> list[str]:
    """Give the other addresses at which the API of such an address may be; all on the same origin."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    head = f"{scheme}://{host}"
    cut = re.match(r"(.*?/)?v1(?=/|$)", path)
    found: list[str] = []
    if cut:
        found.append(f"{head}/{cut[0]}")
        if cut[1]:
            found.append(f"{head}/{cut[1].rstrip('/')}")
    else:
        found.append(f"{url}/v1")
    return [each for each in dict.fromkeys([*found, f"{head}/v1"]) if each != url]


def _advice_on_address(url: str, error: TutuError) -> str:
    scheme, _, rest = url.partition("://")
    if isinstance(error, errors.APIResponseValidationError):
        ending = "" if url.endswith("/v1") else ", which mostly ends in /v1"
        return f"this is no API; ask its operator for the address{ending}"
    if scheme == "https" and "TLS with the relay failed" in error.message:
        return f"if it has no TLS, use http://{rest}; the key then goes over the network for all to read"
    if scheme == "http" and error.outcome != "not_sent":
        return f"if it speaks TLS, use https://{rest}"
    return ""


def _stripes(colours: list[tuple[int, int, int]]) -> bytes:
    """Draw upright stripes as a PNG, without Pillow.

    Source: PNG specification (third edition), sections 5 and 11.
    """
    width, height = 96, 96
    line = b"\0" + b"".join(bytes(colour) * (width // len(colours)) for colour in colours)

    def piece(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", head) + piece(b"IDAT", zlib.compress(line * height)) + piece(b"IEND", b"")
    )


def _object(text: str) -> dict[str, Any] | None:
    try:
        value: Any = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _quoted(answer: ChatCompletion) -> str:
    return f"“{printable(answer.text.strip(), 80)}”"


def _tell_the_cost(model: str, image_model: str | None, speech_model: str | None) -> None:
    order = f"; and {printable(image_model)} draws one picture, paid for like any other" if image_model else ""
    order += f"; and {printable(speech_model)} says one word" if speech_model else ""
    note(
        f"this asks {printable(model)} a few short questions, some 500 tokens (more if it thinks or looks closely)"
        f"{order or '; no picture is ordered, no sound'}"
    )


def _wrapped(text: Text, width: int) -> list[Text]:
    """Break a text into lines of this width at its spaces, and nowhere else."""
    lines: list[Text] = []
    for paragraph in text.split("\n"):
        line = Text()
        for word in paragraph.split(" "):
            if line and line.cell_len + 1 + word.cell_len > width:
                lines.append(line)
                line = Text()
            line = Text.assemble(line, " ", word) if line else word
        lines.append(line)
    return lines


def _in_a_pipe() -> bool:
    return not sys.stdout.isatty()


def _show(finding: _Finding) -> None:
    """Print a line of the table, or what fits of it side by side."""
    advice = f"→ {finding.advice}" if finding.advice else ""
    if _in_a_pipe():
        write(f"{finding.result:<8} {finding.name:<16} {' '.join(filter(None, (finding.detail, advice)))}\n")
        return
    console = Console(highlight=False)
    mark, name = Text(finding.result, _STYLES[finding.result]), Text(finding.name, "bold")
    text = Text.assemble(finding.detail, *([("\n" if finding.detail else "", ""), (advice, "cyan")] if advice else []))
    column = console.width - _BESIDE
    if console.width < _NARROW or any(cell_len(word) > column for word in text.plain.split()):
        # What is longer than a line, such as a path, stays whole: a terminal knows it for one when it is copied.
        console.print(Text.assemble(mark, "  ", name))
        for line in _wrapped(text, console.width - 2):
            console.print(Text.assemble("  ", line), soft_wrap=True)
        return
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=8)
    table.add_column(width=16)
    table.add_column(ratio=1, overflow="fold")
    table.add_row(mark, name, text)
    console.print(table)
