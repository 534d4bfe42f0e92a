"""The command doctor: what this relay can do, what it cannot, and what to change.

Each thing is tried as a program would use it, with the smallest question that
shows it, and judged by what came back: an image's colours have to be named, a
schema's unusual names have to come back, a stream has to arrive in pieces. What
could not be found out is reported as such.
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
from tutuclient.cli.arguments import CONNECTION, ApiKey, AsJson, BaseUrl, Debug, Model, make_client
from tutuclient.cli.output import Spinner, human_size, note, print_json, write
from tutuclient.cli.output_files import save_to_temp
from tutuclient.cli.running import error_message, exit_code, reporting_errors, run
from tutuclient.errors import APIError, ConfigError, TutuError, printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tutuclient.client import TutuClient
    from tutuclient.types import ChatCompletion, ChatFields, ModelList

_TIMEOUT_S = 60.0
_BROKEN_ANSWER = 8
# A stream that took at least so long was held back if all of it came within this share of the time.
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


ImageUrl = Annotated[
    str | None,
    typer.Option(
        "--image-url",
        "--picture",
        metavar="URL",
        help="An image that the relay can reach, to see whether it fetches images.",
    ),
]


def doctor(
    *,
    model: Model = "gpt-4o",
    image_url: ImageUrl = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="Order one image as well. That is paid for like any other.")
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

    Asks a few short questions, which cost a few hundred tokens. Only --draw orders an image, only --speak speech.

    The exit code is 0 when a chat about an image works.

    Example: tutuclient doctor --model gpt-4o-mini
    """
    with reporting_errors(debug=debug):
        if image_url is not None and not image_url.startswith(("http://", "https://")):
            raise ConfigError("--image-url takes the http:// or https:// URL of an image that the relay can reach")
        image_model_asked, speech_model_asked = image_model if draw else None, speech_model if speak else None

        def connect(url: str | None) -> TutuClient:
            return make_client(api_key, url, timeout)

        async def work() -> int:
            async with connect(base_url) as client:
                doctor = _Doctor(client, model)
                checks: dict[str, Callable[[], Awaitable[_Finding]]] = {
                    "address": lambda: doctor.address(base_url, connect),
                    "models": doctor.models,
                    "key": doctor.key,
                    "chat": doctor.chat,
                    "stream": doctor.stream,
                    "image (base64)": doctor.image,
                    "image (URL)": lambda: doctor.image_at(image_url),
                    "tools": doctor.tools,
                    "JSON schema": doctor.schema,
                    "drawing": lambda: doctor.draw(image_model_asked),
                    "speech": lambda: doctor.speak(speech_model_asked),
                }
                _note_cost(model, image_model_asked, speech_model_asked)
                return _report(doctor, await doctor.run(checks, show=not as_json), as_json=as_json)

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
    """The checks of one relay. What an earlier check found out a later one knows.

    Attributes:
        client: The client in use; another than the first, when only another address works.
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

    async def run(self, checks: dict[str, Callable[[], Awaitable[_Finding]]], *, show: bool) -> list[_Finding]:
        """Run the checks in order, showing each as it ends, and close the client that the last of them used."""
        findings: list[_Finding] = []
        try:
            for name, check in checks.items():
                tried = not self.hopeless
                findings.append(await self._check(name, check))
                if tried and show:
                    _show(findings[-1])
        finally:
            await self.client.aclose()
        return findings

    async def _check(self, name: str, check: Callable[[], Awaitable[_Finding]]) -> _Finding:
        """Run one check, unless an earlier one made it pointless. An error is a finding too."""
        if self.hopeless:
            return _Finding("untried", self.hopeless, name=name)
        with Spinner(f"{self.client.base_url}: {name}"):
            try:
                finding = await check()
            except TutuError as error:
                code = exit_code(error) if name in _NEEDED else 0
                advice = "" if isinstance(error, _NO_MATTER_OF_THE_MODEL) else _ADVICE.get(name, "")
                finding = _Finding("no", error_message(error), advice, code)
        return finding._replace(name=name)

    async def address(self, option: str | None, client_at: Callable[[str], TutuClient]) -> _Finding:
        """Find the API: where it was said to be, with ``/v1`` and without."""
        asked = self.client.base_url
        source, written = _source(option)
        pasted = f" (written as {printable(written, 200)})" if written and written.rstrip("/") != asked else ""
        by = f", through the proxy {printable(self.client.proxy, 200)}" if self.client.proxy else ""
        here = f"{asked}, from {source}{pasted}{by}"
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
                advice = f"the API is at {url}: set {source} to it"
                return _Finding("no", f"{here}: no API there", advice, exit_code(first))
            await client.aclose()
        if isinstance(first, errors.NotFoundError):
            return _Finding("partly", f"{here}; something answers there, but it does not list models")
        self.hopeless = "not tried: the address has to work first"
        return _Finding("no", f"{here}: {error_message(first)}", _advice_on_address(asked, first), exit_code(first))

    async def models(self) -> _Finding:
        """Check which models are listed, and whether the one to be asked is among them."""
        if isinstance(self._models, _ABOUT_THE_KEY):
            return _Finding("untried", "this key may not list them")
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
        """Check whether the key is accepted, by asking something: some relays list models for everybody."""
        try:
            if isinstance(self._models, _ABOUT_THE_KEY):
                raise self._models
            self._first = await self._ask("Say hello in one word.")
        except _ABOUT_THE_KEY as error:
            self.hopeless = "not tried: the key has to work first"
            return _Finding("no", error_message(error), code=exit_code(error))
        except APIError as error:
            self._first = error
            return _Finding("untried", "no answer tells; see chat")
        return _Finding("yes", "accepted")

    async def chat(self) -> _Finding:
        """Judge the answer to the first question."""
        if isinstance(self._first, APIError):
            self.hopeless = "a chat comes first"
            raise self._first
        return self._worded(self._first)

    async def stream(self) -> _Finding:
        """Check whether an answer is streamed as it is generated."""
        try:
            # Without the field, new-api swallows the usage at the end of a stream (WIRE.md 3.3, item 3).
            answer, seen = await self._timed({"stream_options": {"include_usage": True}})
        except errors.BadRequestError:  # Some take no such field; the stream itself may be well.
            answer, seen = await self._timed({})
        usage = "usage at its end" if answer.usage else "no usage"
        if answer.finish_reason is None:
            usage += ", [DONE] and no finish_reason, so a cut-off answer looks like a complete one"
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
        """Request a stream; return the answer, and after how many seconds each piece of its text came."""
        # Long enough to take some time, and short enough to cost next to nothing.
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

    async def image(self) -> _Finding:
        """Show stripes of colours drawn by lot: who names these and no others has seen them."""
        # By lot, or a model that sees nothing could be right by guessing the usual ones.
        drawn = random.sample(list(_COLOURS), 3)
        answer = await self.client.analyze(
            _stripes([_COLOURS[name][0] for name in drawn]),
            "Which colours are the stripes of this image? Name the colours only.",
            model=self._model,
            detail="low",
        )
        self._count(answer)
        named = {name for name, (_, words) in _COLOURS.items() if re.search(words, answer.text, re.IGNORECASE)}
        if named == set(drawn):
            return self._worded(answer)
        seen = f"it was shown {', '.join(drawn)} stripes, and said: {_quoted(answer)}"
        advice = "this model may not see, or the relay drops images on the way; try another --model"
        return _Finding("no", seen, advice, _BROKEN_ANSWER)

    async def image_at(self, url: str | None) -> _Finding:
        """Check whether the relay fetches an image. Only a person can judge whether the model saw that one."""
        if url is None:
            return _Finding("untried", "it needs a URL that the relay can reach (--image-url)")
        question = "What does this image show? At most ten words."
        answer = await self.client.analyze(url, question, model=self._model, detail="low")
        self._count(answer)
        return _Finding("yes", f"the model got the URL, and answered: {_quoted(answer)}", "is that your image?")

    async def tools(self) -> _Finding:
        """Check whether a tool that was offered is called."""
        fields: ChatFields = {"tools": [_TOOL], "tool_choice": "auto"}
        answer = await self._ask("What is the weather in Oslo now? Use the tool.", fields)
        for call in answer.message.tool_calls or []:
            name, arguments = call.function.name or "", call.function.arguments or ""
            if name == "get_weather" and _object(arguments) is not None:
                return _Finding("yes", f"called {name}({printable(arguments, 60)})")
            return _Finding("partly", f"called {printable(name, 60)}({printable(arguments, 60)}), which is not JSON")
        advice = "use a model that knows tools; some relays drop the field on the way"
        return _Finding("no", f"the tool was not called; it said: {_quoted(answer)}", advice)

    async def schema(self) -> _Finding:
        """Check whether an answer follows a schema whose field names do not appear in the question."""
        shape = {"name": "town", "strict": True, "schema": _SCHEMA}
        fields: ChatFields = {"response_format": {"type": "json_schema", "json_schema": shape}}
        answer = await self._ask("In which town does the Eiffel tower stand, and how many letters has it?", fields)
        # By the names alone: whether Paris has five letters is no matter of the relay.
        if (_object(answer.text) or {}).keys() == _SCHEMA["properties"].keys():
            return _Finding("yes", printable(answer.text, 80))
        advice = "ask for JSON in the prompt, and check what comes"
        return _Finding("no", f"the schema was not kept to; it said: {_quoted(answer)}", advice)

    async def draw(self, model: str | None) -> _Finding:
        """Order one image, if that was asked for, and keep it: it is paid for."""
        if model is None:
            return _Finding("untried", "it would cost an image (--draw)")
        # As a stream, because a silent request is cut by proxies after 100 s and the image is billed all the same
        # (WIRE.md 4.3).
        async with await self.client.generate("A small red circle on white.", model=model, stream=True) as stream:
            answer = await stream.completion()
        self._count(answer)
        image = answer.images[0]
        place = await save_to_temp(image)
        size = f"{image.mime}, {human_size(image.size_bytes)}, " if image.size_bytes else ""
        return _Finding("yes", f"{size}kept: {place}")

    async def speak(self, model: str | None) -> _Finding:
        """Order one spoken word, if that was asked for."""
        if model is None:
            return _Finding("untried", "it would cost a word of speech (--speak)")
        sound = await self.client.audio.speech.create(model=model, voice="alloy", input="Hello.")
        return _Finding("yes", f"{sound.mime}, {human_size(sound.size_bytes)}")

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
        """Return a sentence or two on what the relay can do, and what it cost to find out."""
        ground = [each for each in findings if each.name in _GROUNDWORK and each.result in {"partly", "no"}]
        able = [each for each in findings if each.name not in _GROUNDWORK]
        found = {"To put right": [each.name for each in ground]}
        for result, words in {"yes": "It can", "partly": "Partly", "no": "It cannot", "untried": "Not tried"}.items():
            found[words] = [each.name for each in able if each.result == result]
        parts = [f"{words}: {', '.join(names)}." for words, names in found.items() if names]
        spent = "some questions came back without a count" if self._tokens is None else f"{self._tokens} tokens"
        return f"{' '.join(parts)} Spent: {spent}, {time.monotonic() - self._started:.1f} s."

    def as_json(self, findings: list[_Finding], *, works: bool) -> dict[str, Any]:
        """Describe it all as JSON has it."""
        checks = [
            {"name": each.name, "result": each.result, "detail": each.detail, "advice": each.advice or None}
            for each in findings
        ]
        return {
            "works": works,
            "base_url": self.client.base_url,
            "proxy": self.client.proxy,
            "model": self._model,
            "checks": checks,
            "total_tokens": self._tokens,
            "elapsed": round(time.monotonic() - self._started, 3),
        }


# --- Questions, advice and output ------------------------------------------------------------------------------------

_NO_API = (errors.NotFoundError, errors.APIResponseValidationError, errors.APIConnectionError)
_ABOUT_THE_KEY = (errors.AuthenticationError, errors.PermissionDeniedError, errors.InsufficientQuotaError)
_GROUNDWORK = frozenset({"address", "models", "key"})
_NEEDED = frozenset({"chat", "image (base64)"})
_ADVICE = {
    "models": "other calls may work all the same",
    "chat": "try another --model",
    "stream": "ask for whole answers (--json, and no stream=True), or have timeouts and proxies on the way looked at",
    "image (base64)": "try another --model; not every model sees",
    "image (URL)": "give images as files: they travel inside the request",
    "tools": "try another --model, or do without",
    "JSON schema": "ask for JSON in the prompt, and check what comes",
}
_NO_MATTER_OF_THE_MODEL = (errors.AuthenticationError, errors.RateLimitError, errors.PayloadTooLargeError)
_NARROW = 60
_BESIDE = 27  # Columns of what stands beside the text.


async def _list(client: TutuClient) -> ModelList | APIError:
    try:
        # Once: this may be one of several spellings of an address, and the next is tried at once.
        return await client.with_options(max_retries=0).models.list()
    except APIError as error:
        return error


def _source(option: str | None) -> tuple[str, str]:
    """Return where the address comes from, and how it was written there."""
    if option:
        return "--base-url", option
    named = next((name for name in ("TUTU_BASE_URL", "OPENAI_BASE_URL") if os.environ.get(name)), None)
    return (named, os.environ[named]) if named else ("the default (TUTU_BASE_URL is not set)", "")


def _variants(url: str) -> list[str]:
    """Return the other URLs at which this relay's API may be, all on the same origin."""
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
        return f"this is not the API; ask the relay's operator for its address{ending}"
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


def _note_cost(model: str, image_model: str | None, speech_model: str | None) -> None:
    order = f"; and {printable(image_model)} draws one image, paid for like any other" if image_model else ""
    order += f"; and {printable(speech_model)} says one word" if speech_model else ""
    note(
        f"this asks {printable(model)} a few short questions, some 500 tokens (more if it thinks or looks closely)"
        f"{order or '; no image and no speech is ordered'}"
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


def _report(doctor: _Doctor, findings: list[_Finding], *, as_json: bool) -> int:
    """Print what the checks found in all; return the exit code."""
    code = next((each.code for each in findings if each.code), 0)
    if as_json:
        print_json(doctor.as_json(findings, works=code == 0))
        return code
    if doctor.hopeless:
        _show(_Finding("untried", doctor.hopeless, name="all else"))
    write("\n")
    Console().print(Text(doctor.summed_up(findings)), soft_wrap=not sys.stdout.isatty())
    return code


def _show(finding: _Finding) -> None:
    """Print a line of the table, or what fits of it side by side."""
    advice = f"→ {finding.advice}" if finding.advice else ""
    if not sys.stdout.isatty():
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
