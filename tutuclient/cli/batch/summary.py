"""What a run has come to, for people and for programs, and how it goes on; and what a run would send."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from tutuclient.batch import folder
from tutuclient.batch.items import digest
from tutuclient.batch.keys import Keys
from tutuclient.batch.lines import encodable
from tutuclient.batch.progress import clock, short
from tutuclient.cli.output import human_size, note, print_error, print_json, write
from tutuclient.cli.running import as_options
from tutuclient.errors import printable
from tutuclient.types.json import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tutuclient.batch.result import BatchSummary
    from tutuclient.cli.batch.command_file import Command
    from tutuclient.cli.batch.sources import Source
    from tutuclient.types.account import Balance

CLOSED: Final = 5
UNREACHED: Final = 6
FAILURES: Final = 9
BUDGET: Final = 10
_SHOWN: Final = 5


@dataclass
class Ended:
    """What a run has come to.

    Attributes:
        summary: It in numbers.
        total: Items that there are.
        code: The exit code.
        error: What stopped it, in words.
        interrupted: How often it was told to stop.
        tasks: Orders that were answered with a task, and were not waited for.
    """

    summary: BatchSummary
    total: int
    code: int = 0
    error: str = ""
    interrupted: int = 0
    tasks: list[str] = field(default_factory=list[str])


def status_if_any(run: Path) -> folder.Status | None:
    """Return the numbers of a run that is there; None where there is none yet."""
    return folder.status(run) if (run / "run.json").exists() else None


def print_status(run: Path, *, as_json: bool) -> None:
    """Print what a run has come to so far, as its folder has it."""
    from tutuclient.cli.batch.command_file import load

    found, config, command = folder.status(run), folder.config(run).config, load(run)
    failed = sum(found.failed.values())
    left = None if command is None else max(0, command.total - found.items)
    if as_json:
        print_json({**found._asdict(), "run": str(run), "left": left, "config": config})
        return
    lines = [f"{found.answered:,} answered, {failed:,} failed{'' if left is None else f', {left:,} left'}"]
    lines += _details(found.failed, found.messages, found.unknown, found.tasks)
    lines.append(f"  {short(found.tokens_in)} tokens in, {short(found.tokens_out)} out, {found.images:,} images saved")
    if found.last:
        lines.append(f"  from {_moment(found.first)} to {_moment(found.last)}, {clock(found.last - found.first)}")
    shown = {name: value for name, value in config.items() if value is not None and name != "task"}
    lines.append(f"  {config.get('task', '?')}: {', '.join(f'{n} {printable(str(v), 100)}' for n, v in shown.items())}")
    if found.damaged:
        lines.append(f"  {found.damaged:,} lines of the journal are damaged, and left out")
    write("".join(f"{line}\n" for line in lines))


def _moment(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _details(
    failed: Mapping[str, int], messages: Mapping[str, str], unknown: Sequence[str], tasks: Sequence[str]
) -> list[str]:
    """Return what failed, class by class, what is unknown, and what the relay is still at."""
    lines = [
        f"  {count:,} x {name}{', such as' if count > 1 else ''}: {as_options(printable(messages.get(name, ''), 300))}"
        for name, count in sorted(failed.items(), key=lambda pair: -pair[1])[:_SHOWN]
    ]
    if unknown:
        shown = ", ".join(printable(each, 80) for each in unknown[:_SHOWN])
        more = " …" if len(unknown) > _SHOWN else ""
        lines.append(f"  {len(unknown):,} of unknown outcome, maybe done and billed: {shown}{more}")
    if tasks:
        lines.append(f"  {len(tasks):,} ordered and answered with a task, which the same command waits for")
    return lines


def print_summary(ended: Ended, price: dict[str, Any] | None, run: Path, command: Command, *, as_json: bool) -> None:
    """Print what a run has come to on stdout, and what stopped it on stderr."""
    if as_json:
        print_json(_fields(ended, price, run))
    else:
        write("".join(f"{line}\n" for line in _lines(ended, price, run, command)))
    if ended.error:
        print_error(ended.error)


def balance_words(balance: Balance) -> str:
    """Return what is left on a key, in words."""
    if balance.unlimited or balance.remaining is None:
        return "no limit" if balance.unlimited else "an unknown amount"
    return f"{balance.remaining:,.6g}{f' {balance.unit}' if balance.unit else ''}"


def spent(before: Balance | None, after: Balance | None) -> float:
    """Return what the key has lost between two balances; 0 where that is not known."""
    if before is None or after is None:
        return 0.0
    if before.used is not None and after.used is not None:
        return max(0.0, after.used - before.used)
    if before.remaining is not None and after.remaining is not None:
        return max(0.0, before.remaining - after.remaining)
    return 0.0


def _fields(ended: Ended, price: dict[str, Any] | None, run: Path) -> dict[str, Any]:
    found = ended.summary
    return {
        "run": str(run),
        "answered": found.done,
        "failed": dict(found.failed),
        "deferred": found.deferred,
        "answered_before": found.skipped,
        "failed_before": found.failed_before,
        "unknown": found.unknown,
        "tokens": found.tokens,
        "images": found.images,
        "requests": found.requests,
        "refusals": found.refusals,
        "elapsed": round(found.elapsed_s, 3),
        "rate": found.rate,
        "window": found.window,
        "stopped": ended.error or ("interrupted" if ended.interrupted else None),
        "price": price,
    }


def _lines(ended: Ended, price: dict[str, Any] | None, run: Path, command: Command) -> list[str]:
    """Return the summary for people, and how to go on."""
    found, failed = ended.summary, sum(ended.summary.failed.values())
    shared = f" ({found.shared:,} by the answer of an equal one)" if found.shared else ""
    counts = [f"{found.done:,} answered{shared}", f"{failed:,} failed"]
    counts += [f"{found.skipped:,} answered before"] if found.skipped else []
    counts += [f"{found.failed_before:,} failed before"] if found.failed_before else []
    pace = "" if found.rate is None else f", pace {found.rate:.3g}/s"
    lines = [
        f"{', '.join(counts)}; {short(found.tokens)} tokens, {found.elapsed_s:.1f} s, {found.refusals:,} refused{pace}"
    ]
    lines += _details(found.failed, found.advice, found.unknown, ended.tasks)
    lines += _priced(price)
    return lines + _how_to_go_on(ended, price, run, command)


def _priced(price: dict[str, Any] | None) -> list[str]:
    if price is None or not price["left"]:
        return []
    listed = f"{price['listed']:,.3g} USD by the relay's price page, for its usual group" if "listed" in price else ""
    if price["tokens"] is None and listed:
        return [f"  the {price['left']:,} left would take {listed}"]
    if price["tokens"] is None:
        return [f"  the {price['left']:,} left cannot be priced: the relay tells no tokens"]
    money = ""
    if "money" in price:
        unit = f" {price['unit']}" if price["unit"] else ""
        money = f", and {price['money']:,.3g}{unit} by what the balance lost meanwhile (also to other users of the key)"
    money += f"; {listed}" if listed else ""
    each = f"{price['tokens_an_item']:,.0f} tokens an item"
    return [f"  the {price['left']:,} left would take about {short(price['tokens'])} tokens ({each}){money}"]


def _how_to_go_on(ended: Ended, price: dict[str, Any] | None, run: Path, command: Command) -> list[str]:
    found, name = ended.summary, shlex.quote(printable(str(run), 4000))
    failed = sum(found.failed.values())
    lines: list[str] = []
    if ended.code not in {0, FAILURES} or ended.error:
        more = " with a higher --budget" if ended.code == BUDGET else ""
        lines.append(f"  to go on: the same command again{more}; what is answered is not asked again")
    if failed > found.deferred or found.failed_before:
        rest = ", and answers the rest, which --budget bounds" if price is not None or ended.code == BUDGET else ""
        lines.append(f"  tutuclient batch retry {name}    tries again what failed{rest}")
    if found.unknown and command.task != "ask":
        lines.append(f"  tutuclient batch retry {name} --resend-unknown    orders again what may be paid for already")
    if found.done or found.skipped:
        lines.append(f"  tutuclient batch export {name} -o answers.csv")
    return lines


def print_dry_run(command: Command, source: Source, run: Path, address: str) -> None:
    """Print what would be sent, and send nothing."""
    known = Keys() if status_if_any(run) is None else Keys(digest(record.id) for record in folder.results(run))
    size = new = own = 0
    first: list[str] = []
    for entry in source.read():
        new += digest(encodable(entry.name)) not in known
        size += _size(entry.item)
        own += is_object(entry.item) and "prompt" in entry.item
        if len(first) < _SHOWN:
            first.append(printable(entry.name, 100))
    sent = f", of which {new:,} are not in {printable(str(run))} yet" if len(known) else ""
    prompt = printable(command.prompt or "of each item", 300)
    if command.prompt and own:
        prompt += f" (but {own:,} of the items {'has its' if own == 1 else 'have their'} own)"
    lines = [
        f"{source.what}, to {command.task}{sent}{f'; {human_size(size)} of files' if size else ''}",
        f"  first: {', '.join(first)}{' …' if source.total > len(first) else ''}",
        f"  model: {printable(command.model)} at {printable(address)}",
        f"  prompt: {prompt}",
    ]
    more = {**command.fields, **({"max_side": command.max_side} if command.max_side else {})}
    lines += [f"  {name}: {printable(str(value), 80)}" for name, value in more.items()]
    if command.schema is not None:
        names = ", ".join(map(printable, command.schema["properties"]))
        lines.append(f"  answers: {printable(command.schema_name)} ({names})")
    write("".join(f"{line}\n" for line in lines))
    for text in source.notes:
        note(text)
    note("nothing was sent (--dry-run)")


def _size(item: Any) -> int:
    """Return the bytes of an item's files, as far as they are there."""
    if isinstance(item, Path):
        try:
            return item.stat().st_size
        except OSError:  # It fails when it is sent, and says so.
            return 0
    if isinstance(item, list | tuple):
        return sum(map(_size, cast("list[Any]", item)))
    if isinstance(item, dict):
        found = cast("dict[str, Any]", item)
        return _size(found.get("image")) + _size(found.get("images"))
    return 0
