"""The named faults of ``tutuclient.testing``, played against tutuclient and against openai-python.

``python -m benchmarks faults`` asks both the same question of the same relay for every fault, with ``timeout=1`` and
everything else as it is by default. The question orders a picture (``gpt-4o-image``), so that sending it again may
cost money; in the group "reuse" it is a plain chat, and asked twice. A fault stays until the question is done: who
sends again meets it again. A client passes a fault when all of this is so; the cell names what is not.

1. It tells the truth. What is expected comes from the fault model (``.github/DESIGN.md``, the column
   "expected"): an exception for an answer that is cut, broken or an error, whatever its status; the right text for one
   that is odd but whole; either where the model allows both, but never another text and never an empty one. Any
   exception counts, also one of the HTTP library below ("foreign" in the table: the client's own base class does not
   catch it). A call that returns without one has claimed success, even when reading its text then fails.
2. It ends within 5 s: five times the timeout it was given, room enough for two retries with their pauses.
3. It does not send again what may have been done and billed: after the request was read there is one request, except
   where the relay said that it did nothing: 413, 429, 500, 503 (a burst is 500 and then 502), an error in place of a
   whole answer or as the first frame of a stream.
4. It leaves nothing running: a second after the call has ended the relay is no longer busy with it.
5. It takes no more than 200 MB for it.
6. The next call of the same client gets its own answer.

The group "connecting" has no relay to look at, so only 1, 2 and, where a request was read, 3 count there.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.contenders import OPENAI, OURS
from benchmarks.meter import Meter, metered
from benchmarks.table import lines
from tutuclient.testing import FAULTS, Fault, Server, raw_server, says, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.rounds import Workers

NAMES = (OURS, OPENAI)
_ASKERS = {OURS: "ours", OPENAI: "openai_sdk"}
_TEXT = "one two three four five six"
_NEXT = "all is well again"
_PICTURES, _CHAT = "gpt-4o-image", "gpt-4o"
_TIMEOUT_S = 1.0
_LONGEST_S = 5.0
_PATIENCE_S = 1.0
_MOST_MB = 200
_FOR_EVER = 20

ERROR = "error"
"""Expected: an exception."""

# The rows of the fault model that are not plainly "error": the text that is right, and whether an exception is too.
_RIGHT = {
    "gzip_label_on_plain": (_TEXT, True),
    "two_objects": (_TEXT, True),
    "error_behind_answer": (_TEXT, True),
    "enveloped": (_TEXT, True),
    "sse_unasked": (_TEXT, True),
    "json_for_stream": (_TEXT, True),
    "invalid_utf8": ("caf\ufffd", True),
    "lone_surrogate": ("half \ufffd", True),
    "number_1e999": (_TEXT, True),
    "nan": (_TEXT, True),
    "deep_nesting": (_TEXT, True),
    "huge_integer": (_TEXT, True),
    "huge_headers": (_TEXT, True),
    "interim_answers": (_TEXT, True),
    "encoding_none": (_TEXT, True),
    "brownout": (_TEXT, True),
    "done_then_silence": (_TEXT, False),
    "finish_without_done": (_TEXT, False),
    "enveloped_frames": (_TEXT, True),
    "done_without_finish": (_TEXT, False),
    "done_unterminated": (_TEXT, False),
    "done_twice": (_TEXT, False),
    "done_then_data": (_TEXT, False),
    "ignorable_frames": (_TEXT, False),
    "bom": (_TEXT, False),
    "byte_by_byte": (f"{_TEXT} 你好🙂", False),
    "wrong_content_type": (_TEXT, False),
    "wrong_charset": (f"{_TEXT} 你好", False),
    "message_event": (_TEXT, False),
    "cr": (_TEXT, False),
    "crlf": (_TEXT, False),
    "one_http_chunk": (_TEXT, False),
    **dict.fromkeys(("json_lines", "done_glued", "done_bare", "junk_behind_end", "message_repeats"), (_TEXT, True)),
}
_FLOOD_BYTES = 2**20
_OPTIONS: Mapping[str, dict[str, Any]] = {"flood": {"size": _FLOOD_BYTES}}
# How many requests are right where one is not: the relay said that it had done nothing.
_MAY_SEND = {
    **dict.fromkeys(("status", "empty_429", "early_413", "huge_error_body", "brownout"), 3),
    **dict.fromkeys(("ok_with_error_object", "ok_with_error_string", "ok_with_code_msg", "ok_with_detail"), 3),
    **dict.fromkeys(("ok_with_base_resp", "ok_with_error_list", "empty_account"), 3),
    **dict.fromkeys(("success_false", "error_frame_first", "error_without_data_prefix"), 3),
    "burst": 2,
}
# The relay of these reads what it is sent.
_READ_BY_RAW = {"accept_silent"}


class Asker(Protocol):
    """A client, asked in the way of its documentation."""

    error: type[Exception]

    def __init__(self, base_url: str, timeout_s: float) -> None: ...

    async def whole(self, model: str) -> Any:
        """Send a call; return what the client returns."""

    async def streamed(self, model: str) -> str:
        """Read a stream to its end; return its text."""

    async def aclose(self) -> None:
        """Close all connections."""


@dataclass(frozen=True)
class Ended:
    """How a question ended.

    Attributes:
        answered: It returned without an exception.
        text: What it said; None where no text could be read.
        error: The exception's class, or "".
        foreign: The exception is none of the client's own.
        took_s: Seconds.
    """

    answered: bool
    text: str | None
    error: str
    foreign: bool
    took_s: float


def expected(name: str) -> str:
    """Return what is expected of a fault, for the table."""
    text, or_error = _right(FAULTS[name])
    if text is None:
        return ERROR
    return "text or error" if or_error else "text"


def _right(fault: Fault) -> tuple[str | None, bool]:
    if fault.group == "reuse":
        return _TEXT, False
    if fault.name == "flood":
        return "", False  # Words without number: _untrue counts them.
    return _RIGHT.get(fault.name, (None, True))


async def play_all(contender: str) -> dict[str, dict[str, Any]]:
    """Run every fault against a client, in this process.

    Returns:
        By fault: ``wrong`` (a text for each of the six things that is not so), ``detail`` and ``foreign``.
    """
    warnings.simplefilter("ignore")
    made: type[Asker] = import_module(f"benchmarks.contenders.{_ASKERS[contender]}").Asker
    async with raw_server("refused") as nowhere:  # Pays for the imports.
        await _ask(made, made(nowhere.base_url, _TIMEOUT_S), stream=False, model=_CHAT)
    found = {}
    for name, fault in FAULTS.items():
        play = _play_connecting if fault.group == "connecting" else _play
        ended, wrong = await play(made, fault)
        detail = ended.error or repr(ended.text if ended.text is None else ended.text[:40])
        found[name] = {"wrong": list(filter(None, wrong)), "detail": detail, "foreign": ended.foreign}
    return found


async def _play_connecting(made: type[Asker], fault: Fault) -> tuple[Ended, list[str]]:
    async with raw_server(fault.name) as server:
        asker = made(server.base_url, _TIMEOUT_S)
        ended = await _ask(made, asker, stream=False, model=_PICTURES)
        await asker.aclose()
        sent = server.connections if fault.name in _READ_BY_RAW else 1
        return ended, [_untrue(fault, ended), _hang(ended), _again(fault, sent)]


async def _play(made: type[Asker], fault: Fault) -> tuple[Ended, list[str]]:
    reuse = fault.group == "reuse"
    with serve_in_thread() as server:
        asker = made(server.base_url, _TIMEOUT_S)
        server.faults(fault.name, times=1 if reuse else _FOR_EVER, **_OPTIONS.get(fault.name, {}))
        async with metered() as meter:
            ended = await _ask(made, asker, stream=fault.group == "stream", model=_CHAT if reuse else _PICTURES)
        again = "" if reuse else _again(fault, len(server.requests))
        wrong = [_untrue(fault, ended), _hang(ended), again, await _left(server), _memory(meter)]
        server.reset()
        server.answers(*[says(_NEXT)] * _FOR_EVER)
        # What a server does to an idle connection it does a little later.
        await asyncio.sleep(0.1 if reuse else 0)
        after = await _ask(made, asker, stream=False, model=_CHAT)
        await asker.aclose()
    if after.text != _NEXT:
        wrong.append(f"next call: {after.error or repr(after.text)}")
    return ended, wrong


async def _ask(made: type[Asker], asker: Asker, *, stream: bool, model: str) -> Ended:
    began = time.perf_counter()
    answer: Any = None
    try:
        async with asyncio.timeout(_LONGEST_S) as limit:
            answer = await asker.streamed(model) if stream else await asker.whole(model)
    except Exception as error:  # noqa: BLE001  (whatever comes is what is looked at)
        hung = limit.expired()
        took = max(_LONGEST_S, time.perf_counter() - began) if hung else time.perf_counter() - began
        foreign = not isinstance(error, made.error) and not hung
        return Ended(answered=False, text=None, error=type(error).__name__, foreign=foreign, took_s=took)
    took = time.perf_counter() - began
    return Ended(answered=True, text=_text_of(answer), error="", foreign=False, took_s=took)


def _text_of(answer: Any) -> str | None:
    if isinstance(answer, str):
        return answer
    try:
        text = answer.choices[0].message.content
    except (AttributeError, LookupError, TypeError):
        return None
    return text if isinstance(text, str) else None


def _untrue(fault: Fault, ended: Ended) -> str:
    right, or_error = _right(fault)
    if not ended.answered:
        return "" if or_error or ended.took_s >= _LONGEST_S else f"refused: {ended.error}"
    said = "no text" if ended.text is None else repr(ended.text[:24])
    if right is None:
        return f"success: {said}"
    if fault.name == "flood":
        right = "word " * (len(ended.text or "") // 5 or 1)
    return "" if ended.text == right else f"wrong text: {said}"


def _hang(ended: Ended) -> str:
    return f"hangs {ended.took_s:.0f} s" if ended.took_s >= _LONGEST_S else ""


def _again(fault: Fault, sent: int) -> str:
    return f"sent {sent} times" if sent > _MAY_SEND.get(fault.name, 1) else ""


async def _left(server: Server) -> str:
    try:
        await server.until(lambda: not server.in_flight, _PATIENCE_S)
    except TimeoutError:
        return "left running"
    return ""


def _memory(meter: Meter) -> str:
    return f"takes {meter.peak_mb:.0f} MB" if meter.peak_mb > _MOST_MB else ""


def run(workers: Workers, say: Callable[[str], object]) -> dict[str, dict[str, dict[str, Any]]]:
    """Run all faults against all clients, each in a process of its own.

    Raises:
        RuntimeError: A worker failed.
    """
    results = {}
    for name in NAMES:
        say(f"faults: {name}")
        answer = workers.ask(name, faults=True)
        if "missing" in answer:
            say(f"{name}: left out, {answer['missing']} is not installed")
            continue
        if "faults" not in answer:
            raise RuntimeError(f"{name}: {answer}")
        results[name] = answer["faults"]
    return results


def tables(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Yield the table of every fault with its outcome in each client, and the totals."""
    rows: list[Sequence[str]] = [["fault", "group", "expected", *results]]
    for name, fault in FAULTS.items():
        cells = [_cell(found[name]) for found in results.values()]
        rows.append([name, fault.group, expected(name), *cells])
    yield from lines(rows)
    groups = Counter(fault.group for fault in FAULTS.values())
    rows = [["passes", "faults", *results]]
    for group, number in groups.items():
        passed = [_passed(found, group) for found in results.values()]
        rows.append([group, str(number), *map(str, passed)])
    rows.append(["all", str(len(FAULTS)), *(str(_passed(found)) for found in results.values())])
    foreign = [sum(bool(each["foreign"]) for each in found.values()) for found in results.values()]
    rows.append(["exceptions not its own", "", *map(str, foreign)])
    for kind, label in _KINDS.items():
        failed = [
            sum(any(text.startswith(kind) for text in each["wrong"]) for each in found.values())
            for found in results.values()
        ]
        rows.append([f"fails: {label}", "", *map(str, failed)])
    yield ""
    yield from lines(rows)


_KINDS = {
    "success": "1, success for what is none",
    "wrong text": "1, a wrong text for an odd answer",
    "refused": "1, a good answer refused",
    "hangs": "2, no end within 5 s",
    "sent": "3, sent again though it may be billed",
    "left": "4, left running at the relay",
    "takes": f"5, more than {_MOST_MB} MB",
    "next": "6, the next call fails",
}


def _cell(found: Mapping[str, Any]) -> str:
    foreign = ", foreign" if found["foreign"] else ""
    if found["wrong"]:
        return f"{', '.join(found['wrong'])}{foreign}"
    return f"pass ({found['detail']}{foreign})"


def _passed(found: Mapping[str, Mapping[str, Any]], group: str | None = None) -> int:
    return sum(not each["wrong"] for name, each in found.items() if group in {None, FAULTS[name].group})
