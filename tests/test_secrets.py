"""The key appears nowhere, goes nowhere else, and nothing a server says can pass for something else."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import logging
import pickle
import re
import socket
import ssl
import traceback
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from tests.addresses import INSIDE, INSIDE_HOSTS, OUTSIDE, written_out
from tests.certificates import self_signed
from tests.conftest import QUICK
from tests.proxies import HttpProxy
from tutuclient import (
    APIStatusError,
    ConfigError,
    ImageDownloadError,
    RetryPolicy,
    Timeout,
    TutuClient,
    TutuError,
    UnexpectedResponseError,
    user,
)
from tutuclient.downloads.fetch import Downloads
from tutuclient.downloads.guard import is_public
from tutuclient.testing import (
    FAULTS,
    draws,
    fails,
    raw,
    raw_server,
    sample_picture,
    says,
    serve,
    serve_in_thread,
    streams,
)
from tutuclient.types.provenance import Traced, provenance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tutuclient.testing import Server

KEY = "sk-Xq7recognisable9Zt4Wv2Lm8"
OTHER = "header-value-Jk3nobody-else-may-see"
PROMPT = "a prompt nobody may read: Rr5Tt6"
SECRETS = (KEY, KEY[3:], OTHER, base64.b64encode(KEY.encode()).decode()[:24], KEY.encode().hex())
NO_RETRY = RetryPolicy(max_retries=0)
SHORT = Timeout(total=0.25, connect=0.15)


# --- where to look ---------------------------------------------------------------------------------------------------


def everything_of(error: BaseException) -> str:
    """All that can be seen of an error: itself, what it holds, what it came from, and the frames with their locals."""
    seen: set[int] = set()
    found: list[str] = []
    waiting: list[Any] = [error]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        found.append(repr(value))
        if isinstance(value, BaseException):
            found.extend([str(value), *getattr(value, "__notes__", ())])
            found.extend(traceback.TracebackException.from_exception(value, capture_locals=True).format())
            waiting += [value.args, vars(value), value.__cause__, value.__context__]
        elif isinstance(value, bytes | str):
            found.append(value.decode("latin-1") if isinstance(value, bytes) else str(value))
        else:
            waiting += parts_of(value)
    if isinstance(error, TutuError):
        found.append(pickle.dumps(error).decode("latin-1"))
    return "\n".join(found)


def parts_of(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list | tuple | set):
        return list(value)
    if not type(value).__module__.startswith("tutuclient.types"):
        return []
    names = getattr(type(value), "__slots__", ()) or getattr(type(value), "__struct_fields__", ())
    hidden = vars(provenance(value)) if isinstance(value, Traced) else {}
    return [getattr(value, name, None) for name in names] + [getattr(value, "__dict__", {}), hidden]


def assert_clean(text: str) -> None:
    for secret in SECRETS:
        at = text.find(secret)
        assert at < 0, f"a secret is seen: …{text[max(0, at - 300) : at + 60]}…"


class Log(logging.Handler):
    """Everything that is logged, at any level, as it would be printed."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        if record.exc_info and record.exc_info[1]:
            self.lines.append(everything_of(record.exc_info[1]))
        self.lines.append(repr(record.args))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def log() -> Iterator[Log]:
    handler = Log()
    names = ("", "tutuclient", "asyncio", "aiohttp", "aiohttp.client", "aiohttp.internal")
    loggers = [logging.getLogger(name) for name in names]
    levels = [each.level for each in loggers]
    loggers[0].addHandler(handler)
    for each in loggers:
        each.setLevel(logging.DEBUG)
    yield handler
    loggers[0].removeHandler(handler)
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)


@pytest.fixture
async def secretive(server: Server) -> AsyncIterator[TutuClient]:
    asyncio.get_running_loop().set_debug(True)
    headers = {"X-Own-Secret": OTHER}
    async with TutuClient(KEY, server.base_url, retry=NO_RETRY, timeout=SHORT, default_headers=headers) as client:
        yield client


