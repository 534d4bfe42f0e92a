"""The commands batch run, retry, status, export and report: many images, answered through whatever interrupts them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutuclient.cli.arguments import (
    CONNECTION,
    ApiKey,
    BaseUrl,
    Debug,
    Detail,
    DetailOption,
    MaxSide,
    MaxTokens,
    Overwrite,
    is_file,
    make_client,
    read_prompt,
)
from tutuclient.cli.commands import Command as HelpedCommand
from tutuclient.cli.commands import Group
from tutuclient.cli.output import Spinner, write
from tutuclient.cli.running import reporting_errors
from tutuclient.cli.running import run as run_work
from tutuclient.errors import ConfigError, printable

if TYPE_CHECKING:
    from tutuclient.cli.batch.command_file import Command, Task
    from tutuclient.cli.batch.run import How

_EXIT_CODES = """\
[bold]Exit codes[/bold]
0: every item is answered.
2: the command, a list, a setting or the run's folder is invalid; nothing was sent.
3: the key is wrong or may not do this, or the balance is used up.
5: the relay refused items until their deadline, or everything for longer than --max-wait, or is still at images that \
it was asked for: try again later.
6: the relay could not be reached: try again later.
9: done, but items failed or are of unknown outcome, or --max-failures ended it.
10: the budget is reached.
74: the disk is full, or could not be written; nothing that was answered is lost.
130: stopped by Ctrl-C: once settles what is in flight, twice stops at once.
Others: as tutuclient --help lists them. After all of them the same command continues the run.
"""

app = typer.Typer(
    name="batch",
    cls=Group,
    help="Analyze, edit or generate many images: at the pace that the relay allows, and with a journal, so that the "
    "same command continues after Ctrl-C, a crash or an empty balance. What is answered is not sent again, and no "
    "image is ordered twice unless you allow it.",
    rich_markup_mode="rich",
    epilog=_EXIT_CODES,
)


class Format(Enum):
    """The format of an export."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


class Which(Enum):
    """Which items are exported."""

    answered = "answered"
    failed = "failed"


SourceAndPrompt = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE... PROMPT",
        help="A folder, a glob in quotes, image files, or a list: .jsonl and .csv (image, prompt, id), or .txt "
        "with a URL or a path a line. Then, in quotes, what to ask of each, unless the list has prompts.",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="RUN",
        help="The run's folder; that of an earlier run continues it.",
        show_default=False,
    ),
]
ModelOfTask = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="The model; else gpt-4o, and gpt-4o-image for images that are made.",
        show_default=False,
    ),
]
SchemaFile = Annotated[
    Path | None,
    typer.Option("--schema", metavar="FILE", help="A JSON schema: each answer is an object of that shape."),
]
Edit = Annotated[bool, typer.Option("--edit", help="Edit the images; the results are saved in RUN/images.")]
Generate = Annotated[
    bool, typer.Option("--generate", help="Make an image of each prompt of a list; they are saved in RUN/images.")
]
Temperature = Annotated[float | None, typer.Option(metavar="T", help="From 0 to 2; else the relay's own.")]
Sample = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Run so many at random, and estimate the price of all. The same without it runs the rest.",
    ),
]
AllowChange = Annotated[
    bool,
    typer.Option(
        "--allow-change", help="Continue with another prompt, model or source; what it changes is sent again."
    ),
]
_PACE = "Pace and limits"
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.", show_default=False)]
Rate = Annotated[
    str | None,
    typer.Option(
        metavar="N/min", help="The most starts: 600/min, 10/s, 3000/h; else found out.", rich_help_panel=_PACE
    ),
]
Concurrency = Annotated[
    str,
    typer.Option(metavar="N", help="Items at once; auto follows what the relay can take.", rich_help_panel=_PACE),
]
BudgetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        metavar="N",
        help="What the whole run may use, earlier starts included: 5M (tokens), 200 images, 10k requests. "
        "May be given for each.",
        rich_help_panel=_PACE,
        show_default=False,
    ),
]
StopOn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ERROR",
        help="Errors that end the run, such as NotFoundError; a wrong key and an empty balance always do.",
        rich_help_panel=_PACE,
        show_default=False,
    ),
]
MaxFailures = Annotated[
    str | None,
    typer.Option(
        metavar="N", help="End the run when more fail: a share (0.2 or 20%) or a number.", rich_help_panel=_PACE
    ),
]
MaxWait = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0,
        help="How long the relay may refuse everything before the run stops, and prints when to try again.",
        rich_help_panel=_PACE,
    ),
]
ResendUnknown = Annotated[
    bool,
    typer.Option(
        "--resend-unknown",
        help="Order again images whose outcome is unknown. They may have been made and billed: you may pay twice.",
    ),
]
SummaryAsJson = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress; the summary is printed all the same.")]
EachTimeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", help="A deadline for each item; else 600.", rich_help_panel=CONNECTION
    ),
]


