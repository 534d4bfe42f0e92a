"""The command embed: texts into vectors, a line of JSON each."""

from __future__ import annotations

import sys
import time
from itertools import chain, islice
from pathlib import Path  # noqa: TC003  (typer reads annotations at run time)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tutuclient.cli.arguments import ApiKey, AsJson, BaseUrl, Debug, Model, Seconds, make_client, stdin_lines
from tutuclient.cli.output import Spinner, call_fields, note, print_json, print_times, usage_fields, write
from tutuclient.cli.running import reporting_errors, run
from tutuclient.errors import ConfigError, TutuError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient.types import CreateEmbeddingResponse, EmbeddingFields

# So many texts go into one call: few enough for every model's limit, many enough to be quick.
_AT_ONCE = 100
_SHOWN_NUMBERS = 4


def embed(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT...", help="The texts; - or a pipe reads one a line from stdin.", show_default=False
        ),
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Read the texts from a file, one a line.")
    ] = None,
    model: Model = "text-embedding-3-small",
    dimensions: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How many numbers a vector is to have.")
    ] = None,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Embed texts as vectors; in a pipe, one line of JSON a text, with "text" and "embedding".

    Example: tutuclient embed "a red panda" "a cat"
    """
    with reporting_errors(debug=debug):
        lines = _texts(texts, file)
        fields: EmbeddingFields = {} if dimensions is None else {"dimensions": dimensions}

        async def work() -> None:
            started = time.monotonic()
            rows: list[dict[str, Any]] = []
            answers: list[CreateEmbeddingResponse] = []
            done = 0
            async with make_client(api_key, base_url, timeout) as client:
                # Batch by batch, so that a pipe that never ends is embedded as it comes.
                while batch := list(islice(lines, _AT_ONCE)):
                    with Spinner(f"{model} {done} done"):
                        try:
                            answer = await client.embeddings.create(model=model, input=batch, **fields)
                        except TutuError:
                            if done and not as_json:
                                note(f"the first {done} texts are done, and above")
                            raise
                    for text, vector in zip(batch, answer.data, strict=True):
                        if as_json:
                            rows.append({"text": text, "embedding": vector.embedding})
                        else:
                            _show(text, vector.embedding)
                    done += len(batch)
                    answers.append(answer)
            if not answers:
                raise ConfigError("no texts: there are only empty lines")
            if as_json:
                print_json({"embeddings": rows, **_summed(answers, started)})
            else:
                print_times(started, answers[-1].model, answers[-1].meta.request_id)

        run(work())


def _texts(texts: list[str] | None, file: Path | None) -> Iterator[str]:
    """Yield the texts one by one, so that a long file is never held whole. Empty lines are skipped."""
    sources = list(texts or [])
    if sources.count("-") > 1:
        raise ConfigError("stdin (-) was named twice")
    if not sources and file is None:
        sources = ["-"]
    parts = [stdin_lines("text") if text == "-" else iter([text]) for text in sources]
    if file is not None:
        parts.append(_lines(file))
    return (text.rstrip("\r\n") for text in chain.from_iterable(parts) if text.strip())


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as opened:
            yield from opened
    except OSError as error:
        raise ConfigError(f"{printable(str(file))} cannot be read: {error.strerror}") from error


def _show(text: str, vector: list[float]) -> None:
    if not sys.stdout.isatty():
        print_json({"text": text, "embedding": vector})
        return
    begun = " ".join(f"{number:.4f}" for number in vector[:_SHOWN_NUMBERS])
    write(f"{printable(text, 60)} · {len(vector)} numbers: {begun} …\n")


def _summed(answers: list[CreateEmbeddingResponse], started: float) -> dict[str, Any]:
    """Return the sum of several calls' usage; None when one of them did not report it."""
    used = [usage_fields(answer.usage) for answer in answers]
    known = [each for each in used if each is not None]
    usage = None
    if len(known) == len(used):
        usage = {name: sum(each[name] or 0 for each in known) for name in ("prompt_tokens", "total_tokens")}
    last = answers[-1]
    attempts = sum(answer.meta.attempts for answer in answers)
    return {"usage": usage, "model": last.model or None, **call_fields(last.meta.request_id, attempts, started)}