async def failure(client: TutuClient, *, stream: bool = False, model: str = "m") -> TutuError:
    """Send one call and return the error it ends in. No frame of ours holds the key."""
    with pytest.raises(TutuError) as caught:
        if stream:
            async with client.chat.completions.stream(model=model, messages=[user(PROMPT)]) as answer:
                await answer.completion()
        else:
            await client.chat.completions.create(model=model, messages=[user(PROMPT)])
    return caught.value


# --- the key is seen nowhere -----------------------------------------------------------------------------------------

# Those that end well in one of the two ways, or only with more time.
_QUIET = {
    "pings_forever",
    "done_then_silence",
    "brownout",
    "flood",
    "event_without_end",
    "endless_line",
    "endless_body",
}
_GOOD = {
    "two_objects",
    "error_behind_answer",
    "encoding_none",
    "enveloped",
    "interim_answers",
    "invalid_utf8",
    "lone_surrogate",
    "number_1e999",
    "nan",
    "huge_integer",
}
_PLAYED = sorted(
    name for name, fault in FAULTS.items() if fault.group not in {"connecting", "reuse"} and name not in _QUIET | _GOOD
)
_WELL = {
    "sse_unasked", "json_for_stream", "finish_without_done", "done_without_finish", "done_unterminated", "done_twice",
    "done_then_data", "enveloped_frames", "ignorable_frames", "message_event", "bom", "byte_by_byte",
    "wrong_content_type", "wrong_charset", "cr", "crlf",
    "json_lines", "done_glued", "done_bare", "junk_behind_end", "message_repeats",
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", [name for name in _PLAYED if name not in _WELL])
async def test_no_fault_shows_the_key(server: Server, secretive: TutuClient, log: Log, name: str, stream: bool) -> None:
    options: dict[str, Any] = {"seconds": 1.0} if "seconds" in FAULTS[name].options else {}
    options |= {"size": 2**18} if name in {"huge_error_body", "huge_headers"} else {}
    server.faults(name, **options)
    error = await failure(secretive, stream=stream)
    assert_clean(everything_of(error))
    assert_clean(log.text)
    assert PROMPT not in log.text


@pytest.mark.parametrize(
    "name", ["reset_after_request", "half_headers", "garbage", "two_lengths", "short_body", "no_answer"]
)
async def test_no_fault_of_a_connection_used_again_shows_the_key(
    server: Server, secretive: TutuClient, log: Log, name: str
) -> None:
    server.answers(says("good"))
    await secretive.chat.completions.create(model="m", messages=[user("hi")])
    server.faults(name, times=2)  # A connection that died idle is made up for once.
    assert_clean(everything_of(await failure(secretive)))
    assert_clean(log.text)


@pytest.mark.parametrize("name", ["reset_after_request", "no_answer", "status", "short_body"])
async def test_no_fault_of_an_image_s_order_shows_the_key(
    server: Server, secretive: TutuClient, log: Log, name: str
) -> None:
    server.faults(name)
    assert_clean(everything_of(await failure(secretive, model="gpt-4o-image")))
    assert_clean(log.text)


@pytest.mark.parametrize("name", sorted(name for name, fault in FAULTS.items() if fault.group == "connecting"))
async def test_no_fault_of_connecting_shows_the_key(log: Log, name: str) -> None:
    async with raw_server(name) as server, TutuClient(KEY, server.base_url, retry=NO_RETRY, timeout=SHORT) as client:
        assert_clean(everything_of(await failure(client)))
    assert_clean(log.text)


@pytest.mark.parametrize(
    "proxy", ["http://user:Pr0xyPassw0rd@127.0.0.1:1", "http://user:Pr0xyPassw0rd@127.0.0.1:{port}"]
)
async def test_no_fault_of_a_proxy_shows_a_password(server: Server, log: Log, proxy: str) -> None:
    port = server.origin.rpartition(":")[2]
    proxy = proxy.format(port=port)
    address = "https://relay.invalid/v1"  # Through CONNECT, which the relay on loopback does not know.
    async with TutuClient(KEY, address, retry=NO_RETRY, timeout=SHORT, proxy=proxy) as client:
        del proxy
        seen = everything_of(await failure(client)) + log.text + repr(client)
    assert_clean(seen)
    assert "Pr0xyPassw0rd" not in seen.replace("proxy = 'http://user:Pr0xyPassw0rd@", "")


ECHO = f"Incorrect API key provided: {KEY}"
ECHOES = {
    "401": fails(401, ECHO),
    "200 with an error": raw(200, f'{{"error":{{"message":"{ECHO}","code":"invalid_api_key"}}}}'.encode()),
    "200 with success false": raw(200, f'{{"success":false,"message":"{ECHO}"}}'.encode()),
    "HTML": raw(200, f"<html><title>{ECHO}</title></html>".encode()),
    "plain text": raw(200, ECHO.encode()),
    "no choices": raw(200, f'{{"id":"{KEY}"}}'.encode()),
    "a header": raw(500, b"", {"X-Echo": KEY, "X-Request-Id": KEY}),
    "a header of a bad answer": raw(200, b"", {"X-Echo": KEY, "X-Request-Id": KEY}),
    "a redirect": raw(302, b"", {"Location": f"https://elsewhere.example/{KEY}"}),
    "an encoding": raw(200, b"", {"Content-Encoding": KEY}),
    "an error in a stream": streams([f'{{"error":{{"message":"{ECHO}","type":"x","code":"{KEY}"}}}}']),
    "an error event": streams([f"event: error\ndata: {ECHO}\n\n".encode()]),
    "plain text in a stream": streams([ECHO]),
    "a bare line in a stream": streams([f'{{"error":"{ECHO}"}}\n'.encode()], done=False),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("where", ECHOES)
async def test_a_key_that_the_relay_echoes_is_masked(
    server: Server, secretive: TutuClient, log: Log, where: str, stream: bool
) -> None:
    server.answers(ECHOES[where])
    error = await failure(secretive, stream=stream)
    assert_clean(everything_of(error))
    assert_clean(log.text)


async def test_nothing_is_seen_of_a_good_answer(server: Server, secretive: TutuClient, log: Log) -> None:
    server.answers(says("fine"), says("fine"))
    answer = await secretive.chat.completions.create(model="m", messages=[user(PROMPT)])
    async with secretive.chat.completions.stream(model="m", messages=[user(PROMPT)]) as stream:
        folded = await stream.completion()
    for each in (answer, folded):
        assert_clean(repr(each) + repr(each.meta) + pickle.dumps(each).decode("latin-1"))
    assert_clean(log.text)
    assert PROMPT not in log.text
    assert "fine" not in log.text


async def test_images_and_prompts_are_not_logged(server: Server, secretive: TutuClient, log: Log) -> None:
    picture = sample_picture()
    start = base64.b64encode(picture).decode()[:40]
    server.answers(draws(picture, form="b64"), fails(500, "busy"), draws(picture, form="images"))
    edited = await secretive.with_options(timeout=10).edit(picture, PROMPT)
    assert len(edited.images) == 1
    with pytest.raises(APIStatusError) as caught:
        await secretive.analyze(picture, PROMPT)
    answer = await secretive.with_options(timeout=10).generate(PROMPT)
    await answer.images[0].read()
    assert PROMPT not in log.text
    assert start not in log.text
    assert start not in str(caught.value) + repr(caught.value)
    assert start not in repr(edited.images)


async def test_retries_log_no_secrets(server: Server, log: Log) -> None:
    async with TutuClient(KEY, server.base_url, retry=QUICK) as client:
        server.answers(fails(500, ECHO), fails(503, ECHO), says("fine"))
        assert (await client.chat.completions.create(model="m", messages=[user(PROMPT)])).text == "fine"
    assert "again in" in log.text
    assert_clean(log.text)
    assert PROMPT not in log.text


def test_a_client_shows_no_key() -> None:
    client = TutuClient(
        KEY, "https://relay.example/v1", default_headers={"X-Own-Secret": OTHER}, proxy="http://u:Pr0xyPassw0rd@h:1"
    )
    shown = (
        f"{client!r} {client!s} {client._settings!r} {client._transport!r} {vars(client)!r} {client.chat.completions!r}"
    )
    shown += repr(client.with_options(max_retries=1, default_headers={"X-Own-Secret": OTHER}))
    assert_clean(shown)
    assert "Pr0xyPassw0rd" not in shown
    again = pickle.loads(pickle.dumps(client))  # noqa: S301  (our own bytes)
    assert_clean(f"{again!r} {again._settings!r}")


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": f"{KEY}\r\nX-Forged: 1"},
        {"api_key": f"{KEY}\n{KEY}"},
        {"api_key": f"{KEY}\0"},
        {"api_key": f"{KEY} {KEY}"},
        {"api_key": f"{KEY}é"},
        {"api_key": KEY, "base_url": f"https://{KEY}@relay.example/v1"},
        {"api_key": KEY, "base_url": f"https://relay.example/v1?key={KEY}"},
        {"api_key": KEY, "base_url": f"https://relay.example/\r\n{KEY}"},
        {"api_key": KEY, "default_headers": {"X-A": f"{OTHER}\r\nX-Forged: 1"}},
        {"api_key": KEY, "default_headers": {"X-A": f"{OTHER}\0"}},
        {"api_key": KEY, "proxy": f"socks://user:{KEY}@h:1"},
        {"api_key": KEY, "proxy": f"http://user:{KEY}@h:1\r\n"},
        {"api_key": KEY, "timeout": "x"},
        {"api_key": KEY, "max_connections": 0},
    ],
)
def test_settings_that_cannot_work_show_no_secrets(settings: dict[str, Any]) -> None:
    settings = {"base_url": "https://relay.example/v1"} | settings
    try:
        TutuClient(**settings)
    except ConfigError as error:
        raised: ConfigError = error
    else:
        assert settings["proxy"].endswith("\r\n")  # White space around an address is taken off, and that is all.
        return
    settings.clear()  # This frame is one of the traceback's.
    assert_clean(everything_of(raised))


