"""A call to make: what transport needs to know of it, and nothing of what its answer means."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tutuclient._logger import logger
from tutuclient.errors import ConfigError, printable
from tutuclient.settings import SecretBytes, Spent, masked, merged_headers, origin_of
from tutuclient.types.prices import Prices

if TYPE_CHECKING:
    from tutuclient._meta import Meta
    from tutuclient.settings import Proxy, RetryPolicy, Settings, Timeout
    from tutuclient.transport.observing import Observation
    from tutuclient.wire import Body

_SEPARATORS = re.compile(r"[/\\]")
_OVERLONG = re.compile(r"%c0%ae", re.IGNORECASE)
# Nobody encodes a path more often than this; each proxy on the way may decode it once.
_LAYERS = 4


def _check_path(path: str) -> None:
    """Raise ``ConfigError`` for a path that leads out of the base URL, to where the key must not be sent.

    Sources: RFC 3986, section 5.2.4; "%2e" is a full stop (section 6.2.2.2), and "%2F" a slash to many servers, some of
    which decode twice. Java servers ignore what follows a semicolon ("/..;/"), others blanks and control characters,
    and "%C0%AE" is a full stop to those that accept overlong UTF-8.
    """
    plain = re.split(r"[?#]", path, maxsplit=1)[0]
    for _ in range(_LAYERS):
        if any(_is_step(segment) for segment in _SEPARATORS.split(plain)):
            raise ConfigError(
                f"{path!r} has a step '..' inside, which leads out of the base URL; write the path it means"
            )
        plain = unquote(_OVERLONG.sub(".", plain))


def _is_step(segment: str) -> bool:
    return "".join(sign for sign in segment.partition(";")[0] if sign > " ") == ".."


class Call:
    """One call, however many attempts it takes.

    Attributes:
        what: Method and path, for messages.
        method: GET or POST.
        url: The whole address, with its query.
        own_headers: Headers of this call, over the client's, or None.
        idempotency_key: The same for all attempts, another for every call; "" for what changes nothing.
        body: What to send, or None.
        fields: What the body was made of, when it is JSON.
        form_fields: The fields of a body that is a form, without its files.
        timeout: The caller's limits.
        retry: Whether to try again.
        makes_image: The call orders an image, which is billed: it is not repeated when the first may have been made.
        stream: The result goes on reading after the call has returned.
        max_bytes: The largest answer to take.
        settings: The client's settings at the time of the call; of several relays those for the one it goes to.
        relays: The settings for each of several relays, whichever it goes to; () for one relay.
        proxy: What it goes through, once it is being made; or None.
        tokens: How many the answer took, where a limit on them is kept and the relay reports it.
        observation: What its listeners are told by, from its beginning to its end; None where nobody listens.
    """

    __slots__ = (
        "body",
        "fields",
        "form_fields",
        "idempotency_key",
        "makes_image",
        "max_bytes",
        "method",
        "observation",
        "own_headers",
        "proxy",
        "relays",
        "retry",
        "settings",
        "stream",
        "timeout",
        "tokens",
        "url",
        "what",
    )

    def __init__(
        self,
        settings: Settings,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        fields: Mapping[str, Any] | None = None,
        form_fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        query: str = "",
        timeout: Timeout | None = None,
        makes_image: bool = False,
        stream: bool = False,
    ) -> None:
        if ".." in path or "%" in path:
            _check_path(path)
        self.settings: Settings = settings
        self.relays: tuple[Settings, ...] = settings.relays
        self.method: str = method
        self.what: str = f"{method} {path}"
        # What begins with a slash is a path, whatever else is in it: else "//host/a://b" would take the key elsewhere.
        self.url: str = f"{settings.base_url + path if path.startswith('/') else path}{query}"
        self.own_headers: Mapping[str, str] | None = headers
        self.idempotency_key: str = "" if body is None else f"tutu-{os.urandom(16).hex()}"
        self.body: Body | None = body
        self.fields: Mapping[str, Any] | None = fields
        self.form_fields: Mapping[str, Any] | None = form_fields
        self.timeout: Timeout = settings.timeout if timeout is None else timeout
        self.retry: RetryPolicy = settings.retry
        self.makes_image: bool = makes_image
        self.stream: bool = stream
        self.max_bytes: int = settings.max_response_bytes
        self.tokens: int | None = None
        self.observation: Observation | None = None
        self.proxy: Proxy | None = None

    @property
    def shown(self) -> str:
        """Method and path for the log, without a query, in which some relays want the key."""
        return masked(printable(self.what.partition("?")[0], 200), self.settings.api_key)

    @property
    def model(self) -> str:
        """The model that is asked, or "": any endpoint may be called, also with a list for its body."""
        fields: object = self.form_fields if self.fields is None else self.fields
        return str(fields.get("model") or "") if isinstance(fields, Mapping) else ""

    def seconds(self, kind: str) -> float | None:
        """Return how many seconds a limit has, for messages; None for one that the caller cannot set."""
        return getattr(self.timeout, kind, None)

    def report_usage(self, usage: object, meta: Meta) -> None:
        """Note what an answer used, and call the caller's hook with it, if the relay reports it.

        What the hook raises is logged: an answer that was paid for must not be lost over it.
        """
        self.tokens = getattr(usage, "total_tokens", None)
        if self.observation is not None and usage is not None:
            self.observation.used(usage)
        hook = self.settings.on_usage
        if hook is None or usage is None:
            return
        try:
            cost = self._cost(usage)
            hook(Spent(what=self.what, model=self.model, usage=usage, meta=meta, cost=cost))
        except Exception as error:  # noqa: BLE001  (as said above)
            logger.warning("%s: on_usage raised %s", self.shown, type(error).__name__)

    def _cost(self, usage: object) -> float | None:
        prices, model, relay = self.settings.prices, self.model, self.settings.relay
        if not isinstance(prices, Prices):
            return None
        if relay is not None:
            # A page speaks of its own relay alone, and by its own names.
            if origin_of(prices.source) != self.settings.origin:
                return None
            model = (relay.models or {}).get(model, model)
        asked = self.fields.get("n") if isinstance(self.fields, Mapping) and "/images/" in self.what else 1
        return prices.cost(model, usage, images=asked if isinstance(asked, int) and asked > 0 else 1)

    @property
    def once(self) -> bool:
        """Whether it must not be sent again when the first request may have been carried out."""
        retry = self.retry
        return not self.is_safe and (retry.max_retries == 0 or retry.resend_unknown is False)

    @property
    def is_safe(self) -> bool:
        """Whether it changes nothing, so that it may always be sent again (RFC 9110, section 9.2.1)."""
        return self.method == "GET" and self.body is None

    @property
    def headers(self) -> dict[str, str]:
        """All headers except those that aiohttp adds."""
        headers = merged_headers(self.settings.headers, self.own_headers or {})
        if self.body is not None:
            headers.setdefault("Idempotency-Key", self.idempotency_key)
            headers.setdefault("Content-Type", self.body.content_type)
            if self.body.content_type.startswith("multipart/"):  # Only the form knows its boundary.
                headers = merged_headers(headers, {"Content-Type": self.body.content_type})
        if self.observation is not None and self.observation.headers:
            headers = merged_headers(headers, self.observation.headers)
        return headers

    def request(self, start: bytes) -> SecretBytes | None:
        """Return the whole request as bytes, or None when its headers have to be merged and checked first.

        Args:
            start: The request line, and the Host header.
        """
        common, body = self.settings.header_lines, self.body
        if common is None or self.own_headers is not None:
            return None
        if self.observation is not None:
            lines = self.observation.header_lines()
            if lines is None:
                return None
            start += lines
        if body is None:
            return SecretBytes(b"%s%s\r\n" % (start, common))
        plain = body.plain
        if plain is None:
            return None
        kind, key = body.content_type.encode(), self.idempotency_key.encode()
        return SecretBytes(
            b"%s%sContent-Type: %s\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (start, common, kind, key, len(plain), plain)
        )
