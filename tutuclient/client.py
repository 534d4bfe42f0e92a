"""The client: made of settings, it has a method for each common task and a property for each group of endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping  # noqa: TC003  (``get_type_hints`` reads signatures at run time)
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, overload

from tutuclient import __version__, wire
from tutuclient.batch.fields import MapFields
from tutuclient.errors import MediaError, printable
from tutuclient.media.sources import names_image
from tutuclient.media.upload import PictureSource  # noqa: TC001  (``get_type_hints`` reads the fields at run time)
from tutuclient.resources.account import Account
from tutuclient.resources.audio import Audio
from tutuclient.resources.chat import Chat
from tutuclient.resources.completions import TextCompletions
from tutuclient.resources.embeddings import Embeddings
from tutuclient.resources.generic import AnyEndpointCalls
from tutuclient.resources.images import Images
from tutuclient.resources.models import Models
from tutuclient.resources.parsing import check_untyped
from tutuclient.resources.prices import PricePage
from tutuclient.resources.task_messages import prompt_text, question
from tutuclient.settings import UNSET, Changes, Options, Settings, Unset, hidden, with_keywords
from tutuclient.transport import Transport, logs
from tutuclient.types.chat import CallFields

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self, Unpack

    from tutuclient.batch.plan import Calls, Items
    from tutuclient.batch.run import BatchRun
    from tutuclient.media.parts import ImagePart
    from tutuclient.pace import PaceState
    from tutuclient.settings import Key, RetryPolicy, Timeout
    from tutuclient.streams.chat import ChatStream
    from tutuclient.types.account import Balance
    from tutuclient.types.chat import ChatCompletion
    from tutuclient.types.prices import Prices

T = TypeVar("T")
ImageSources: TypeAlias = "PictureSource | ImagePart | Iterable[PictureSource | ImagePart]"
"""What ``analyze`` and ``edit`` take as images: a source, a part made by ``image(…)``, or several of these."""

USER_AGENT: Final = f"tutuclient/{__version__}"


class TaskFields(CallFields, total=False):
    """The keywords of ``generate``, which explains them."""

    model: str
    timeout: float | Timeout | Unset | None


class ImageTaskFields(TaskFields, total=False):
    """The keywords of ``analyze`` and ``edit``, which explain them."""

    detail: Literal["auto", "low", "high"] | None
    max_side: int | None


_FIELDS = wire.names(ImageTaskFields, "stream", "images", "prompt")


class TutuClient(AnyEndpointCalls):
    """A client of one relay, for use within asyncio.

    Building one does no I/O and needs no running loop. One object serves several
    ``asyncio.run`` calls in a row, and can be pickled: its settings are. A key that was passed as ``api_key`` travels
    in the pickle, so keep that as you keep the key; one that came from the environment does not: the variable of the
    same name is read again where the pickle is loaded.

    None for a setting means its default, but for ``timeout``. With ``TUTU_FAST_PATH=0``
    in the environment calls keep to aiohttp's public API, at more CPU a call, as they
    do by themselves where a version of aiohttp lacks what the fast path needs.

    Args:
        api_key: The key; else ``TUTU_API_KEY``, else ``OPENAI_API_KEY``. A function, async or not, is asked for it
            before every attempt. An empty argument is an error; an empty variable counts as not set, unless the key of
            one pair would go to the address of another.
        base_url: Where the API is; else ``TUTU_BASE_URL``, else ``OPENAI_BASE_URL``, else ``DEFAULT_BASE_URL``.
            A bare host gets ``/v1``; a pasted endpoint address is cut back.
        timeout: A deadline in seconds over everything a call does, a ``Timeout`` with its parts, or None for no limit;
            600 s by default. Each download of an image has it anew.
        max_retries: Attempts after the first, for what may have been done or is broken; 2 unless ``retry`` says
            otherwise. 0 also raises the first refusal (429).
        retry: A ``RetryPolicy``, in place of ``max_retries``.
        max_connections: Connections in use at once; None is 512, or as many as the process has file descriptors for
            (`ulimit -n`; an upload takes two).
        max_concurrency: Calls in flight at once, over the whole client and its copies; None for as many as
            connections. The call that has waited longest is next. "auto" begins with 8 and searches for what the relay
            can do; without it, only refusals lower the number.
        rate: The most calls per time: "600/min", "10/s", "3000/h", or a number a second. None: as the relay allows,
            which is learnt from what it refuses. For each key on its own, as relays count.
        tokens_per_minute: The most tokens per minute, of prompts and answers together.
        max_response_bytes: The largest answer, event or image to accept, 64 MiB by default; a whole stream may be half
            as large again.
        default_headers: Headers for every call, over the client's own.
        default_query: Query parameters for every call.
        relays: Several relays, or keys of one, in place of ``api_key`` and ``base_url``: a list of ``Relay``. A call
            goes to those that work, in proportion to their weights. What one has surely not done goes to the next at
            once and costs no retry; ``max_retries`` counts rounds over all of them. An order of an image that may have
            been carried out goes nowhere. A stream stays where it began, an image task is asked for where it was
            accepted, and ``meta.relay`` says where that was. ``balance`` and ``models`` ask the first:
            ``client.with_options(relay="its name")`` asks another.
        proxy: "env", the default: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, read now, by the rules of curl,
            requests and httpx (on Windows and macOS the system's settings without them). Loopback is never proxied, and
            a proxy that cannot be used is an error. An address is for everything, loopback too: ``http://``,
            ``https://``, and with the extra ``socks`` ``socks5h://`` (the proxy looks up names), ``socks5://``,
            ``socks4a://``, ``socks4://``; ``user:password@`` in it is percent-encoded. None is none. Downloads of
            images go through it too. A pickled client reads the environment again where it arrives.
        connector: An ``aiohttp.BaseConnector``, which is not closed; or a function that builds one in each running
            loop, which is. It decides on proxies (an HTTP one may be passed as ``proxy`` all the same), on TLS
            (``verify`` is an error beside it) and on the number of connections, which bounds calls too. What the
            client's own connector does is not done then:

            * An answer nobody asked for, which waits on an idle connection, may be read as that of the next call.
            * Orders of images use connections again. One that dies under an order raises ``OutcomeUnknownError``, and
              the order is never sent again.
            * An idle connection that dies costs a retry.
            * A body that breaks the rules of HTTP may fail only when the call's time is over.
            * An upload that is refused early may fail as a broken connection, without the relay's words.

            Downloads of images use connections of their own.
        session: An ``aiohttp.ClientSession`` of the running loop, which is not closed. All that is said of
            ``connector`` holds. Its cookies and headers are sent with every call, except headers that the client
            sets itself, and its middlewares see the key. ``raise_for_status`` and ``auto_decompress`` have no effect.
            One with ``auth`` is refused, since aiohttp sends that in place of the key.
        trace_configs: ``aiohttp.TraceConfig`` to watch calls with, not downloads; they see the key.
        verify: True, which honours SSL_CERT_FILE and SSL_CERT_DIR; the path of a file or folder of certificate
            authorities; an ``ssl.SSLContext``, which may have a client certificate; False checks nothing, and warns.
        strict_finish: A stream that ends with ``[DONE]`` and without a ``finish_reason`` raises.
        allow_private_downloads: Download images from private addresses too. The relay's own address is always allowed.
        middleware: Functions ``async def m(request, call_next)`` around every call, the first outermost: each returns
            what ``await call_next(request)`` returns, and sees the errors that the caller would.
        attempt_middleware: The same around every attempt of a call; each sees how that attempt ends. The deadline
            covers them.
        on_usage: Called with a ``Spent``, what an answer used, once the answer is complete. It must be quick, and
            what it raises is only logged.
        prices: What ``await client.prices()`` returned, of which ``Spent.cost`` is computed.
        observers: Functions that get each call as an ``ObservedCall`` when it begins, and return None or a
            ``CallListener``, which is told how the call goes up to its end, or that of its stream.
            ``tutuclient.integrations.otel`` has one for traces and metrics. What they raise is only logged.

    Answers as they came: ``client.chat.completions.with_raw_response.create(…)`` returns an ``APIResponse`` (status,
    headers, bytes; ``parse()`` is what the call returns without it), and ``async with
    client.chat.completions.with_streaming_response.create(…) as opened`` an ``OpenResponse``, to be read in lines or
    pieces. Every endpoint with methods has both.

    What watches or replaces aiohttp's own calls, such as OpenTelemetry's instrumentation, vcrpy and aioresponses, sees
    every call. The environment's ``TUTU_LOG=info`` writes a line a call to stderr, ``debug`` one an attempt too; they
    are ``logging``'s, on the logger "tutuclient".

    Raises:
        ConfigError: A setting is missing or cannot work.
        TypeError: There is no such setting.
    """

    @with_keywords(Options)
    def __init__(
        self,
        api_key: Key | None = None,
        base_url: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        try:
            settings = Settings.make(api_key, base_url, user_agent=USER_AGENT, **options)
        except Exception as error:  # noqa: BLE001  (what is of a wrong type raises anything)
            # Tracebacks with locals print this frame and those below it, and the arguments may hold secrets.
            del api_key, base_url, options
            error.__context__ = None
            raise error.with_traceback(None) from None
        logs.start(logs.VARIABLE)
        self._bind(settings, Transport(settings))

    def _bind(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport

    # Built when they are first used: most programs need one of them.

    @cached_property
    def chat(self) -> Chat:
        """Chat completions."""
        return Chat(self._settings, self._transport)

    @cached_property
    def completions(self) -> TextCompletions:
        """Legacy completions."""
        return TextCompletions(self._settings, self._transport)

    @cached_property
    def embeddings(self) -> Embeddings:
        """Embeddings."""
        return Embeddings(self._settings, self._transport)

    @cached_property
    def images(self) -> Images:
        """Images generated, edited and varied by the endpoints of images."""
        return Images(self._settings, self._transport)

    @cached_property
    def models(self) -> Models:
        """The models of the relay; of several, those of the first."""
        return Models(self._settings.first, self._transport)

    @cached_property
    def audio(self) -> Audio:
        """Speech, transcription and translation."""
        return Audio(self._settings, self._transport)

    @cached_property
    def _account(self) -> Account:
        return Account(self._settings.first, self._transport)

    @cached_property
    def _price_page(self) -> PricePage:
        return PricePage(self._settings.first, self._transport)  # Else the page, of one address, would get a key.

    @property
    def base_url(self) -> str:
        """Where the API is, as cleaned; of several relays, where the first one's is."""
        return self._settings.base_url

    @property
    def timeout(self) -> Timeout:
        """The limits of a call."""
        return self._settings.timeout

    @property
    def proxy(self) -> str | None:
        """The proxy that calls go through, without its password, and where the setting came from; or None.

        Of several relays, each is reached its own way; this is the first one's, and
        ``client.with_options(relay=name).proxy`` is that of one.
        """
        route = self._settings.route
        return None if route is None else str(route)

    @property
    def pace(self) -> PaceState:
        """How fast the client may go by now, with its key and in the running loop: window, rate, refusals, gate.

        Of several relays it is what all may do together; ``client.with_options(relay=name).pace`` is that of one.
        """
        return self._transport.pace(self._settings)

    @with_keywords(Changes)
    def with_options(self, *, api_key: Key | None = None, relay: str | None = None, **changes: Unpack[Changes]) -> Self:
        """Return a copy with other settings, sharing connections and limits. What is not passed stays.

        Headers and query parameters are added to those of the client. Closing any of
        the copies closes the connections of all. With ``relay``, all calls of the copy
        go to that one of several relays.

        Raises:
            ConfigError: A setting cannot work.
        """
        api_key = hidden(api_key)  # Tracebacks with locals print this frame.
        return self._copy(self._settings.changed(api_key=api_key, relay=relay, **changes))

    def _copy(self, settings: Settings) -> Self:
        """Return a client with these settings, which shares the connections unless they go to another server."""
        # Not by ``__init__``, which would read the environment again and check what has been checked.
        copy = object.__new__(type(self))
        shared = settings.base_url == self._settings.base_url or settings.origin == self._settings.origin
        shared = shared or settings.relay is not None
        copy._bind(settings, self._transport if shared else Transport(settings))
        return copy

    def for_workers(self, workers: int) -> Self:
        """Return the client of one of so many equal processes that share its key.

        ``rate``, ``tokens_per_minute`` and a ``max_concurrency`` in numbers are divided by ``workers``; what is not set
        each learns by itself. It has connections of its own.

        Args:
            workers: How many there are, from 1 up.

        Raises:
            ConfigError: A limit is too low to be divided among so many.
        """
        settings = self._settings.divided(workers)
        return _bound(type(self), settings)

    async def balance(self, *, timeout: float | Timeout | Unset | None = UNSET) -> Balance:
        """Return what is left on the key; of several relays, on that of the first.

        Relays count in a currency or in points of their own (``unit``), and may count late.

        Raises:
            NotFoundError, UnexpectedResponseError: The relay has no such endpoints.
            APIError: The request failed.

        Source: ``GET /dashboard/billing/subscription`` and ``/usage``; else ``GET /api/usage/token``.
        """
        return await self._account.balance(timeout)

    async def prices(self, *, group: str | None = None, timeout: float | Timeout | Unset | None = UNSET) -> Prices:
        """Return what the relay's public price page says of its models: per million tokens, or per call.

        Nothing here knows a price by itself. The page is asked for at the relay's own address, without the key. So it
        cannot say in which group the key is: pass ``group``, where it is not in the usual one. A client that has them,
        ``client.with_options(prices=await client.prices())``, says of each answer what it cost: ``Spent.cost``.

        Args:
            group: The group of the key, whose ratio is included; None for the page's "default".
            timeout: As for every call.

        Raises:
            ConfigError: The page has no such group.
            NotFoundError, UnexpectedResponseError: The relay has no such page.
            APIError: The request failed.

        Source: new-api's ``GET /api/pricing``.
        """
        return await self._price_page.read(group, timeout)

    async def aclose(self) -> None:
        """Close the connections of the running loop. A call after that opens new ones."""
        await self._transport.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        made = hasattr(self, "_settings")  # Not yet, in the traceback of settings that cannot work.
        if made and self._settings.relays:
            names = [each.relay.name for each in self._settings.relays if each.relay is not None]
            return f"{type(self).__name__}(relays={names!r}, api_key='***')"
        return f"{type(self).__name__}(base_url={self.base_url if made else None!r}, api_key='***')"

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_holds_nothing()
        return _rebuild, (type(self), self._settings.packed())

    def __copy__(self) -> Self:
        # Not by way of the pickle, which leaves a key of the environment behind.
        self._check_holds_nothing()
        return _bound(type(self), self._settings)

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self.__copy__()

    def _check_holds_nothing(self) -> None:
        """Check that nothing of the caller's, which belongs to a loop, would be in two clients.

        Raises:
            TypeError: Something would.
        """
        held = [name for name in ("connector", "session", "trace_configs") if getattr(self._settings, name)]
        if held:
            raise TypeError(f"a {type(self).__name__} with {held[0]}= cannot be pickled or copied: build another there")

    # --- tasks -----------------------------------------------------------------------------------------------------

    @overload
    async def analyze(
        self,
        images: ImageSources,
        prompt: str,
        *,
        stream: Literal[False] | None = None,
        **fields: Unpack[ImageTaskFields],
    ) -> ChatCompletion: ...

    @overload
    async def analyze(
        self, images: ImageSources, prompt: str, *, stream: Literal[True], **fields: Unpack[ImageTaskFields]
    ) -> ChatStream: ...

    @overload
    async def analyze(
        self, images: ImageSources, prompt: str, *, stream: bool | None, **fields: Unpack[ImageTaskFields]
    ) -> ChatCompletion | ChatStream: ...

    @with_keywords(ImageTaskFields, open_ended=True)
    async def analyze(
        self,
        images: ImageSources,
        prompt: str,
        *,
        model: str = "gpt-4o",
        detail: Literal["auto", "low", "high"] | None = "high",
        max_side: int | None = None,
        stream: bool | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> ChatCompletion | ChatStream:
        """Create a chat completion about one or several images.

        Args:
            images: A path, an http(s) address, a data URI, bytes, an open binary file, a Pillow image or an
                ``image(…)``; or several.
            prompt: What to ask.
            model: A model that takes images.
            detail: How closely to look; None leaves it to the relay.
            max_side: Shrink images so that no side is longer, in pixels, and turn them upright (extra ``images``).
            stream: Return a ``ChatStream`` in place of the whole answer.
            timeout: As for ``chat.completions.create``.
            **fields: Further fields of the request, such as ``max_tokens``.

        Raises:
            MediaError: An image cannot be used; nothing was sent.
            APIError: The relay answered with an error, or the answer is not complete.

        Source: the relay's documentation, "Chat(分析图片)".
        """
        wire.check_keywords(fields, _FIELDS, "analyze")
        return await self._ask(model, question(images, prompt, detail, max_side), stream, timeout, fields, None)

    @overload
    async def edit(
        self,
        images: ImageSources,
        prompt: str,
        *,
        stream: Literal[False] | None = None,
        **fields: Unpack[ImageTaskFields],
    ) -> ChatCompletion: ...

    @overload
    async def edit(
        self, images: ImageSources, prompt: str, *, stream: Literal[True], **fields: Unpack[ImageTaskFields]
    ) -> ChatStream: ...

    @overload
    async def edit(
        self, images: ImageSources, prompt: str, *, stream: bool | None, **fields: Unpack[ImageTaskFields]
    ) -> ChatCompletion | ChatStream: ...

    @with_keywords(ImageTaskFields, open_ended=True)
    async def edit(
        self,
        images: ImageSources,
        prompt: str,
        *,
        model: str = "gpt-4o-image",
        detail: Literal["auto", "low", "high"] | None = "high",
        max_side: int | None = None,
        stream: bool | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> ChatCompletion | ChatStream:
        """Change one or several images; the result is in ``.images`` of the answer.

        Whatever the model is called, the call is not repeated when the first may have
        been done: a second image would be paid for. Arguments as for ``analyze``; the
        model has to take and draw images, which may take minutes. With ``stream`` the
        relay's progress comes, and ``await stream.completion()`` has the images: a
        stream outlives proxies, which cut silent requests after 100 s. A task in
        place of an image is waited for within the deadline; errors carry it in ``task``,
        and so does the one of a stream, which cannot wait.

        Raises:
            MediaError: An image cannot be used; nothing was sent.
            OutcomeUnknownError: The connection broke, or a task was not finished by the deadline; the image may have
                been made, and billed.
            ImageTaskError: The relay's task failed, expired, or has no image.
            APIError: The relay answered with an error, or the answer is not complete.

        Source: the relay's documentation, "Chat(修改图片)".
        """
        wire.check_keywords(fields, _FIELDS, "edit")
        return await self._ask(model, question(images, prompt, detail, max_side), stream, timeout, fields, True)

    @overload
    async def generate(
        self, prompt: str, *, stream: Literal[False] | None = None, **fields: Unpack[TaskFields]
    ) -> ChatCompletion: ...

    @overload
    async def generate(self, prompt: str, *, stream: Literal[True], **fields: Unpack[TaskFields]) -> ChatStream: ...

    @overload
    async def generate(
        self, prompt: str, *, stream: bool | None, **fields: Unpack[TaskFields]
    ) -> ChatCompletion | ChatStream: ...

    @with_keywords(TaskFields, open_ended=True)
    async def generate(
        self,
        prompt: str,
        *,
        model: str = "gpt-4o-image",
        stream: bool | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> ChatCompletion | ChatStream:
        """Generate an image; it is in ``.images`` of the answer. Arguments and errors as for ``edit``."""
        if names_image(prompt):
            raise MediaError(
                f"{printable(prompt, 80)} stands where the prompt belongs, but is the name of an image. To change that"
                " image: edit('cat.jpg', 'Put a blue sky behind it')."
            )
        wire.check_keywords(fields, _FIELDS, "generate")
        # A chat model draws (WIRE.md 2.2): the relay's way, where OpenAI has ``images.generate``.
        return await self._ask(model, {"role": "user", "content": prompt_text(prompt)}, stream, timeout, fields, True)

    @overload
    def map(
        self, items: Items, prompt: str | None = None, *, response_format: type[T], **options: Unpack[MapFields]
    ) -> BatchRun[T]: ...

    @overload
    def map(
        self,
        items: Items,
        prompt: str | None = None,
        *,
        response_format: Mapping[str, Any] | Unset = UNSET,
        **options: Unpack[MapFields],
    ) -> BatchRun[str]: ...

    @with_keywords(MapFields, open_ended=True)
    def map(
        self, items: Items, prompt: str | None = None, *, response_format: Any = UNSET, **options: Any
    ) -> BatchRun[Any]:
        """Answer many items: ``async with client.map(…) as run: async for result in run``, or ``await run.gather()``.

        Items are pulled as they are needed, files are opened when they are sent, and an item that fails is a result
        with its ``error``. With ``journal=`` each result is on the disk before it is handed on, and the same call goes
        on where the last one stopped, whatever stopped it; what an earlier run has answered is counted, and not handed
        on again: ``tutuclient batch export run -o answers.jsonl`` writes all of it. A path is its own id; prompts and
        bytes that come without one are known by a digest.

        Args:
            items: Any iterable, async or not, of images (as for ``analyze``, and fsspec's open files and rows of
                ``datasets``), lists of messages, dicts (``image=`` or ``images=``, ``prompt=``, ``id=``, any field), or
                pairs of an id and one of these. With ``generate=True``, of prompts.
            prompt: What to ask of each image, or to change.
            response_format: A type, as for ``chat.completions.parse``: then each ``value`` is one, else its text.
            **options: ``model`` and every field of ``chat.completions.create``, ``detail`` ("high" as in ``analyze``),
                ``max_side``, ``timeout`` (of each item), and:

                * ``edit=True`` or ``generate=True``: make images, saved into the journal's folder.
                * ``concurrency``: Items at once; "auto" follows what the relay can take.
                * ``rate``: The most starts, such as "600/min", or a number a second.
                * ``budget``: A ``Budget`` of tokens, requests or images, after which the run stops; each start has
                  it anew.
                * ``max_wait``: Seconds that the relay may let nothing in, or ask to wait: after more than these, 600
                  by default, the run stops and says when to come back. Until then a refusal costs an item nothing: its
                  ``timeout`` begins when it is admitted.
                * ``journal``: The run's folder. On one machine's own disk, for one process at a time.
                * ``durability``: "written", the default, hands a result on when the system has it: safe from a crash of
                  the process, and within 0.1 s from a power cut. "synced" does so when it is on the disk. Orders of
                  images, and what became of them, are always synced.
                * ``allow_change``: Go on with another prompt, model or field; what it changes is asked again.
                * ``stop_on``: Errors that end the run; ``AuthenticationError`` and ``InsufficientQuotaError``. The
                  latter only when the item that met it meets it again while nothing else is in flight, as relays
                  reserve from the balance for every request. Items that failed so are tried again when the run goes on.
                * ``max_failures``: A share (from the 20th result on) or a number of failures that ends the run.
                * ``ordered``: Results in the order of the items.
                * ``dedupe``: Ask equal items once: the same bytes (or URL), prompt and fields. The others have the
                  answer, and ``same_as`` says whose it is. An order of an image is not made for an equal one again.
                * ``progress``: Show how it goes: in a notebook in the cell, else on stderr.
                * ``on_progress``: Called with the ``BatchSummary`` after each result.
                * ``on_exit``: "settle" or "cancel" what is in flight when the block is left early; images are settled
                  and questions cancelled by default.
                * ``retry_failed``: Try again what the journal has as failed.
                * ``resend_unknown``: Order again images that were ordered, and may have been made and billed. What the
                  relay answered with a task is waited for in any case, and ordered again when nothing comes of that.

        Raises:
            ConfigError: The arguments cannot work, or, from the run, two items have one id or the journal is of
                another run.
            BatchStoppedError: From the run: the budget, ``stop_on``, ``max_failures`` or ``max_wait`` stopped it, or
                the relay could not be reached for a minute.
            JournalError: From the run: the journal is in use by another process, or the disk is full.
        """
        from tutuclient.batch.plan import plan_run  # noqa: PLC0415  (most programs need no runs)

        return plan_run(self._calls, items, prompt, response_format, options)

    def _calls(self, changed: Callable[[RetryPolicy], RetryPolicy]) -> Calls:
        """Return what a run uses of the client, with a retry policy of its own."""
        from tutuclient.batch.plan import Calls  # noqa: PLC0415  (likewise)

        settings = self._settings
        own = self._copy(settings.changed(retry=changed(settings.retry)))
        chat, tries_again = own.chat.completions, settings.retry.max_retries > 0
        asks = (chat.create, chat.parse, own.edit, own.generate, chat.of_task)
        return Calls(*asks, settings.slots, tries_again, lambda: self.pace)

    async def _ask(
        self,
        model: str,
        message: dict[str, Any],
        stream: bool | None,
        timeout: float | Timeout | Unset | None,
        fields: dict[str, Any],
        makes_image: bool | None,
    ) -> ChatCompletion | ChatStream:
        """Send one message. ``fields`` has the options too; ``makes_image=None`` judges by the model."""
        more = {name: fields.pop(name) for name in ("extra_headers", "extra_query") if name in fields}
        extra_body: Mapping[str, Any] = wire.checked_extra_body(fields.pop("extra_body", None))
        body = wire.without_unset({"model": model, "messages": [message], **fields, **extra_body})
        # ``response_format`` may have come by ``extra_body``, so it is looked for where the body is complete.
        check_untyped(body)
        ask = (
            self.chat.completions.open
            if wire.is_stream_asked(stream) or body.get("stream") is True
            else self.chat.completions.send
        )
        return await ask(body, timeout=timeout, makes_image=makes_image, **more)


C = TypeVar("C", bound=TutuClient)


def _bound(cls: type[C], settings: Settings) -> C:
    client = object.__new__(cls)
    client._bind(settings, Transport(settings))  # pyright: ignore[reportPrivateUsage]  (half of a constructor)
    return client


def _rebuild(cls: type[C], settings: Settings) -> C:
    return _bound(cls, settings.unpacked())