def test_keys_from_the_environment_are_seen_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigError) as caught:
        TutuClient()
    assert_clean(everything_of(caught.value))


async def test_warnings_show_no_secrets(server: Server) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        server.faults("stalled_stream", seconds=1)
        client = TutuClient(KEY, server.base_url, verify=False)
        stream: Any = await client.chat.completions.create(model="m", messages=[user("hi")], stream=True)
        del stream, client
        gc.collect()
        await asyncio.sleep(0.02)
    assert caught
    assert_clean("".join(f"{each.message!r} {each.source!r} {each.filename}" for each in caught))


# --- and goes nowhere else -------------------------------------------------------------------------------------------


def sent(server: Server) -> str:
    return "\n".join(
        f"{seen.method} {seen.path}?{seen.query} {seen.headers} {seen.body!r}"
        for seen in [*server.requests, *server.downloads]
    )


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
async def test_no_redirect_takes_a_call_elsewhere(server: Server, secretive: TutuClient, status: int) -> None:
    async with serve() as elsewhere:
        server.answers(raw(status, b"", {"Location": f"{elsewhere.base_url}/chat/completions"}))
        error = await failure(secretive)
        assert isinstance(error, APIStatusError)
        assert error.status_code == status
        assert elsewhere.origin in error.message
        assert elsewhere.requests == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1:{port}/v1/chat/completions",
        "//127.0.0.1:1/v1/chat/completions",
        "http://localhost:{port}/v1/chat/completions",
        "http://127.0.0.1.:{port}/v1/chat/completions",
        "http://user@127.0.0.2:{port}/v1/chat/completions",
        "http://127.0.0.1:{port}@elsewhere.example/",
        "ftp://127.0.0.1:{port}/",
        "javascript:alert(1)",
        "http://[bad/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:port/",
        "",
    ],
)
async def test_only_the_very_origin_is_followed(
    server: Server, secretive: TutuClient, status: int, location: str
) -> None:
    port = server.origin.rpartition(":")[2]
    server.answers(raw(status, b"", {"Location": location.format(port=port)}))
    error = await failure(secretive)
    assert isinstance(error, APIStatusError)
    assert error.status_code == status
    assert len(server.requests) == 1
    assert error.message.isprintable()


