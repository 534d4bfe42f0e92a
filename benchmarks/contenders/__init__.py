"""Who is measured. Each contender's room makes the same few calls in the way its own documentation shows.

A room is imported in the worker that measures it and nowhere else. It may know one client library, and builds each
request from the same fields; what it hands back is the same for all, so that nobody saves work that a user would want
done.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "gpt-4o"
KEY = "sk-benchmark"
QUESTION = "What is in this picture?"
PICTURE_URL = "https://example.com/pictures/2025/11/21/boardwalk-0001.jpg"
BY_HAND = "by hand"
OPENAI = "openai"
OURS = "tutuclient"


def question(picture_url: str = PICTURE_URL) -> list[dict[str, Any]]:
    """Return the messages of a question about an image, as openai's documentation writes them."""
    return [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": QUESTION},
                {"type": "image_url", "image_url": {"url": picture_url, "detail": "high"}},
            ],
        }
    ]


class Client(Protocol):
    """A client of the server at ``base_url``; made within the running loop."""

    def __init__(self, base_url: str) -> None: ...

    async def ask(self) -> str:
        """Send a question about an image at an address; return the text of the answer."""

    async def read(self) -> tuple[int, int]:
        """Read a stream to its end, chunk by chunk; return the number of its chunks and of their characters."""

    async def first(self) -> float:
        """Return the ``time.perf_counter`` of the first text of a stream, after reading it to its end."""

    async def draw(self) -> int:
        """Generate an image as ``b64_json``; return the number of its characters."""

    async def upload(self, path: Path) -> str:
        """Send a question about an image in a file; return the text of the answer."""

    async def break_off(self) -> str:
        """Break out of a stream by a bare ``break`` after its first text; return that text."""

    async def aclose(self) -> None:
        """Close all connections."""


@dataclass(frozen=True)
class Contender:
    """One column of the comparison.

    Attributes:
        name: What the tables call it.
        room: Its room in this package, and the class there.
        imports: What a program must import to use it.
        installs: What pip is told to install for it; "." is this repository.
        slow: It takes the smaller amount of a workload that has two, as what it costs a piece does not depend on it.
        only: The workloads it is in; all when empty.
        shared: Its connections belong to the module, so that no client can be built afresh.
        speed: What makes it faster where it is installed.
        blocked: A module that its worker does as though it were not installed.
    """

    name: str
    room: str
    imports: tuple[str, ...]
    installs: tuple[str, ...]
    slow: bool = False
    only: tuple[str, ...] = ()
    shared: bool = False
    speed: tuple[str, ...] = ()
    blocked: str = ""

    def missing(self) -> str:
        """Name the first module that it needs and that is not installed, or ""."""
        return next((name for name in self.imports if importlib.util.find_spec(name) is None), "")

    def make(self, base_url: str) -> Client:
        """Create a client; the first one pays for the import."""
        room, _, name = self.room.partition(":")
        made: Client = getattr(import_module(f"benchmarks.contenders.{room}"), name)(base_url)
        return made

    def versions(self) -> dict[str, str]:
        """Return the versions of what it imports, as far as they are known."""
        found = {}
        speed = [name for name in self.speed if importlib.util.find_spec(name) is not None]
        for name in (*self.imports, *speed):
            try:
                found[name] = metadata.version(name.replace("_", "-"))
            except metadata.PackageNotFoundError:
                found[name] = str(getattr(import_module(name), "__version__", "?"))
        return found


CONTENDERS = {
    each.name: each
    for each in (
        Contender(BY_HAND, "by_hand:ByHand", ("aiohttp", "msgspec"), ("aiohttp", "msgspec")),
        Contender(OURS, "ours:Tutuclient", ("tutuclient",), (".",), speed=("pybase64",)),
        Contender(
            "tutuclient, stdlib base64", "ours:Tutuclient", ("tutuclient",), (".",), only=("W4",), blocked="pybase64"
        ),
        Contender(OPENAI, "openai_sdk:OpenAI", ("openai",), ("openai",), slow=True),
        Contender(
            "openai, aiohttp", "openai_sdk:OpenAIOverAiohttp", ("openai", "aiohttp"), ("openai[aiohttp]",), slow=True
        ),
        Contender("litellm", "litellm_sdk:Litellm", ("litellm",), ("litellm",), slow=True, shared=True),
        Contender(
            "httpx + httpx-sse", "httpx_sse_hand:HttpxSse", ("httpx", "httpx_sse"), ("httpx", "httpx-sse"), slow=True
        ),
        Contender("pyreqwest", "rust:Pyreqwest", ("pyreqwest", "msgspec"), ("pyreqwest", "msgspec")),
    )
}
"""Every contender by its name, in the order of the tables."""
