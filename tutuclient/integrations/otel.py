"""Traces and metrics by OpenTelemetry, in the words of its conventions for generative AI; ``genai`` names the version.

``TutuClient(**traced())`` traces the calls of one client, ``instrument()`` those of all. It takes the extra ``otel``,
which is OpenTelemetry's API alone; where spans and metrics go is for the program's SDK to say.

What has which span:

* Each call to the relay has one, ``chat gpt-4o``, of kind CLIENT, from its beginning to the end of its answer: retries,
  waiting for a slot and middleware are within it, and a stream ends it when it is read to its end, left or lost. A
  call that is no operation of generative AI, such as ``models.list``, is named by its method and path. What was
  cancelled or left is no error: ``tutuclient.end`` tells how it ended.
* Each attempt has one below it, of kind CLIENT, with the attributes of HTTP; ``traceparent`` names this one. The
  instrumentation of aiohttp, where it is there too, puts its own below.
* A run (``client.map``), a tool loop and waiting for an image task have none: each of their calls has its own, below
  whatever span was the current one where the run, the loop or the waiting began.
* Downloads of images have none: they go to hosts that nobody vouches for, with no header of ours.

Metrics: ``gen_ai.client.operation.duration``, ``gen_ai.client.token.usage``, and of streams
``gen_ai.client.operation.time_to_first_chunk`` and ``gen_ai.client.operation.time_per_output_chunk``; times are in
seconds. These names, and those of spans, are of version 1.41.1 of the semantic conventions. With
``OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental``, as the tracing is built, they are those of version 0.1.0
of the conventions for generative AI, such as ``gen_ai.client.inference.duration``.

Prompts and answers are recorded when ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` is ``true``, ``span_only``
or ``span_and_event`` as the tracing is built, and then images as their digests. Never recorded: keys, queries, images,
and the text of errors, in which relays quote what they were sent.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final, TypedDict
from urllib.parse import urlsplit

from tutuclient import __version__
from tutuclient._logger import logger
from tutuclient.errors import TutuError, printable
from tutuclient.integrations import genai
from tutuclient.transport import CallEnd, CallListener, ObservedCall
from tutuclient.transport.logs import word_of
from tutuclient.transport.observers import EVERYWHERE

try:
    from opentelemetry import context, propagate, trace
    from opentelemetry.metrics import get_meter
except ImportError as error:
    raise ImportError("traces need OpenTelemetry's API: pip install 'tutuclient[otel]'") from error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Histogram, MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from tutuclient._meta import Meta
    from tutuclient.transport.observing import How

__all__ = ["Tracing", "TutuclientInstrumentor", "instrument", "traced", "uninstrument"]

_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ON_SPANS: Final = frozenset({"true", "1", "span_only", "span_and_event"})
_NOT_ON_SPANS: Final = frozenset({"", "false", "0", "no_content", "event_only"})
_BAD_STATUS: Final = 400
_PORTS: Final = {"https": 443, "http": 80}


class Traced(TypedDict):
    """The keywords that ``traced`` returns for ``TutuClient``."""

    observers: Sequence[Tracing]


def traced(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    observers: Sequence[Any] = (),
) -> Traced:
    """Return the keywords that trace a client: ``TutuClient(key, **traced())``.

    Args:
        tracer_provider: Where spans go; None is the program's, as ``opentelemetry.trace`` knows it.
        meter_provider: Where metrics go; likewise.
        observers: Other observers of the same client.
    """
    return {"observers": [*observers, Tracing(tracer_provider=tracer_provider, meter_provider=meter_provider)]}


def instrument(*, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
    """Trace the calls of all clients of this process, but of those that are traced already; until ``uninstrument``.

    Arguments are those of ``traced``. Called again, it takes the place of what was before.
    """
    uninstrument()
    EVERYWHERE.append(Tracing(tracer_provider=tracer_provider, meter_provider=meter_provider))


def uninstrument() -> None:
    """Undo ``instrument``; calls that have begun are traced to their end."""
    EVERYWHERE[:] = [observer for observer in EVERYWHERE if not isinstance(observer, Tracing)]


class TutuclientInstrumentor:
    """What ``opentelemetry-instrument`` finds by the entry point ``opentelemetry_instrumentor``."""

    def instrument(self, **options: Any) -> None:
        """Trace all clients; options that ``instrument`` does not know are for others."""
        instrument(
            tracer_provider=options.get("tracer_provider"),
            meter_provider=options.get("meter_provider"),
        )

    def uninstrument(self, **_: Any) -> None:
        """Undo it."""
        uninstrument()


class Tracing:
    """An observer that makes spans and metrics of calls.

    It can be pickled, as clients can: the copy has the providers of the program that it is unpickled in.

    Args:
        tracer_provider: As for ``traced``.
        meter_provider: As for ``traced``.

    Attributes:
        latest: Whether ``OTEL_SEMCONV_STABILITY_OPT_IN`` asked for the latest conventions when it was built.
        content: Whether prompts and answers are recorded.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        wanted = os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").lower().replace(" ", "").split(",")
        self.latest: bool = genai.OPT_IN in wanted
        self.content: bool = _records_content()
        schema = None if self.latest else genai.SCHEMA_URL
        self.tracer: trace.Tracer = trace.get_tracer("tutuclient", __version__, tracer_provider, schema)
        meter = get_meter("tutuclient", __version__, meter_provider, schema)
        made: dict[str, Histogram | Counter] = {}
        self._instruments: dict[str, Histogram | Counter] = {}
        for what, (name, unit, about, buckets) in genai.metrics(latest=self.latest).items():
            if name not in made:
                made[name] = (
                    meter.create_counter(name, unit, about)
                    if buckets is None
                    else meter.create_histogram(name, unit, about, explicit_bucket_boundaries_advisory=buckets)
                )
            self._instruments[what] = made[name]

    def __call__(self, call: ObservedCall) -> CallListener | None:
        """Begin the span of a call."""
        if any(isinstance(other, Tracing) for other in call.observers[: call.observers.index(self)]):
            return None  # The client's own comes first.
        return _TracedCall(self, call)

    def record(self, what: str, value: float, attributes: dict[str, Any], within: Context) -> None:
        """Record a measurement, if there is such a metric."""
        found: Any = self._instruments.get(what)
        if found is not None:
            (getattr(found, "record", None) or found.add)(value, attributes, context=within)

    def __reduce__(self) -> tuple[type[Tracing], tuple[()]]:
        return Tracing, ()