async def test_within_the_origin_the_same_request_is_sent_again(server: Server, secretive: TutuClient) -> None:
    server.answers(raw(307, b"", {"Location": "/v1/other"}), says("there"))
    answer = await secretive.chat.completions.create(model="m", messages=[user(PROMPT)])
    assert answer.text == "there"
    first, second = server.requests
    assert (first.body, first.headers["Authorization"]) == (second.body, second.headers["Authorization"])
    assert second.path == "/v1/other"


async def test_redirects_in_a_circle_end(server: Server, secretive: TutuClient) -> None:
    server.answers(*[raw(307, b"", {"Location": f"/v1/{'ab'[n % 2]}"}) for n in range(50)])
    assert (await failure(secretive)).attempts == 1
    assert len(server.requests) < 10


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_an_image_is_fetched_without_the_key(server: Server, status: int) -> None:
    async with serve(key=None) as host:
        host.answers(
            raw(status, b"", {"Location": f"{host.base_url}/files/b.png", "Set-Cookie": "a=b"}), path="/v1/files/a.png"
        )
        host.host(sample_picture(), "b.png")
        client = TutuClient(
            KEY,
            server.base_url,
            default_headers={"X-Own-Secret": OTHER, "Cookie": f"own={OTHER}"},
            allow_private_downloads=True,
        )
        async with client:
            server.answers(draws(f"{host.base_url}/files/a.png", form="markdown"))
            answer = await client.generate("a kite")
            assert await answer.images[0].read() == sample_picture()
        assert len(host.downloads) == 2
        assert_clean(sent(host))
        for seen in host.downloads:
            names = {name.lower() for name in seen.headers}
            assert names <= {"host", "accept", "accept-encoding", "user-agent", "connection"}


