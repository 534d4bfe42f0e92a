"""A relay, a client of it with a key that may not be seen, and the page of both, asked without a browser."""

from __future__ import annotations

import io
import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import QUICK
from tutuclient import TutuClient
from tutuclient.testing import sample_picture
from tutuclient.ui import serve_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from tutuclient.testing import Server
    from tutuclient.ui import Page

KEY = "sk-never-shown-0123456789"


class Visitor:
    """Asks the page's server as the page does."""

    def __init__(self, page: Page, http: aiohttp.ClientSession) -> None:
        self.origin = page.origin
        self.token = page.address.partition("#")[2]
        self._http = http

    async def ask(self, method: str, path: str, *, body: Any = None, **headers: str) -> aiohttp.ClientResponse:
        """Send a request as the page does; a header that is "" is left out."""
        data = (
            json.dumps(body).encode()
            if isinstance(body, dict)
            else io.BytesIO(body)
            if isinstance(body, bytes)
            else body
        )
        given = {"X-Tutu-Token": self.token, "Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._http.request(
            method, self.origin + path, data=data, headers={name: each for name, each in given.items() if each}
        )

    async def upload(self, data: bytes | None = None, name: str = "cat.png") -> dict[str, Any]:
        answer = await self.ask("POST", f"/api/images?name={name}", body=sample_picture() if data is None else data)
        image: dict[str, Any] = await answer.json()
        assert answer.status == 201, image
        return image

    async def start(self, task: str, *, prompt: str = "What is this?", **fields: Any) -> aiohttp.ClientResponse:
        return await self.ask("POST", "/api/calls", body=asked(task, prompt=prompt, **fields))

    async def events(self, task: str, **fields: Any) -> list[dict[str, Any]]:
        answer = await self.start(task, **fields)
        return [json.loads(line) for line in (await answer.text()).splitlines() if line]


def asked(task: str, **fields: Any) -> dict[str, Any]:
    model = "gpt-4o" if task == "ask" else "gpt-4o-image"
    return {"id": secrets.token_hex(16), "task": task, "model": model, "prompt": "What is this?", **fields}


@pytest.fixture
async def ui_client(server: Server) -> AsyncIterator[TutuClient]:
    async with TutuClient(KEY, server.base_url, retry=QUICK) as client:
        yield client


@pytest.fixture
async def page(ui_client: TutuClient) -> AsyncIterator[Page]:
    async with serve_page(ui_client, sample=sample_picture) as page:
        yield page


@pytest.fixture
async def visitor(page: Page, http: aiohttp.ClientSession) -> Visitor:
    return Visitor(page, http)
