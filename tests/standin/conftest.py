import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.testing.conftest import nothing_is_logged_as_an_error  # noqa: F401  (a fixture)
from tutuclient.testing import Server

Post = Callable[..., Awaitable[Any]]


@pytest.fixture
def post(server: Server, http: aiohttp.ClientSession) -> Post:
    """Post JSON (or a form, as ``data=``) to an endpoint: the decoded answer, with its status when it is an error."""

    async def call(path: str, data: Any = None, **body: Any) -> Any:
        sent: dict[str, Any] = {"json": body} if data is None else {"data": data}
        async with http.post(f"{server.base_url}{path}", **sent) as answer:
            read = await answer.json()
            return {**read, "status": answer.status} if answer.status != 200 else read

    return call


@pytest.fixture
def events(server: Server, http: aiohttp.ClientSession) -> Post:
    """Post JSON (or a form) to an endpoint that streams: the events' objects, each ``event:`` line checked."""

    async def call(path: str, data: Any = None, **body: Any) -> list[Any]:
        sent: dict[str, Any] = {"json": {**body, "stream": True}} if data is None else {"data": data}
        async with http.post(f"{server.base_url}{path}", **sent) as answer:
            assert answer.content_type == "text/event-stream"
            text = await answer.text()
        read: list[Any] = []
        for event in text.split("\n\n")[:-1]:
            *named, line = event.split("\n")
            value = line.removeprefix("data: ")
            read.append(value if value == "[DONE]" else json.loads(value))
            assert named in ([], [f"event: {read[-1]['type'] if named else ''}"])
        return read

    return call