async def test_an_image_of_the_relay_itself_is_fetched_without_the_key(server: Server, secretive: TutuClient) -> None:
    server.answers(draws(sample_picture(), form="markdown"))
    answer = await secretive.with_options(timeout=10).generate("a kite")
    await answer.images[0].read()
    [seen] = server.downloads
    assert_clean(f"{seen.headers} {seen.query}")


async def test_a_proxy_gets_no_key_with_connect() -> None:
    context, authority = self_signed()
    async with serve(ssl_context=context) as server, HttpProxy() as proxy:
        verify = ssl.create_default_context(cadata=authority)
        async with TutuClient(
            KEY, server.base_url, proxy=proxy.url, verify=verify, default_headers={"X-Own-Secret": OTHER}
        ) as client:
            server.answers(says("through"))
            assert (await client.chat.completions.create(model="m", messages=[user(PROMPT)])).text == "through"
    [head] = proxy.heads
    assert head.startswith("CONNECT ")
    assert_clean(head)
    assert "authorization: bearer" not in head.lower()
    assert "Proxy-Authorization: Basic " in head


async def test_a_proxy_gets_nothing_of_the_key_in_its_own_headers(server: Server) -> None:
    # Over plain HTTP the proxy reads everything, as the whole path does; but nothing is addressed to it.
    async with HttpProxy() as proxy, TutuClient(KEY, server.base_url, proxy=proxy.url) as client:
        server.answers(says("through"))
        assert (await client.chat.completions.create(model="m", messages=[user(PROMPT)])).text == "through"
    for head in proxy.heads:
        for line in head.splitlines():
            if not line.lower().startswith("authorization:"):
                assert_clean(line)
    assert_clean(
        "\n".join(
            value for seen in server.requests for name, value in seen.headers.items() if name.lower() != "authorization"
        )
    )


async def test_a_download_gives_a_proxy_no_key(server: Server) -> None:
    async with (
        HttpProxy() as proxy,
        serve(key=None) as host,
        TutuClient(KEY, server.base_url, proxy=proxy.url, allow_private_downloads=True) as client,
    ):
        server.answers(draws(host.host(sample_picture()), form="markdown"))
        answer = await client.generate("a kite")
        proxy.heads.clear()
        await answer.images[0].read()
    assert len(proxy.heads) == 1
    assert_clean("".join(proxy.heads))


