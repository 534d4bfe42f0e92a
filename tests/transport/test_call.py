"""What a call may be sent to: no path leads out of the address that was configured."""

from __future__ import annotations

import pytest

from tutuclient import (
    ConfigError,
    TutuClient,
)
from tutuclient.testing import (
    Server,
    raw,
)

STEPS = [
    "/x/../../evil",
    "/x/%2e%2E/evil",
    "/%2e./evil",
    "/x/..%2Fevil",
    "/x/..%5cevil",
    "/..",
    "/x\\..\\evil",
    "/x/%252e%252E/evil",
    "/x/%25252e./evil",
    "/x/..;/evil",
    "/x/.%2e;a=b/evil",
    "/x/..%3b/evil",
    "/x/..%00/evil",
    "/x/..%09/evil",
    "/x/%c0%AE./evil",
]


@pytest.mark.parametrize("path", STEPS)
async def test_a_path_with_steps_out_of_the_base_url_is_refused(path: str, client: TutuClient, server: Server) -> None:
    for send in (client.get, client.post, client.delete):
        with pytest.raises(ConfigError, match=r"'\.\.'"):
            await send(path, cast_to=object)
    with pytest.raises(ConfigError):
        await client.get(f"{server.base_url}{path}", cast_to=object)
    assert server.requests == []


async def test_dots_that_are_no_path_steps_are_sent(client: TutuClient, server: Server) -> None:
    for path in ("/x..y/z", "/x/...", "/x?from=../y", "/x/%2e%2e%2e", "/x/a;..", "/x/%252e"):
        server.answers(raw(body=b"{}", headers={"Content-Type": "application/json"}))
        assert await client.get(path, cast_to=object) == {}
    assert len(server.requests) == 6
