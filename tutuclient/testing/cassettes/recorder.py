"""The recorder: a relay on loopback that passes requests on to a real one, and writes down what goes by.

Answers are passed on read by read, as they come. Requests are read whole first, then sent over a connection of their
own, and never a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict

from tutuclient import __version__
from tutuclient.errors import ConfigError, printable
from tutuclient.settings.proxies import environment_proxies
from tutuclient.testing.cassettes.bodies import RELAY, Parts, neutral, request_body
from tutuclient.testing.cassettes.scrubbing import (
    ANSWER_HEADERS,
    REQUEST_HEADERS,
    cookies_set,
    is_about_an_account,
    keys_of,
    scrub_headers,
    scrub_path,
    scrub_query,
)
from tutuclient.testing.cassettes.split_keys import SplitKeys
from tutuclient.testing.cassettes.tape import Tape, warn
from tutuclient.testing.exchange import INLINE_BYTES
from tutuclient.testing.server import Server
from tutuclient.transport.exceptions import UNCONNECTED, SocksError
from tutuclient.transport.tunnels import connector_through

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tutuclient.testing.exchange import Exchange

MOST_BODY_BYTES = 2**30
# Of one connection only (RFC 9110, section 7.6.1), or set anew for the other side.
_NOT_PASSED_ON = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "host", "content-length", "accept-encoding", "expect", "content-encoding"),
    }
)
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|\[?::1\]?")
_TEXTS = re.compile(r"(?:text/|application/(?:[\w.+-]*json|x-ndjson|xml|javascript))", re.IGNORECASE)
_UNREADABLE = re.compile(r"br|zstd|compress|,")
_DONE = re.compile(r"data:\s*\[DONE\]\s*")
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS
_GZIP = 0x1F  # The first byte of each member.
_UNPACKED_BYTES = 2**20
_PAUSE_S = 0.02
"""Between the last read and a cut, so that the client has read it: a reset discards what it has not."""


def split_address(url: str) -> tuple[str, str]:
    """Return the origin and the path of a base URL; without a path it is ``/v1``, as the client has it.

    Raises:
        ConfigError: It is no address.
    """
    text = url.strip().rstrip("/")
    if text and "://" not in text and not text.endswith(":"):
        text = f"{'http' if _LOOPBACK.match(text) else 'https'}://{text}"
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        parts, port = urlsplit(""), ""
    if parts.scheme not in {"http", "https"} or not parts.hostname or len(text.split()) != 1:
        raise ConfigError(f"the address to record is none: '{printable(url, 100)}'; it looks like https://host/v1")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}", parts.path or "/v1"


async def asked(exchange: Exchange, origin: str, extra_keys: Sequence[str] = ()) -> dict[str, Any]:
    """Return the line of a request as ``line_of`` does; that of a long body from a worker thread."""
    if len(exchange.body) <= INLINE_BYTES:
        return line_of(exchange, origin, extra_keys)
    return await exchange.stage.work(partial(line_of, exchange, origin, extra_keys))


def line_of(exchange: Exchange, origin: str, extra_keys: Sequence[str] = ()) -> dict[str, Any]:
    """Return the line of a request, without what is secret in it; ``origin`` is what the client knows the relay by."""
    request = exchange.request
    url = request.rel_url
    keys = [*extra_keys, *keys_of(request.headers, url.raw_query_string)]
    line: dict[str, Any] = {"method": request.method, "path": scrub_path(url.raw_path, keys)}
    if query := scrub_query(url.raw_query_string, keys):
        line["query"] = query
    line["headers"] = scrub_headers(request.headers, REQUEST_HEADERS, keys)
    if boundary := re.search(r"(?i)^(multipart/[\w-]+);", line["headers"].get("content-type", "")):
        line["headers"]["content-type"] = boundary[1]  # The boundary is another one each time.
    return {**line, **request_body(request.headers.get(hdrs.CONTENT_TYPE, ""), exchange.body, keys, origin)}


class Recorder(Server):
    """A relay on loopback that passes requests on to a real one, and writes a cassette.

    Args:
        url: The real relay's base URL.
        path: The cassette; what it holds already stays.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        key: What is sent in the place of the caller's key, wherever a request has one; None passes that on.

    Attributes:
        relay: The base URL that is recorded.
        path: The cassette.
        tape: The file. After its ``failure`` requests are answered with 507, and not passed on.

    Raises:
        ConfigError: The address is none, a proxy of the environment cannot be used, or the cassette cannot be written.
    """

    def __init__(self, url: str, path: Path, *, host: str = "127.0.0.1", port: int = 0, key: str | None = None) -> None:
        self._upstream, base = split_address(url)
        self.relay = self._upstream + base
        self._own_key = key
        self._proxy = environment_proxies().of(self.relay)
        self.path = path
        self.tape = Tape(path, self._upstream, base, f"tutuclient {__version__}")
        super().__init__(host, port, None, MOST_BODY_BYTES, None, self._record, base_path=base, hosts_files=False)

    async def __aenter__(self) -> Self:
        try:
            self._session = self._opened()
        except BaseException:
            self.tape.close()
            raise
        try:
            await super().__aenter__()
        except BaseException:
            await self._session.close()
            self.tape.close()
            raise
        return self

    def _opened(self) -> aiohttp.ClientSession:
        # By the rules of the client: aiohttp's own know no SOCKS, and would send a login of ~/.netrc along.
        # A connection for each request: one that is used again may have died, which would be recorded as a fault of
        # the relay.
        connector, self._request_options = connector_through(self._proxy, True, force_close=True, limit=0)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
            auto_decompress=False,  # aiohttp takes gzip that is cut off for whole.
            trust_env=False,
        )

    async def __aexit__(self, *error: object) -> None:
        try:
            await super().__aexit__(*error)
        finally:
            await self._session.close()
            self.tape.close()

    async def _record(self, exchange: Exchange) -> web.StreamResponse:
        # The intent is on the disk before anything is paid for.
        extra = [self._own_key] if self._own_key else []
        keys = [*extra, *keys_of(exchange.request.headers, exchange.request.query_string)]
        number = 0
        if self.tape.failure is None:
            number = self.tape.begin(await asked(exchange, self.origin, extra), keys)
        if self.tape.failure is not None:
            why = self.tape.failure.strerror
            return self._no(exchange, 507, f"not sent: the cassette {self.tape.path.name} cannot be written: {why}")
        take = _Take(self.tape, number, exchange, keys, (self._upstream, self.origin))
        try:
            async with self._session.request(
                exchange.request.method,
                self._upstream + exchange.request.raw_path,
                data=io.BytesIO(self._body(exchange)) if exchange.body else None,
                headers=self._headers(exchange),
                allow_redirects=False,
                skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.CONTENT_TYPE),
                **self._request_options,
            ) as upstream:
                _check_coding(upstream)
                return await take.pass_on(upstream)
        except asyncio.CancelledError:
            # The end is written once only, so this is for those that leave before the answer's head.
            take.end("stopped" if self._closing else "left")
            raise
        except (*UNCONNECTED, SocksError, aiohttp.InvalidURL) as error:
            take.end("unreachable")
            through = "" if self._proxy is None else f"; through the proxy {self._proxy}"
            # 503, as nothing was sent: behind 502 an image may have been made, so nobody would order it again.
            return self._no(exchange, 503, f"the relay {self.relay} was not reached: {_shown(error)}{through}")
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            return await take.broken(error)
        except aiohttp.ClientError as error:
            # It may have been billed, so the client must not take it for an error of the relay's.
            warn(f"exchange {number}: the answer cannot be read, and counts as cut off: {_shown(error)}")
            return await take.broken(error)

    def _no(self, exchange: Exchange, status: int, message: str) -> web.Response:
        warn(message)
        return refusal(exchange, status, message, "not_recorded")

    def _headers(self, exchange: Exchange) -> CIMultiDict[str]:
        kept = CIMultiDict(
            (name, value) for name, value in exchange.request.headers.items() if name.lower() not in _NOT_PASSED_ON
        )
        kept[hdrs.ACCEPT_ENCODING] = "identity"
        if self._own_key and hdrs.AUTHORIZATION in kept:
            kept[hdrs.AUTHORIZATION] = f"Bearer {self._own_key}"
        return kept

    def _body(self, exchange: Exchange) -> bytes:
        """Return the body with the relay's address where it has ours, which answers are passed on with."""
        if not _TEXTS.match(exchange.request.headers.get(hdrs.CONTENT_TYPE, "")):
            return exchange.body
        passed = Passing(self.origin, self._upstream)
        return passed.feed(exchange.body) + passed.flush()


