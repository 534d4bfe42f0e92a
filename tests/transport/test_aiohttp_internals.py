"""The fast path: what it needs of aiohttp, when it is left, and that it sends and returns what the public one does."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import BaseConnector, Connection
from aiohttp.streams import StreamReader

import tutuclient
from tests.conftest import KEY, QUICK
from tests.images import png
from tests.leftovers import reader_waits
from tutuclient import (
    APIStatusError,
    RateLimitError,
    TutuClient,
    UnexpectedResponseError,
    user,
    wire,
)
from tutuclient.testing import Recorded, Server, chunk, fails, raw, says, serve_in_thread, streams
from tutuclient.transport import Call, aiohttp_internals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient import ChatCompletion
    from tutuclient.transport.reply import Reply

PACKAGE = Path(tutuclient.__file__).parent


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What took the fast path; there is one in these tests, whatever the environment of the run says."""
    if aiohttp_internals.MISSING:
        pytest.skip(f"this aiohttp has no {aiohttp_internals.MISSING}")
    monkeypatch.setenv("TUTU_FAST_PATH", "1")
    requests: list[bytes] = []
    send = aiohttp_internals.send

    async def noted(connector: Any, target: Any, request: bytes, *args: Any) -> Any:
        requests.append(request)
        return await send(connector, target, request, *args)

    monkeypatch.setattr(aiohttp_internals, "send", noted)
    return requests


async def ask(client: TutuClient, **fields: Any) -> ChatCompletion:
    answer: ChatCompletion = await client.chat.completions.create(model="m", messages=[user("hi")], **fields)
    return answer


def sent(seen: Recorded) -> dict[str, str]:
    return {name.lower(): value for name, value in seen.headers.items()} | {"body": seen.body.decode()}


async def test_both_paths_send_the_same(server: Server, taken: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("1", "0"):
        monkeypatch.setenv("TUTU_FAST_PATH", path)
        async with TutuClient(KEY, server.base_url) as client:
            for _ in range(2):
                await ask(client, max_tokens=3)
            await client.models.list()
    assert len(taken) == 3
    fast, again, get, *public = map(sent, server.requests)
    assert len({seen.pop("idempotency-key") for seen in (fast, again, *public[:2])}) == 4
    assert [fast, again, get] == public
    assert {name for name in fast if name not in get} == {"content-type", "content-length"}
    assert get["authorization"] == f"Bearer {KEY}"
    assert len({seen.connection for seen in server.requests}) == 2


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, {"extra_headers": {"x-a": "b"}}),
        ({"default_headers": {"Content-Type": "application/json; charset=utf-8"}}, {}),
    ],
)
async def test_headers_that_are_not_plain_take_the_public_path(
    server: Server, taken: list[bytes], settings: Any, fields: Any
) -> None:
    async with TutuClient(KEY, server.base_url, **settings) as client:
        for _ in range(2):
            await ask(client, **fields)
    assert taken == []
    for header in (*settings.get("default_headers", {}).items(), *fields.get("extra_headers", {}).items()):
        assert header in server.requests[1].headers.items()


async def test_orders_of_images_take_the_public_path(client: TutuClient, taken: list[bytes]) -> None:
    for _ in range(2):
        await client.generate("a red panda")
    assert taken == []


async def test_streams_errors_and_odd_answers_share_a_connection(
    client: TutuClient, server: Server, taken: list[bytes]
) -> None:
    for _ in range(2):
        server.answers(streams([chunk("a"), chunk(finish_reason="stop")]))
        async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
            assert (await stream.completion()).text == "a"
        server.answers(fails(400, "no"))
        with pytest.raises(APIStatusError, match="no") as caught:
            await ask(client)
        assert caught.value.status_code == 400
        server.answers(raw(body=b"<html>", headers={"Content-Type": "text/html"}))
        with pytest.raises(UnexpectedResponseError):
            await ask(client)
        assert (await ask(client)).meta.headers["content-type"].startswith("application/json")
    assert len(taken) > 3
    assert len({seen.connection for seen in server.requests}) == 1