@app.callback(invoke_without_command=True)
def _start(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        context.get_help()
        raise typer.Exit(2)


@app.command(cls=HelpedCommand, epilog=_EXIT_CODES)
def run(
    arguments: SourceAndPrompt,
    *,
    output: Output,
    model: ModelOfTask = "",
    schema: SchemaFile = None,
    edit: Edit = False,
    generate: Generate = False,
    max_side: MaxSide = None,
    detail: DetailOption = Detail.high,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    rate: Rate = None,
    concurrency: Concurrency = "auto",
    budget: BudgetOption = None,
    stop_on: StopOn = None,
    max_failures: MaxFailures = None,
    max_wait: MaxWait = 600,
    sample: Sample = None,
    dedupe: Annotated[
        bool, typer.Option("--dedupe", help="Send equal images once; the others get that answer.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; show what would be sent.")] = False,
    allow_change: AllowChange = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")] = False,
    resend_unknown: ResendUnknown = False,
    quiet: Quiet = False,
    as_json: SummaryAsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: EachTimeout = None,
    debug: Debug = False,
) -> None:
    """Analyze or edit many images, or generate images of many prompts. The same command again continues the run.

    Example: tutuclient batch run photos "What is in this image?" -o run
    """
    with reporting_errors(debug=debug, writes_a_batch=True):
        how = _how(rate, concurrency, budget, stop_on, max_failures, max_wait)
        how.sample, how.allow_change, how.quiet, how.as_json = sample, allow_change, quiet, as_json
        how.retry_failed, how.resend_unknown = retry_failed, resend_unknown
        from tutuclient.cli.batch.command_file import Command

        task = _task(edit=edit, generate=generate)
        names, prompt = _split(arguments, generate=generate)
        given = {"max_tokens": max_tokens, "temperature": temperature}
        fields = {name: value for name, value in given.items() if value is not None}
        command = Command(names, str(Path.cwd()), prompt, task, model, fields, detail.value, max_side)
        command.dedupe, command.base_url = dedupe, base_url
        if schema is not None:
            _add_schema(command, schema)
        raise typer.Exit(_work(command, output, how, api_key, timeout, dry_run=dry_run))


@app.command(cls=HelpedCommand, epilog=_EXIT_CODES)
def retry(
    run: Run,
    *,
    resend_unknown: ResendUnknown = False,
    rate: Rate = None,
    concurrency: Concurrency = "auto",
    budget: BudgetOption = None,
    stop_on: StopOn = None,
    max_failures: MaxFailures = None,
    max_wait: MaxWait = 600,
    quiet: Quiet = False,
    as_json: SummaryAsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: EachTimeout = None,
    debug: Debug = False,
) -> None:
    """Retry what failed, and continue with what is left: the command of the run again, with its prompt and model.

    Example: tutuclient batch retry run
    """
    with reporting_errors(debug=debug, writes_a_batch=True):
        how = _how(rate, concurrency, budget, stop_on, max_failures, max_wait)
        how.quiet, how.as_json = quiet, as_json
        how.retry_failed, how.resend_unknown = True, resend_unknown
        from tutuclient.batch import folder
        from tutuclient.cli.batch.command_file import load

        folder.config(run)
        if (command := load(run)) is None:
            keyword = "resend_unknown" if resend_unknown else "retry_failed"
            raise ConfigError(
                f"{printable(str(run))} was not made by tutuclient batch run, so its items are not known here: try "
                f"again in the program that made it, with the keyword {keyword} of client.map"
            )
        command.base_url = base_url or command.base_url
        raise typer.Exit(_work(command, run, how, api_key, timeout))


@app.command(cls=HelpedCommand)
def status(run: Run, *, as_json: SummaryAsJson = False, debug: Debug = False) -> None:
    """Show the state of a run, also while it is running."""
    with reporting_errors(debug=debug, writes_a_batch=True):
        from tutuclient.cli.batch.summary import print_status

        print_status(run, as_json=as_json)


@app.command(cls=HelpedCommand)
def report(
    run: Run,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="The report's folder; else RUN/report.", show_default=False
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a report to open in a browser: items with their images, failures by class, times, tokens.

    It is a folder that opens without a server and loads nothing from elsewhere. Thumbnails need pillow.

    Example: tutuclient batch report run
    """
    with reporting_errors(debug=debug, writes_a_batch=True):
        from tutuclient.batch.report import write_report

        with Spinner("the report"):
            page = write_report(run, output)
        write(f"{printable(str(page), 4000)}\n")


@app.command(cls=HelpedCommand)
def export(
    run: Run,
    *,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A .jsonl, .csv or .parquet file; - for stdout.", show_default=False
        ),
    ],
    kind: Annotated[
        Format | None, typer.Option("--format", help="The format; else by the file's name.", show_default=False)
    ] = None,
    only: Annotated[
        Which | None, typer.Option("--only", help="Only items with an answer, or only those without.")
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="In CSV, leave cells that a spreadsheet would run as formulas; else they get a ' in front.",
        ),
    ] = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Write what became of each item into a file: JSON lines, CSV for spreadsheets, Parquet (needs pyarrow).

    Example: tutuclient batch export run -o answers.csv
    """
    with reporting_errors(debug=debug, writes_a_batch=True):
        from tutuclient.cli.batch.export import export as write_answers
        from tutuclient.cli.batch.export import format_of

        found = format_of(output, None if kind is None else kind.value)
        path = None if output == "-" else Path(output)
        if path is not None and path.exists() and not overwrite:
            raise ConfigError(f"{printable(output)} exists already: choose another name, or pass --overwrite")
        failed = None if only is None else only is Which.failed
        count = write_answers(run, path, found, raw=raw, failed=failed)
        if path is not None:
            write(f"{count:,} items in {printable(output)}\n")


def _how(
    rate: str | None,
    concurrency: str,
    budget: list[str] | None,
    stop_on: list[str] | None,
    max_failures: str | None,
    max_wait: float,
) -> How:
    from tutuclient.cli.batch.run import How
    from tutuclient.cli.batch.values import read_budget, read_concurrency, read_errors, read_most

    return How(
        read_concurrency(concurrency),
        rate,
        read_budget(budget or []),
        stop_on=read_errors(stop_on or []),
        max_failures=read_most(max_failures),
        max_wait=max_wait,
    )


def _task(*, edit: bool, generate: bool) -> Task:
    if edit and generate:
        raise ConfigError("--edit and --generate are two runs: an edit has images, and --generate has prompts")
    return "edit" if edit else "generate" if generate else "ask"


def _split(arguments: list[str], *, generate: bool) -> tuple[list[str], str | None]:
    """Separate what a run is of from the prompt, which is last."""
    *names, prompt = arguments
    if not names:
        return [prompt], None
    if generate:
        raise ConfigError("--generate takes its prompts from a list, and there is more than one argument")
    usage = 'the prompt comes last, in quotes: tutuclient batch run photos "What is in this image?" -o run'
    if is_file(prompt) or Path(prompt).is_dir():
        raise ConfigError(f"the last argument is the prompt, and {printable(prompt)} is a file or a folder; {usage}")
    if prompt.startswith(("http://", "https://", "data:")) and " " not in prompt:
        raise ConfigError(f"the last argument is the prompt, and {printable(prompt, 80)} is a URL; {usage}")
    return names, read_prompt(prompt)


def _add_schema(command: Command, path: Path) -> None:
    from tutuclient.cli.batch.schema import read_schema

    if command.task != "ask":
        raise ConfigError("--schema is for questions: images have no fields")
    command.schema, command.schema_name = read_schema(path)


def _work(
    command: Command, run: Path, how: How, api_key: str | None, timeout: float | None, *, dry_run: bool = False
) -> int:
    """Find the items, then answer them; return the exit code."""
    from tutuclient.cli.batch.run import Work
    from tutuclient.cli.batch.summary import print_dry_run

    with Spinner("counting the items"):
        source = command.source(run)
    command.check(run, allow_change=how.allow_change)
    client = make_client(api_key, command.base_url, timeout)
    if dry_run:
        print_dry_run(command, source, run, client.base_url)
        return 0

    async def work() -> int:
        async with client:
            return await Work(client, command, source, run, how).do()

    return run_work(work())
