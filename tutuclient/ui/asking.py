"""A call of the page, made with the client: its text as it comes, its images fetched, its error described."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from tutuclient import errors
from tutuclient._logger import logger
from tutuclient.errors import APIError, ConfigError, ImageDownloadError, MediaError, NoImageError, TutuError, printable
from tutuclient.ui.images import file_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tutuclient.client import TutuClient
    from tutuclient.media.image import GeneratedImage
    from tutuclient.streams.chat import ChatStream
    from tutuclient.types import ChatCompletion, Usage
    from tutuclient.ui.calls import Call
    from tutuclient.ui.images import ImageStore, StoredImage

_PROGRESS_S: Final = 0.25
_PROGRESS_CHARS: Final = 2000
# What a person would do about it differs by these; the page has words for each, in its languages.
_ADVICE: Final[tuple[tuple[type[TutuError], str], ...]] = (
    (errors.AuthenticationError, "key"),
    (errors.InsufficientQuotaError, "quota"),
    (errors.PermissionDeniedError, "permission"),
    (errors.NotFoundError, "model"),
    (errors.PayloadTooLargeError, "smaller"),
    (errors.ContextLengthError, "shorter"),
    (errors.ContentPolicyError, "content"),
    (errors.RateLimitError, "wait"),
    (errors.IncompleteStreamError, "cut"),
    (errors.APITimeoutError, "timeout"),
    (errors.OutcomeUnknownError, "log"),
    (errors.APIConnectionError, "connection"),
    (errors.APIResponseValidationError, "address"),
    (errors.InternalServerError, "later"),
    (ImageDownloadError, "download"),
    (NoImageError, "drawing"),
    (MediaError, "image"),
    (ConfigError, "change"),
)


class Asking:
    """Makes the calls of the page.

    Args:
        client: Makes them.
        images: Has the images that are sent, and gets those that are made.
    """

    def __init__(self, client: TutuClient, images: ImageStore) -> None:
        self._client = client
        self._images = images

    async def carry_out(self, call: Call) -> None:
        """Run a call, and end it, whatever happens."""
        try:
            source = self._source(call)
            # Whatever fails before here was not sent.
            if call.asked.task == "ask" and source is not None:
                await self._question(call, source)
            else:
                await self._order(call, source)
        except asyncio.CancelledError:
            call.end("stopped", outcome="unknown")
            raise
        except TutuError as error:
            call.end("error", **described(error))
        except Exception as error:  # noqa: BLE001  (the page has to learn of its end)
            # Nothing is known of its text, so neither the page nor the log gets it.
            logger.error("the page's call failed: unexpected %s", type(error).__name__)
            words = f"unexpected {type(error).__name__}; please report it"
            call.end("error", name=type(error).__name__, message=words, outcome="unknown", advice="report")

    def _source(self, call: Call) -> StoredImage | None:
        """Return the image of a call; None for a task that needs none.

        Raises:
            MediaError: It is not kept any longer, or there is none.
        """
        asked = call.asked
        if asked.task == "generate":
            return None
        if (source := self._images.get(asked.image or "")) is None:
            raise MediaError("the image is not kept any longer: choose it again")
        return source

    async def _question(self, call: Call, source: StoredImage) -> None:
        asked, shown = call.asked, 0
        started, first = time.monotonic(), None
        stream = await self._client.analyze(
            source.data, asked.prompt, model=asked.model, stream=True, stream_options={"include_usage": True}
        )
        async with stream:
            async for chunk in stream:
                if thought := chunk.thinking:
                    call.add_text(thought, "thinking")
                if piece := chunk.text:
                    first = time.monotonic() - started if first is None else first
                    shown += len(piece)
                    call.add_text(piece)
            answer = await stream.completion()
        # Of the answers that relays number strangely, the folded one has what no single chunk showed.
        if len(answer.text) > shown:
            call.add_text(answer.text[shown:])
        call.end("done", **_summary(answer), first=None if first is None else round(first, 3))

    async def _order(self, call: Call, source: StoredImage | None) -> None:
        asked = call.asked
        try:
            # Streamed, so that no proxy takes the minutes of an image for a dead connection.
            if source is None:
                stream = await self._client.generate(asked.prompt, model=asked.model, stream=True)
            else:
                stream = await self._client.edit(source.data, asked.prompt, model=asked.model, stream=True)
            answer = await _progressing(call, stream)
        except APIError as error:
            if error.partial is not None:
                await self._deliver(call, error.partial.images, source)
            if error.task is None:
                raise
            # The relay makes it all the same, and it is had from there without being ordered again.
            call.add("progress", text="")
            response = await error.task.wait()
            await self._deliver(call, response.images, source)
            call.end("done", **_usage(response.usage), model=asked.model, requestId=error.request_id)
            return
        if not answer.images:
            raise NoImageError(
                f"the answer holds no image; the relay said: {printable(call.masked(answer.text)) or 'nothing'}",
                outcome="unknown",
                attempts=answer.meta.attempts,
                request_id=answer.meta.request_id,
            )
        await self._deliver(call, answer.images, source)
        call.end("done", **_summary(answer))

    async def _deliver(self, call: Call, images: Sequence[GeneratedImage], source: StoredImage | None) -> None:
        """Fetch images and hand them to the page; one that cannot be fetched costs none of the others."""
        stem = "generated" if source is None else f"{file_name(source.name).rpartition('.')[0] or 'image'}-edited"
        failed: list[ImageDownloadError] = []
        for number, image in enumerate(images):
            try:
                data = await image.read()
                made = self._images.add(data, stem if number == 0 else f"{stem}-{number + 1}")
            except MediaError as error:
                failed.append(ImageDownloadError(error.message, reason="not_an_image"))
            except ImageDownloadError as error:
                failed.append(error)
            else:
                call.add("image", **made.described())
        if failed:
            addresses = [image.url for image in images if image.url and not image.url.startswith("data:")]
            call.end("error", **described(failed[0]), addresses=addresses)


async def _progressing(call: Call, stream: ChatStream) -> ChatCompletion:
    """Read a stream to its end; its last line is how relays tell how far they are."""
    text, told, at = "", "", 0.0
    async with stream:
        async for chunk in stream:
            # A chunk may hold a whole image as base64 (WIRE.md 2.3, rule 12).
            text = (text + call.without_key("progress", chunk.text))[-_PROGRESS_CHARS:]
            if (now := time.monotonic()) - at >= _PROGRESS_S and (line := _last_line(text)) != told:
                told, at = line, now
                call.add("progress", text=line)
        return await stream.completion()


def _last_line(text: str) -> str:
    """Return the last line that says something, without its Markdown and without addresses and data."""
    lines = [line.strip("> \t`*#") for line in text.splitlines()]
    spoken = (line for line in reversed(lines) if line and "](" not in line and "base64" not in line)
    return printable(next(spoken, ""), 160)


def _summary(answer: ChatCompletion) -> dict[str, Any]:
    meta = answer.meta
    return {
        **_usage(answer.usage),
        "model": answer.model or None,
        "finishReason": answer.finish_reason,
        "requestId": meta.request_id,
        "attempts": meta.attempts,
        "warnings": list(meta.warnings),
    }


def _usage(usage: Usage | Any | None) -> dict[str, Any]:
    names = {"prompt": "prompt_tokens", "completion": "completion_tokens", "total": "total_tokens"}
    return {"usage": None if usage is None else {key: getattr(usage, name, None) for key, name in names.items()}}


def described(error: TutuError) -> dict[str, Any]:
    """Return what the page is told of an error: class, message, outcome, and a word for what to do."""
    return {
        "name": type(error).__name__,
        "message": printable(error.message, 2000),
        "outcome": error.outcome,
        "status": getattr(error, "status_code", None),
        "requestId": error.request_id,
        "attempts": error.attempts,
        "retryAfter": getattr(error, "retry_after", None),
        "advice": next((word for kind, word in _ADVICE if isinstance(error, kind)), "later"),
    }