async def test_an_interim_answer_is_passed_over(taken: list[bytes]) -> None:
    body = b'{"choices":[{"message":{"content":"late"},"finish_reason":"stop"}]}'
    good = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (good, b"HTTP/1.1 102 Processing\r\n\r\n" + good):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
            writer.write(answer)
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, TutuClient(KEY, f"http://127.0.0.1:{port}") as client:
        for _ in range(2):
            assert (await ask(client)).text == "late"
    assert len(taken) == 2


async def test_cancelling_gives_the_connection_up(client: TutuClient, server: Server, taken: list[bytes]) -> None:
    await ask(client)
    server.answers(says("x", delay=5))
    task = asyncio.create_task(ask(client))
    await server.wait_requests(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.wait_closed(timeout=10)
    assert len(taken) == 2
    await server.until(lambda: server.open_connections == 0)


async def test_closing_a_stream_from_another_task_wakes_its_reader(
    client: TutuClient, server: Server, taken: list[bytes]
) -> None:
    await ask(client)
    server.answers(streams([chunk("a")], done=False, then="hang"))
    stream = await client.chat.completions.create(model="m", messages=[user("hi")], stream=True)
    reader = asyncio.create_task(stream.completion())
    await reader_waits(stream)
    await stream.aclose()
    with pytest.raises(Exception, match="closed"):
        await asyncio.wait_for(reader, 20)
    assert len(taken) == 2


async def test_a_redirect_and_a_retry_leave_the_fast_path(client: TutuClient, server: Server) -> None:
    await ask(client)
    server.answers(raw(308, headers={"Location": "/v1/chat/completions?x=1"}), says("there"))
    assert (await ask(client)).text == "there"
    server.answers(fails(429, "later", headers={"Retry-After": "0"}), says("now"))
    assert (await ask(client)).meta.attempts == 2


async def test_a_long_header_is_taken_and_an_endless_one_refused(server: Server) -> None:
    async with TutuClient(KEY, server.base_url, retry=QUICK, max_retries=None) as client:
        await ask(client)
        server.answers(raw(429, headers={"X-Long": "x" * 60_000}))
        with pytest.raises(RateLimitError):
            await ask(client.with_options(max_retries=0))


async def test_two_methods_of_one_address_are_kept_apart(
    client: TutuClient, server: Server, taken: list[bytes]
) -> None:
    transport, settings = client._transport, client._settings

    async def use(reply: Reply) -> bytes:
        return bytes(await reply.read())

    await ask(client)
    for method in ("GET", "POST", "GET"):
        server.answers(says("x"))
        body = wire.encode({"model": "m"}) if method == "POST" else None
        await transport.run(Call(settings, method, "/both", body=body), use)
    assert [seen.method for seen in server.requests[1:]] == ["GET", "POST", "GET"]
    assert len(taken) == 4


# --- What it leans on -------------------------------------------------------------------------------------------------

NAMES = sorted({name for _, name in aiohttp_internals.PRIVATE_NAMES})


def private_names(node: ast.AST, *, of_self: bool) -> set[str]:
    """Return the private attributes that a piece of code touches: those of ``self``, or those of anything else."""
    return {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and each.attr.startswith("_")
        and not each.attr.endswith("__")
        and (isinstance(each.value, ast.Name) and each.value.id == "self") is of_self
    } - {"_replace"}  # It is public, in any NamedTuple.


def private_names_of_aiohttp() -> set[str]:
    """Return the private names in the modules of aiohttp's client."""
    classes = (StreamReader, ResponseHandler, BaseProtocol, BaseConnector, aiohttp.ClientSession, aiohttp.ClientRequest)
    trees = [ast.parse(inspect.getsource(sys.modules[cls.__module__])) for cls in classes]
    return set().union(*(private_names(tree, of_self=True) for tree in trees))


def test_the_table_has_every_private_name_that_is_touched() -> None:
    tree = ast.parse(Path(aiohttp_internals.__file__).read_text(encoding="utf-8"))
    assert private_names(tree, of_self=False) | {"_request"} == set(NAMES)  # It is looked for by ``getattr``.


@pytest.mark.parametrize("room", ["transport", "downloads"])
def test_no_other_module_touches_a_private_name_of_aiohttp(room: str) -> None:
    theirs = private_names_of_aiohttp()
    for path in sorted((PACKAGE / room).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        heirs = [node for node in classes if any("aiohttp." in ast.unparse(base) for base in node.bases)]
        touched = private_names(tree, of_self=False).union(*(private_names(heir, of_self=True) for heir in heirs))
        assert path == Path(aiohttp_internals.__file__) or touched & theirs == set(), path.name


# aiohttp as it would be if a private name had another one: each of its modules is changed as it is imported. Its C
# extensions are left out, for they know some of the names too.
_RENAMED = """
import asyncio, importlib.machinery, os, re, sys
name, url, path = sys.argv[1:]
os.environ["AIOHTTP_NO_EXTENSIONS"] = "1"

class Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        source = self.get_source(fullname)
        return compile(re.sub(rf"\\b{name}\\b", f"{name}_renamed", source), self.path, "exec", dont_inherit=True)

class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, fullname, where=None, target=None):
        if fullname.partition(".")[0] != "aiohttp":
            return None
        spec = super().find_spec(fullname, where, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec

sys.meta_path.insert(0, Finder)
from tutuclient import TutuClient, user

async def main():
    async with TutuClient("sk-renamed", url, max_retries=0) as client:
        messages = [user("hi")]
        for _ in range(2):
            print((await client.chat.completions.create(model="m", messages=messages)).text)
        async with client.chat.completions.stream(model="m", messages=messages) as stream:
            print((await stream.completion()).text)
        print((await client.analyze(path, "what?")).text)
        from tutuclient.transport import aiohttp_internals
        print(*aiohttp_internals.MISSING, aiohttp_internals.fast_path())

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def relay() -> Iterator[Server]:
    with serve_in_thread() as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("name", ["_nothing", *NAMES])
def test_the_client_goes_on_when_aiohttp_renames(name: str, relay: Server, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(png(bytes(300_000)))
    relay.reset()
    relay.answers(says("one"), says("two"), streams([chunk("three"), chunk(finish_reason="stop")]), says("four"))
    done = subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, "-W", "error", "-c", _RENAMED, name, relay.base_url, path],
        env={**os.environ, "TUTU_FAST_PATH": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    *answers, missing = done.stdout.splitlines()
    assert answers == ["one", "two", "three", "four"]
    assert missing.endswith("False" if name in NAMES else "True") or aiohttp_internals.MISSING
    assert name in missing or name not in NAMES


@pytest.mark.parametrize(("owner", "name"), [(Connection, "release"), (StreamReader, "on_eof")])
def test_what_is_public_but_not_documented_is_looked_for_too(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = aiohttp_internals.missing()
    monkeypatch.delattr(owner, name)
    assert [each for each in aiohttp_internals.missing() if each not in before] == [f"{owner.__name__}.{name}"]


@pytest.mark.parametrize(
    ("owner", "name", "function"),
    [
        (BaseConnector, "connect", lambda self, req, timeout: (self, req, timeout)),
        (ResponseHandler, "set_response_params", lambda self, limits: (self, limits)),
        (aiohttp, "ClientRequest", lambda method, url, *, loop, session: (method, url, loop, session)),
    ],
)
def test_a_signature_that_changed_is_found(
    owner: Any, name: str, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = aiohttp_internals.missing()
    monkeypatch.setattr(owner, name, function)
    assert len(aiohttp_internals.missing()) == len(before) + 1
