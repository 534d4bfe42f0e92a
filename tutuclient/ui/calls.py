"""The calls of the page: each is made once, whoever asks for it how often, and read by whoever has its id."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from tutuclient.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from tutuclient.ui.masking import Mask

MOST_RUNNING: Final = 32
_MOST_KEPT: Final = 64
_MOST_TEXT: Final = 1_000_000  # characters of an answer that are shown
_BEAT_S: Final = 15.0
_ID: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request of the page.

    Attributes:
        id: The id that the page has chosen, before it sent the request: sent twice, it is the same call.
        task: What is to be done.
        prompt: The question, or the change, or what to draw.
        model: The model's name.
        image: The id of the image; None for ``generate``.
    """

    id: str
    task: Literal["ask", "edit", "generate"]
    prompt: str
    model: str
    image: str | None = None

    @property
    def orders_image(self) -> bool:
        """Whether an image is ordered, which is paid for by the piece."""
        return self.task != "ask"


class CallConflictError(Exception):
    """The id is of another call; nothing was sent."""


class TooManyCallsError(Exception):
    """As many calls are running as may; nothing was sent."""


class Call:
    """A call, what came of it so far, and who reads it.

    A question ends when its last reader leaves: nobody wants the rest, and the relay sees it at once. An order of an
    image goes on: it is paid for whether or not somebody waits, and the page gets it when it is loaded again.
    """

    def __init__(self, asked: Asked, mask: Mask) -> None:
        self.asked = asked
        self.ended = False
        self._started = time.monotonic()
        self._mask = mask
        self._held: dict[str, str] = {}
        self._shown = self._left_out = 0
        self._events: list[dict[str, Any]] = []
        self._changed = asyncio.Event()
        self._readers = 0
        self._task: asyncio.Task[None] | None = None

    def add_text(self, piece: str, kind: Literal["text", "thinking"] = "text") -> None:
        """Add a piece of the answer's text, or of its thoughts."""
        self._append_text(kind, self.without_key(kind, piece))

    def without_key(self, kind: str, piece: str) -> str:
        """Return what can be shown of streamed text so far: no key, nor the beginning of one, which is held back."""
        shown, self._held[kind] = self._mask.split(self._held.get(kind, "") + piece)
        return shown

    def masked(self, text: str) -> str:
        """Return a whole text without the key, to be shortened then."""
        return "".join(self._mask.split(text))

    def _append_text(self, kind: str, piece: str) -> None:
        room = max(_MOST_TEXT - self._shown, 0)
        self._left_out += max(len(piece) - room, 0)
        if shown := piece[:room]:
            self._shown += len(shown)
            self.add(kind, text=shown)

    def add(self, kind: str, **fields: Any) -> None:
        """Add an event: ``text``, ``thinking``, ``progress`` or ``image``."""
        self._events.append({"type": kind, **fields})
        self._notify()

    def end(self, kind: str, **fields: Any) -> None:
        """Add the last event: ``done``, ``stopped`` or ``error``. After the first nothing ends it again."""
        if self.ended:
            return
        self._held.pop("progress", None)  # Of it only the newest line is shown.
        for held_kind, piece in self._held.items():
            self._append_text(held_kind, piece)
        elapsed = round(time.monotonic() - self._started, 3)
        self._events.append({"type": kind, "elapsed": elapsed, "leftOut": self._left_out, **fields})
        self.ended = True
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def read(self) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Yield the events from the first on, as they come, pieces of text that came together as one.

        Nobody waits for a slow reader, who gets larger pieces. An empty list is a sign of life.
        """
        at = 0
        self._readers += 1
        try:
            yield []  # Before there is anything, so that who asks can count on being noticed when they leave.
            while True:
                changed = self._changed
                new = self._events[at:]
                at += len(new)
                if new:
                    yield _merged(new)
                elif self.ended:
                    return
                else:
                    try:
                        # Not wait_for, which loses a cancellation now and then until Python 3.12.
                        async with asyncio.timeout(_BEAT_S):
                            await changed.wait()
                    except TimeoutError:
                        yield []
        finally:
            self._readers -= 1
            if not self._readers and not self.asked.orders_image:
                self.stop()

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start the work of the call."""
        self._task = asyncio.create_task(work)
        return self._task

    def stop(self) -> None:
        """Cancel the call, which closes its connection."""
        if self._task is not None:
            self._task.cancel()


def _merged(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join pieces of text that follow each other, and keep the newest of several words about progress."""
    merged: list[dict[str, Any]] = []
    for event in events:
        kind = event["type"]
        if not merged or kind != merged[-1]["type"] or kind == "image":
            merged.append(event)
        elif kind == "progress":
            merged[-1] = event
        else:
            merged[-1] = {**event, "text": merged[-1]["text"] + event["text"]}
    return merged


class Calls:
    """All calls of this start, by their ids.

    Args:
        carry_out: Makes a call: adds what comes of it, and ends it.
        mask: Takes the key out of what is shown.
    """

    def __init__(self, carry_out: Callable[[Call], Coroutine[Any, Any, None]], mask: Mask) -> None:
        self._carry_out = carry_out
        self._mask = mask
        self._calls: dict[str, Call] = {}
        self._running: set[asyncio.Task[None]] = set()

    def get(self, name: str) -> Call | None:
        """Return a call by its id, or None."""
        return self._calls.get(name)

    def start(self, asked: Asked) -> Call:
        """Start a call, unless one of this id was started: then return that one.

        Raises:
            ConfigError: The id cannot be one.
            CallConflictError: The call of this id asks for something else.
            TooManyCallsError: Too many calls are running.
        """
        if not _ID.fullmatch(asked.id):
            raise ConfigError("the id of a call has 16 to 64 letters and digits")
        if (call := self._calls.get(asked.id)) is not None:
            if call.asked != asked:
                raise CallConflictError
            return call
        if len(self._running) >= MOST_RUNNING:
            raise TooManyCallsError
        ended = [name for name, each in self._calls.items() if each.ended]
        for name in ended[: max(len(self._calls) + 1 - _MOST_KEPT, 0)]:
            del self._calls[name]
        call = self._calls[asked.id] = Call(asked, self._mask)
        task = call.run(self._carry_out(call))
        self._running.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._running.discard(task)
            call.end("stopped", outcome="not_sent")  # Cancelled before it began, or it would have ended the call.

        task.add_done_callback(done)
        return call

    async def aclose(self) -> None:
        """Cancel what is running, and wait for its end."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