@pytest.mark.parametrize("headers", [None, {"X-A": "1"}], ids=["the short way", "through the session"])
async def test_cookies_are_neither_kept_nor_sent(
    server: Server, secretive: TutuClient, headers: dict[str, str] | None
) -> None:
    cookies = {"Set-Cookie": "session=abc; Path=/"}
    good = b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}'
    server.answers(*[raw(200, good, cookies)] * 3, says("last"))
    for _ in range(4):
        await secretive.chat.completions.create(model="m", messages=[user("hi")], extra_headers=headers)
    assert [seen.headers.get("Cookie") for seen in server.requests] == [None] * 4


@pytest.mark.parametrize("status", [300, 301, 302, 303])
async def test_a_redirect_that_would_change_the_call_is_not_followed(
    server: Server, secretive: TutuClient, status: int
) -> None:
    server.answers(raw(status, b"", {"Location": "/v1/other"}))
    assert (await failure(secretive)).attempts == 1
    assert len(server.requests) == 1


async def test_netrc_is_not_used(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password netrc-Passw0rd\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_bytes(netrc.read_bytes())
    async with TutuClient(KEY, server.base_url) as client:
        server.answers(draws(sample_picture(), form="markdown"))
        answer = await client.generate("a kite")
        await answer.images[0].read()
    assert [seen.headers["Authorization"] for seen in server.requests] == [f"Bearer {KEY}"]
    assert all("Authorization" not in seen.headers for seen in server.downloads)
    assert "netrc" not in sent(server)


# --- only strangers outside (SSRF) -----------------------------------------------------------------------------------


@pytest.mark.parametrize("address", INSIDE)
def test_inside_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_next_to_them_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", INSIDE)
async def test_no_name_leads_inside(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Whatever the resolver says, it is the address of the socket that is judged."""
    made: list[Any] = []
    monkeypatch.setattr(socket, "socket", lambda *_args, **_more: made.append(1))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = (address.partition("%")[0], 80, 0, 2) if ":" in address else (address, 80)

    async def getaddrinfo(*_args: Any, **_more: Any) -> list[Any]:
        return [(family, socket.SOCK_STREAM, 6, "", where)]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(ImageDownloadError, match="inside a private network"):
        await Downloads(timeout=2).fetch("http://pictures.example.com/a.png")
    assert made == []


@pytest.mark.parametrize(
    "url",
    [
        *(f"http://{host}/a.png" for host in (*map(written_out, INSIDE), *INSIDE_HOSTS)),
        *("file:///etc/passwd", "ftp://h.example/a.png", "gopher://h.example/", "data:text/html,hi", "javascript:1"),
        *("//h.example/a.png", "http://user:pw@h.example/a.png", "http:///a.png"),
        *("https://a:[[]],b@", "http://[:1:1]:9/", "http://[]/", "http://]/", "http://h:port/", "http://h:99999/"),
        *("http://h.example:0/a.png", "http://h.example\r\nX: y/a.png", "http://h.example/\0a.png", "http://h.exam\tple/"),
    ],
)  # fmt: skip
async def test_no_spelling_leads_inside(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(socket, "socket", lambda *_args, **_more: pytest.fail("a socket was made"))
    with pytest.raises(ImageDownloadError) as caught:
        await Downloads(timeout=2).fetch(url)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("hop", range(4))
async def test_each_hop_is_judged_by_itself(hop: int) -> None:
    async with serve(key=None) as outside, serve(key=None) as inside:
        for number in range(hop):
            outside.answers(raw(302, b"", {"Location": f"/v1/files/{number + 1}"}), path=f"/v1/files/{number}")
        outside.answers(raw(302, b"", {"Location": inside.host(sample_picture())}), path=f"/v1/files/{hop}")
        with pytest.raises(ImageDownloadError, match="inside a private network"):
            await Downloads(trusted_origins={outside.origin}).fetch(f"{outside.base_url}/files/0")
        assert inside.downloads == []
        assert len(outside.downloads) == hop + 1


async def test_a_name_that_changes_its_mind_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: the first answer is public, every later one is not; it is looked up once for each connection."""
    answers = [("8.8.8.8", 80), ("127.0.0.1", 80)]
    asked: list[Any] = []

    async def getaddrinfo(host: str, *_args: Any, **_more: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", answers[min(len(asked), 2) - 1])]

    class Refusing:
        def __init__(self, *_: Any, **__: Any) -> None:
            raise OSError("the test has no way out")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(ImageDownloadError) as first:
        await Downloads(timeout=2).fetch("http://rebind.example.com/a.png")
    assert "inside" not in first.value.message
    with pytest.raises(ImageDownloadError, match="inside a private network"):
        await Downloads(timeout=2).fetch("http://rebind.example.com/a.png")
    assert len(asked) == 2


async def test_an_answer_cannot_name_the_relay_s_neighbour(server: Server, secretive: TutuClient) -> None:
    async with serve(key=None) as neighbour:
        server.answers(draws(neighbour.host(sample_picture()), form="markdown"))
        answer = await secretive.with_options(timeout=10).generate("a kite")
        with pytest.raises(ImageDownloadError, match="inside a private network"):
            await answer.images[0].read()
        assert neighbour.downloads == []


# --- names of files --------------------------------------------------------------------------------------------------


def everything_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize(
    "name",
    [
        *("..%2f..%2fetc%2fpasswd.png", "%2e%2e%2fa.png", "..%5c..%5ca.png", "a%00.png",
          "a%0d%0ab.png", ".hid.png", "-rf.png"),
        *("con.png", "NUL.png", "com1.png", "a" * 400 + ".png", "%2F.png", "~.png", "$(id).png",
          "a;b.png", "%1b%5b31m.png"),
        *("图片.png", "a.png%20.exe", "a.php", "%E2%80%AE.png", "C:a.png", "a:b.png", "*.png", "..", "."),
    ],
)  # fmt: skip
async def test_an_image_s_name_stays_in_its_folder(server: Server, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    server.answers(draws(f"{server.base_url}/files/x/{name}?a=../../b", form="markdown"))
    async with TutuClient(KEY, server.base_url) as client:
        picture = (await client.generate("a kite")).images[0]
        seen = f"/v1/files/x/{name}"
        server.host(sample_picture(), "unused")
        answers = raw(
            200,
            sample_picture(),
            {"Content-Type": "image/png", "Content-Disposition": "attachment; filename=../evil.sh"},
        )
        for path in {seen, unquote(seen)}:
            server.answers(answers, path=path)
        try:
            saved = await picture.save(folder)
        except ImageDownloadError:
            assert everything_in(tmp_path) == [folder]
            return
    assert saved.parent == folder
    assert everything_in(tmp_path) == [folder, saved]
    assert re.fullmatch(r"[\w-]{1,80}\.png", saved.name)
    assert not saved.name.startswith((".", "-"))
    assert saved.stem.lower() not in {"con", "nul", "com1"}


# --- nothing is smuggled into a request ------------------------------------------------------------------------------

SMUGGLED = ("a\r\nX-Forged: 1", "a\nb", "a\rb", "a\0b", "a\r\n\r\nGET / HTTP/1.1")


@pytest.mark.parametrize("text", SMUGGLED)
async def test_line_breaks_in_headers_are_refused(server: Server, secretive: TutuClient, text: str) -> None:
    for headers in ({"X-A": text}, {text: "a"}):
        with pytest.raises(ConfigError):
            await secretive.chat.completions.create(model="m", messages=[user("hi")], extra_headers=headers)
        with pytest.raises(ConfigError):
            secretive.with_options(default_headers=headers)
        with pytest.raises(ConfigError):
            TutuClient(KEY, default_headers=headers)
    assert server.requests == []


@pytest.mark.parametrize("text", [*SMUGGLED, "é", "a&b=c", "a#b", "a b", "%0d%0a"])
async def test_queries_and_model_names_are_escaped(server: Server, secretive: TutuClient, text: str) -> None:
    body = b'{"id": "m", "object": "model", "choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}'
    server.answers(raw(200, body), raw(200, body))
    await secretive.chat.completions.create(model=text, messages=[user(text)], extra_query={text: text, "b": "1"})
    await secretive.models.retrieve(text)
    first, second = server.requests
    assert dict(first.query) == {text: text, "b": "1"}
    assert first.json["model"] == text
    assert second.path == f"/v1/models/{text}"
    assert "X-Forged" not in first.headers
    assert "X-Forged" not in second.headers


@pytest.mark.parametrize("text", SMUGGLED)
def test_line_breaks_in_addresses_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        TutuClient(KEY, f"https://relay.example/{text}")
    with pytest.raises(ConfigError):
        TutuClient(KEY, "https://relay.example", proxy=f"http://proxy.example/{text}")


@pytest.mark.parametrize("model", ["...", "a/b", "/etc", "?key=1", "#"])
async def test_a_model_s_name_is_one_step_of_a_path(server: Server, secretive: TutuClient, model: str) -> None:
    with contextlib.suppress(APIStatusError, UnexpectedResponseError):
        await secretive.models.retrieve(model)
    assert [seen.path for seen in server.requests] == [f"/v1/models/{model}"]


@pytest.mark.parametrize("model", ["..", ".", " .. ", "", "../../admin", "a/../../b", "a/.."])
async def test_a_model_s_name_is_a_name(server: Server, secretive: TutuClient, model: str) -> None:
    with pytest.raises(ConfigError):
        await secretive.models.retrieve(model)
    assert server.requests == []


# --- nor forged in what we print -------------------------------------------------------------------------------------

FORGED = "harmless\r\n2026-01-01 ERROR root: the disk is full\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2028\x00\x08\x7f"
_JSON = json.dumps(FORGED)
FORGERIES = {
    "an error": raw(400, f'{{"error":{{"message":{_JSON},"code":{_JSON},"type":{_JSON},"param":{_JSON}}}}}'.encode()),
    "an error under 200": raw(200, f'{{"error":{{"message":{_JSON},"code":{_JSON}}}}}'.encode()),
    "plain text": raw(500, FORGED.encode()),
    "plain text under 200": raw(200, FORGED.encode()),
    "HTML": raw(502, f"<html><title>{FORGED}</title></html>".encode()),
    "no choices": raw(200, f'{{"id":{_JSON}}}'.encode()),
    "a location": raw(302, b"", {"Location": "https://h.example/\x1b[31m\x9b31m"}),
    "an encoding": raw(200, b"{}", {"Content-Encoding": "gz\x1b[31m"}),
    "a request id": raw(500, b"", {"X-Request-Id": "id\x1b[31m"}),
    "an error in a stream": streams([f'{{"error":{{"message":{_JSON}}}}}']),
    "an error event": streams([b"event: error\ndata: " + _JSON.encode() + b"\n\n"]),
    "text in a stream": streams(["\x1b[2J\x9b31m"]),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("where", FORGERIES)
async def test_a_server_s_words_are_one_harmless_line(server: Server, log: Log, where: str, stream: bool) -> None:
    server.answers(FORGERIES[where], FORGERIES[where])
    async with TutuClient(KEY, server.base_url, retry=RetryPolicy(max_retries=1, wait_initial=0.001)) as client:
        error = await failure(client, stream=stream)
    for text in (str(error), *(line for line in log.lines if line.startswith("tutuclient "))):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize("where", FORGERIES)
def test_the_command_line_prints_no_escapes(
    where: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cli = pytest.importorskip("tutuclient.cli", exc_type=ImportError)
    monkeypatch.setenv("TUTU_API_KEY", KEY)
    with serve_in_thread() as server:
        server.answers(*[FORGERIES[where]] * 3)
        code = cli.run(["chat", "hello", "--base-url", server.base_url])
        assert server.requests
    shown = "".join(capfd.readouterr())
    assert code != 0
    assert_clean(shown)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", shown)
    assert "\n2026-01-01 ERROR" not in shown