def refusal(exchange: Exchange, status: int, message: str, code: str) -> web.Response:
    """Build the answer of a cassette that has none."""
    error = {"message": message, "type": "tutu_cassette_error", "param": None, "code": code}
    return exchange.respond({"error": error}, status=status, headers={"X-Should-Retry": "false"})


def _shown(error: BaseException) -> str:
    return printable(str(error) or type(error).__name__, 200)


def _check_coding(upstream: aiohttp.ClientResponse) -> None:
    """Raise ClientPayloadError where a cassette could not be searched for keys: plain answers were asked for."""
    coding = upstream.headers.get(hdrs.CONTENT_ENCODING, "").lower()
    if _UNREADABLE.search(coding):
        raise aiohttp.ClientPayloadError(f"it is compressed as {printable(coding, 40)}, though it was asked for plain")


async def _plain(upstream: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    """Yield what is read of an answer, decompressed if it came compressed although it was asked for plain.

    Raises:
        ClientPayloadError: It is not complete, or not compressed as it says.
    """
    coding = upstream.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    unpacker = Unpacker(coding) if coding in {"gzip", "x-gzip", "deflate"} else None
    while data := await upstream.content.readany():
        if unpacker is None:
            yield data
            continue
        for plain in unpacker.feed(data):
            yield plain
    if unpacker is not None and not unpacker.is_whole:
        raise aiohttp.ClientPayloadError(f"{coding} that is cut off")


class Unpacker:
    """Decompresses gzip, of one member or several (RFC 1952, section 2.2), and deflate, with zlib's header or not."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._zlib: Any = None

    @property
    def is_whole(self) -> bool:
        """Whether what was fed has come to an end."""
        return self._zlib is not None and bool(self._zlib.eof)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what is in some more bytes.

        Raises:
            ClientPayloadError: They are not compressed so.
        """
        while data:
            if self.is_whole and (self._coding == "deflate" or data[0] != _GZIP):
                return  # What stands behind the end belongs to nothing; zeros that fill up a block, for one.
            if self._zlib is None or self.is_whole:
                # The first byte of zlib's header names its method, 8, in its lower half (RFC 1950, section 2.2).
                bare = self._coding == "deflate" and data[0] & 0xF != 8  # noqa: PLR2004
                self._zlib = zlib.decompressobj(-zlib.MAX_WBITS if bare else _ZLIB_OR_GZIP)
            try:
                plain = self._zlib.decompress(data, _UNPACKED_BYTES)
            except zlib.error as error:
                raise aiohttp.ClientPayloadError(f"not {self._coding}: {error}") from error
            data = self._zlib.unconsumed_tail or self._zlib.unused_data
            if plain:
                yield plain


class _Take:
    """One answer on its way to the client, and into the cassette."""

    def __init__(
        self, tape: Tape, number: int, exchange: Exchange, keys: Sequence[str], origins: tuple[str, str]
    ) -> None:
        self._tape, self._number, self._exchange, self._keys = tape, number, exchange, [*keys]
        self._upstream, self._origin = origins
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        self._last = 0.0
        self._parts: Parts | None = None
        self._split = SplitKeys(())
        self._left_bytes: int | None = None
        self._is_complete = self._ended = False

    async def pass_on(self, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        """Pass an answer on, read by read."""
        exchange, kind = self._exchange, upstream.headers.get(hdrs.CONTENT_TYPE, "")
        self._keys += cookies_set(upstream.headers.getall(hdrs.SET_COOKIE, []))
        self._split = SplitKeys(self._keys)
        response = self._head(upstream, kind)
        self._parts = Parts(kind, self._upstream, self._keys, account=is_about_an_account(exchange.request.path))
        passed = Passing(self._upstream, self._origin) if _TEXTS.match(kind) else None
        try:
            await response.prepare(exchange.request)
            async with contextlib.aclosing(_plain(upstream)) as reads:
                async for data in reads:
                    self._take(data)
                    await response.write(passed.feed(data) if passed else data)
            if passed:
                await response.write(passed.flush())
        except (asyncio.CancelledError, ConnectionResetError):
            raise
        except aiohttp.ClientError as error:
            if passed:
                await response.write(passed.flush())
            return await self.broken(error)
        self.end("complete")
        await response.write_eof()
        return response

    def _head(self, upstream: aiohttp.ClientResponse, kind: str) -> web.StreamResponse:
        """Write the head into the cassette, and build that of the client's answer."""
        length, coded = upstream.headers.get(hdrs.CONTENT_LENGTH), hdrs.CONTENT_ENCODING in upstream.headers
        framing = "chunked" if hdrs.TRANSFER_ENCODING in upstream.headers else "length" if length else "close"
        kept = scrub_headers(upstream.headers, ANSWER_HEADERS, self._keys)
        line: dict[str, Any] = {"answer": self._number, "t": self._now(), "status": upstream.status, "headers": kept}
        if "location" in kept:
            kept["location"] = neutral(kept["location"], self._upstream)
        line["framing"] = framing
        has_body = self._exchange.request.method != hdrs.METH_HEAD and upstream.status not in {204, 304}
        if length and length.isdigit() and not coded:
            line["length"] = int(length)
        self._write([line])
        headers = CIMultiDict(
            (name, self._with_own_origin(value) if name.lower() == "location" else value)
            for name, value in upstream.headers.items()
            if name.lower() not in _NOT_PASSED_ON
        )
        response = web.StreamResponse(status=upstream.status, headers=headers)
        # In texts the relay's address becomes ours, which has another length.
        if "length" in line and (not has_body or not _TEXTS.match(kind)):
            response.content_length = line["length"]
        self._left_bytes = line.get("length")
        return response

    def _with_own_origin(self, url: str) -> str:
        return neutral(url, self._upstream).replace(RELAY, self._origin)

    async def broken(self, error: BaseException) -> web.StreamResponse:
        """Break the client's connection as the relay's broke."""
        how = "reset" if _was_reset(error) else "cut"
        self.end(how)
        await asyncio.sleep(_PAUSE_S)
        return self._exchange.reset() if how == "reset" else self._exchange.fin()

    def _take(self, data: bytes) -> None:
        parts = list(self._parts.feed(self._now(), data)) if self._parts else []
        self._write_parts(kept for part in parts for kept in self._split.feed(part))
        if self._left_bytes is not None:
            self._left_bytes -= len(data)
        # Many clients leave at this word, or at the last byte, before the relay has closed.
        done = any(_DONE.fullmatch(str(part.get("text", ""))) for part in parts)
        self._is_complete = self._is_complete or done or self._left_bytes == 0

    def end(self, how: str) -> None:
        """Write what is left, and how it ended; only the first end counts."""
        if self._ended:
            return
        self._ended = True
        if self._parts is not None:
            self._write_parts(kept for part in self._parts.finish() for kept in self._split.feed(part))
            self._write_parts(self._split.finish())
        if how in {"left", "stopped"} and self._is_complete:
            how = "complete"
        self._write([{"end": self._number, "t": self._now(), "how": how}])

    def _write_parts(self, parts: Iterable[Mapping[str, Any]]) -> None:
        self._write({"part": self._number, **part} for part in parts)

    def _write(self, lines: Iterable[Mapping[str, Any]]) -> None:
        failed = self._tape.failure
        for line in lines:
            self._tape.write(line, self._keys)
        if failed is None and (failure := self._tape.failure) is not None:
            warn(f"{self._tape.path} cannot be written any more: {failure.strerror}; what is in it can be replayed")

    def _now(self) -> float:
        # Two reads have two times: the same time is the same read.
        self._last = max(round(self._clock() - self._started, 6), round(self._last + 1e-6, 6))
        return self._last


def _was_reset(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ConnectionResetError) and error.errno is not None:
            return True
        error = error.__cause__ or error.__context__
    return False


class Passing:
    """Texts that go by, in which one address takes the place of another, also where it is cut between two reads."""

    def __init__(self, theirs: str, ours: str) -> None:
        plain, escaped = theirs.encode(), theirs.replace("/", r"\/").encode()
        # What is behind decides: https://relay.example is no part of https://relay.example.org.
        either = b"|".join(map(re.escape, (plain, escaped)))
        self._found = re.compile(rb"(?:" + either + rb")(?![\w:-]|\.\w)")
        self._known = (plain, escaped)
        self._ours: Mapping[bytes, bytes] = {plain: ours.encode(), escaped: ours.replace("/", r"\/").encode()}
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be passed on; an address that may not be complete waits for the next read."""
        data = self._held + data
        longest = len(self._known[1]) + 1
        # Whole addresses wait too: what follows may belong to them.
        held = next(
            (
                length
                for length in range(min(longest, len(data)), 0, -1)
                if any((known + b".").startswith(data[-length:]) for known in self._known)
            ),
            0,
        )
        self._held = data[len(data) - held :]
        return self._replaced(data[: len(data) - held])

    def flush(self) -> bytes:
        """Return what was held back."""
        held, self._held = self._held, b""
        return self._replaced(held)

    def _replaced(self, data: bytes) -> bytes:
        return self._found.sub(lambda found: self._ours[found[0]], data)