def _records_content() -> bool:
    value = os.environ.get(_CONTENT, "").strip().lower()
    if value not in _ON_SPANS | _NOT_ON_SPANS:
        logger.warning("%s=%s is not known: write true or false; no content is recorded", _CONTENT, word_of(value))
    return value in _ON_SPANS


class _Current:
    """A span while it is the current one."""

    def __init__(self, within: Context) -> None:
        self.within = within
        self._token: Token[Context] | None = context.attach(within)

    def end(self) -> None:
        token, self._token = self._token, None
        # Whoever closes a coroutine may do so in another context, where the token is none, and OpenTelemetry would log
        # a traceback: https://github.com/open-telemetry/opentelemetry-python/issues/2606.
        if token is not None and context.get_current() is self.within:
            context.detach(token)


class _TracedCall(CallListener):
    """The span of a call, that of the attempt which is under way, and what is measured."""

    def __init__(self, tracing: Tracing, call: ObservedCall) -> None:
        self._tracing = tracing
        self._call = call
        self._operation = genai.OPERATIONS.get(call.path) if call.method == "POST" else None
        self._model = call.model
        self._server = _server(call.url)
        self._usage: Any = None
        self._first_s: float | None = None
        self._last_s = 0.0
        self._gaps: list[float] = []
        self._attempt: Span | None = None
        self._attempt_end_ns = 0
        self._sending: _Current | None = None
        self.span: Span = tracing.tracer.start_span(
            self._name(), kind=trace.SpanKind.CLIENT, attributes=self._request_attributes()
        )
        self._current = _Current(trace.set_span_in_context(self.span))

    def _name(self) -> str:
        if self._operation is None:
            return _http_name(self._call)
        return f"{self._operation.name} {self._model}" if self._model else self._operation.name

    def _request_attributes(self) -> dict[str, Any]:
        call, operation = self._call, self._operation
        if operation is None:
            return {"http.request.method": call.method, **self._server}
        known = genai.request_attributes(operation, call.fields, latest=self._tracing.latest)
        return {**known, **self._common, "tutuclient.call": f"{call.method} {call.path}"}

    @property
    def _common(self) -> dict[str, Any]:
        """What spans and metrics share."""
        # The format is openai's, which is what the name stands for; whose model a relay asks, only the relay knows.
        found = {"gen_ai.provider.name": "openai", **self._server}
        return found | ({"gen_ai.request.model": self._model} if self._model else {})

    def attempt_begins(self, number: int, headers: dict[str, str]) -> None:
        """Begin its span, and name it in the headers."""
        call, within = self._call, self._current.within
        attributes: dict[str, Any] = {
            "http.request.method": call.method,
            "url.full": _without_credentials(call.url),
            **_server(call.url),
        }
        if number > 1:
            attributes["http.request.resend_count"] = number - 1
        self._attempt = self._tracing.tracer.start_span(
            _http_name(call), context=within, kind=trace.SpanKind.CLIENT, attributes=attributes
        )
        within = trace.set_span_in_context(self._attempt, within)
        propagate.inject(headers, context=within)
        # So that whoever else makes spans of the request, such as aiohttp's instrumentation, does so below this one.
        self._sending = _Current(within)

    def head(self, meta: Meta) -> None:
        """Note the status."""
        self._sent()
        if self._attempt is not None:
            self._attempt.set_attribute("http.response.status_code", meta.status_code)

    def attempt_ends(self, how: How, error: BaseException | None, meta: Meta) -> None:
        """End its span."""
        self._sent()
        span, self._attempt = self._attempt, None
        if span is None:
            return
        if meta.request_id:
            span.set_attribute("tutuclient.request_id", self._shown(meta.request_id))
        if meta.relay:
            span.set_attribute("tutuclient.relay", self._shown(meta.relay))
        if how == "failed" and error is not None:
            # HTTP's conventions have the status for its own errors, and the class for all others.
            bad = meta.status_code >= _BAD_STATUS
            _fail(span, error, str(meta.status_code) if bad else type(error).__name__)
        self._attempt_end_ns = time.time_ns()
        span.end(end_time=self._attempt_end_ns)

    def _sent(self) -> None:
        if self._sending is not None:
            self._sending.end()
            self._sending = None

    def usage(self, usage: Any) -> None:
        """Keep it for the end."""
        self._usage = usage

    def returned(self) -> None:
        """Leave the span: a stream is read wherever its reader is."""
        self._current.end()

    def first_content(self, elapsed_s: float) -> None:
        """Keep it for the end."""
        self._first_s = elapsed_s

    def chunk(self, item: Any, elapsed_s: float) -> None:
        """Keep the time since the last one."""
        del item
        if self._last_s:
            self._gaps.append(elapsed_s - self._last_s)
        self._last_s = elapsed_s

    def ends(self, end: CallEnd) -> None:
        """Set what is known by now, measure, and end the span."""
        try:
            self._record(end)
            if self._operation is not None and self._tracing.content and self.span.is_recording():
                call = self._call
                self.span.set_attributes(genai.content_attributes(call.fields, end.answer, call.masked))
        finally:
            # No child outlives its parent: the attempt of a stream ends with it.
            self.span.end(end_time=max(end.time_ns, self._attempt_end_ns))

    def _record(self, end: CallEnd) -> None:
        span, call = self.span, self._call
        shared: dict[str, Any] = {}
        if end.meta.relay:  # Of several relays, the call is one of that which it has come to.
            self._server = _server(call.url)
            span.set_attributes({**self._server, "tutuclient.relay": self._shown(end.meta.relay)})
        if self._operation is not None:
            self._model = call.model or self._model  # A middleware may have asked another.
            found = genai.response_attributes(end, self._usage, self._shown, latest=self._tracing.latest)
            shared = {**self._common, "gen_ai.operation.name": self._operation.name}
            shared |= {name: found[name] for name in ("gen_ai.response.model",) if name in found}
            span.set_attributes({**found, **self._common})
            if self._first_s is not None:
                span.set_attribute("gen_ai.response.time_to_first_chunk", self._first_s)
        span.set_attributes({"tutuclient.end": end.how, "tutuclient.attempts": end.meta.attempts})
        if end.meta.waited_s:
            span.set_attribute("tutuclient.waited_s", end.meta.waited_s)
        if end.meta.request_id:
            span.set_attribute("tutuclient.request_id", self._shown(end.meta.request_id))
        if end.how in {"cancelled", "closed", "dropped"} and end.outcome is not None:
            span.set_attribute("tutuclient.outcome", end.outcome)
        if end.how == "failed" and end.error is not None:
            _fail(span, end.error, type(end.error).__name__)
            shared["error.type"] = type(end.error).__name__
        if self._operation is not None:
            self._measure(self._operation, end, shared)

    def _shown(self, name: str) -> str:
        """Return a name without the key, and without what an exporter cannot encode: headers may hold any bytes."""
        return printable(self._call.masked(name))

    def _measure(self, operation: genai.Operation, end: CallEnd, shared: dict[str, Any]) -> None:
        tracing, within, group = self._tracing, self._current.within, operation.group
        tracing.record(f"{group} duration", end.elapsed_s, shared, within)
        # What tells of tokens and chunks does so of answers, however they ended.
        plain = {name: value for name, value in shared.items() if name != "error.type"}
        if self._first_s is not None:
            tracing.record(f"{group} time_to_first_chunk", self._first_s, plain, within)
        for gap in self._gaps:
            tracing.record(f"{group} time_per_output_chunk", gap, plain, within)
        for way in ("input", "output"):
            tokens = getattr(self._usage, f"{way}_tokens", None)
            if genai.is_number(tokens):
                labels = plain if tracing.latest else {**plain, "gen_ai.token.type": way}
                tracing.record(f"{group} {way}", tokens, labels, within)
                tracing.record(f"{group} total {way}", tokens, {**plain, "gen_ai.token.modality": "unknown"}, within)


def _fail(span: Span, error: BaseException, kind: str) -> None:
    """Mark a span as failed. Neither message nor stack: relays quote prompts and keys in what they answer."""
    span.set_attribute("error.type", kind)
    if isinstance(error, TutuError) and error.outcome is not None:
        span.set_attribute("tutuclient.outcome", error.outcome)
    span.set_status(trace.StatusCode.ERROR)


def _http_name(call: ObservedCall) -> str:
    """Return the name of a span of HTTP: with the path where that is one of a few, and without where it has names."""
    known = call.path in genai.OPERATIONS or call.path in {"/models", "/dashboard/billing/subscription"}
    return f"{call.method} {call.path}" if known else call.method


def _server(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        return {"server.address": parts.hostname or "", "server.port": parts.port or _PORTS.get(parts.scheme, 0)}
    except ValueError:
        return {}


def _without_credentials(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
