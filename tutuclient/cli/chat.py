"""The commands analyze and chat: a question, its answer as it comes, and a conversation."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from tutuclient import errors
from tutuclient.cli.arguments import (
    ApiKey,
    AsJson,
    BaseUrl,
    Debug,
    Detail,
    DetailOption,
    ImagesAndPrompt,
    MaxSide,
    MaxTokens,
    Model,
    Seconds,
    make_client,
    read_prompt,
    split_arguments,
)
from tutuclient.cli.output import (
    Spinner,
    answer_fields,
    end_interrupted_line,
    end_line,
    image_fields,
    location_of,
    note,
    print_json,
    print_times,
    sanitize,
    write,
)
from tutuclient.cli.running import new_runner, report_error, reporting_errors, run
from tutuclient.errors import TutuError, printable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tutuclient.client import TutuClient
    from tutuclient.streams.chat import ChatStream
    from tutuclient.types import ChatCompletion, ChatFields, ChatMessage


def analyze(
    arguments: ImagesAndPrompt,
    *,
    model: Model = "gpt-4o",
    max_tokens: MaxTokens = None,
    max_side: MaxSide = None,
    detail: DetailOption = Detail.high,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Send a question about images, and print the answer as it arrives.

    With several images, all of them are in one question.

    Example: tutuclient analyze cat.jpg "What is in this image?"
    """
    with reporting_errors(debug=debug):
        images, prompt = split_arguments(arguments, "analyze cat.jpg")
        fields: ChatFields = {} if max_tokens is None else {"max_tokens": max_tokens}

        async def work() -> None:
            started = time.monotonic()
            async with make_client(api_key, base_url, timeout) as client:
                if as_json:
                    with Spinner(model):
                        answer = await client.analyze(
                            images, prompt, model=model, detail=detail.value, max_side=max_side, **fields
                        )
                    _print_answer(answer, started)
                    return
                opening = client.analyze(
                    images, prompt, model=model, detail=detail.value, max_side=max_side, stream=True, **fields
                )
                _close_answer(await _show(opening, model), started)

        run(work())


def chat(
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="PROMPT", help="The prompt; - or a pipe reads it from stdin.", show_default=False),
    ] = None,
    *,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="The system message.")] = None,
    model: Model = "gpt-4o",
    max_tokens: MaxTokens = None,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Send a prompt, or hold a conversation.

    Without a prompt, on a terminal, it is a conversation: Ctrl-C stops an answer, Ctrl-D ends it all.
    """
    with reporting_errors(debug=debug):
        messages: list[dict[str, str] | ChatMessage] = [{"role": "system", "content": system}] if system else []
        fields: ChatFields = {} if max_tokens is None else {"max_tokens": max_tokens}
        # In a pipe there is nobody to hold a conversation with.
        if prompt is None and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
            _converse(make_client(api_key, base_url, timeout), messages, model, fields, debug=debug)
            return
        messages.append({"role": "user", "content": read_prompt("-" if prompt is None else prompt)})

        async def work() -> None:
            started = time.monotonic()
            async with make_client(api_key, base_url, timeout) as client:
                ask = client.chat.completions.create
                if as_json:
                    with Spinner(model):
                        answer = await ask(model=model, messages=messages, **fields)
                    _print_answer(answer, started)
                    return
                # A stream, whatever is printed: people see an answer begin, and no proxy cuts a silent request.
                opening = ask(model=model, messages=messages, stream=True, **fields)
                _close_answer(await _show(opening, model), started)

        run(work())


async def _show(opening: Awaitable[ChatStream], model: str) -> ChatCompletion:
    """Print an answer as it comes."""
    try:
        with Spinner(model) as spinner:
            async with await opening as stream:
                async for chunk in stream:
                    if chunk.text:
                        spinner.stop()
                        write(sanitize(chunk.text))
                    elif chunk.thinking:
                        spinner.update(f"{model} is thinking")
                answer = await stream.completion()
    finally:
        end_line()
    if not answer.text:
        for image in answer.images:
            write(f"{location_of(image)}\n")
    _check_content(answer)
    return answer


def _print_answer(answer: ChatCompletion, started: float) -> None:
    """Print an answer as JSON, also one with nothing in it, since it says why; that is an error all the same."""
    print_json(answer_fields(answer, started, [image_fields(image) for image in answer.images]))
    _check_content(answer)


def _check_content(answer: ChatCompletion) -> None:
    """Raise for an answer that has neither text nor images."""
    if answer.text or answer.images:
        return
    said = answer.message.refusal or f"finish_reason: {answer.finish_reason}"
    raise errors.UnexpectedResponseError(
        f"the answer holds no text ({printable(said)}), and was billed: change the prompt or the --model",
        attempts=answer.meta.attempts,
        request_id=answer.request_id,
    )


def _close_answer(answer: ChatCompletion, started: float) -> None:
    """Print notes below an answer: how it ended, and how long it took."""
    if answer.finish_reason == "length":
        note("cut off at the token limit; --max-tokens gives the answer more room")
    elif answer.finish_reason not in {"stop", None}:
        note(f"the answer ended with finish_reason {printable(str(answer.finish_reason), 80)}")
    print_times(started, answer.model, answer.meta.request_id)


def _converse(
    client: TutuClient,
    messages: list[dict[str, str] | ChatMessage],
    model: str,
    fields: ChatFields,
    *,
    debug: bool,
) -> None:
    """Hold a conversation until Ctrl-D. A turn that failed or was stopped is not sent with the next one."""
    with suppress(ImportError):
        import readline  # noqa: F401  # pyright: ignore[reportUnusedImport]  (gives ``input`` its line editing)

    async def answer() -> ChatCompletion:
        stream = client.chat.completions.create(model=model, messages=messages, stream=True, **fields)
        return await _show(stream, model)

    note(f"a conversation with {printable(model)}; Ctrl-C stops an answer, Ctrl-D ends it")
    # One loop for the whole conversation: connections belong to a loop, and each turn would need a handshake.
    with new_runner() as runner:
        try:
            while True:
                try:
                    said = input("> ").strip()  # What is typed ends the line; Ctrl-C does not, and is handled below.
                except EOFError:
                    write("\n")
                    return
                if not said:
                    continue
                messages.append({"role": "user", "content": said})
                try:
                    # The relay's own message and not just its text: models that draw or think want it back as it was
                    # (WIRE.md 2.1 and 3.3).
                    messages.append(runner.run(answer()).message)
                except KeyboardInterrupt:
                    end_interrupted_line()
                    note("stopped")
                    messages.pop()
                except TutuError as error:
                    report_error(error, debug=debug)
                    messages.pop()
        finally:
            runner.run(client.aclose())
