"""The tree of everything that tutuclient raises.

The names, and what an ``except`` clause catches, are openai-python's; our
additions are subclasses, so that existing clauses go on working::

    TutuError (= OpenAIError)
    ├── ConfigError                          also ValueError: settings or arguments that cannot work
    ├── MediaError                           also ValueError: an image, audio or file passed to a call cannot be used
    ├── ImageDownloadError                   an image in an answer could not be fetched or saved
    ├── SoundError                           audio in an answer could not be decoded or saved
    ├── NoImageError                         also IndexError: the answer holds no such image
    ├── LengthFinishReasonError              the answer was cut off at its limit, so it cannot be parsed
    ├── ContentFilterFinishReasonError       the answer was cut off by a filter, so it cannot be parsed
    ├── ToolRoundsError                      the model went on asking for tools
    └── APIError                             the call was made, or tried
        ├── APIResponseValidationError
        │   └── UnexpectedResponseError      HTML, an empty body, broken JSON; see ``hint``
        ├── ImageTaskError                   a task to make an image came to nothing; see ``reason``
        ├── APIStatusError                   the relay answered with an error
        │   ├── BadRequestError              400
        │   │   ├── ContextLengthError       the prompt is too long for the model
        │   │   └── ContentPolicyError       rejected for what it says or shows
        │   ├── AuthenticationError          401
        │   ├── PermissionDeniedError        403
        │   ├── NotFoundError                404
        │   ├── ConflictError                409
        │   ├── PayloadTooLargeError         413
        │   ├── UnprocessableEntityError     422
        │   ├── RateLimitError               429
        │   │   └── InsufficientQuotaError   the account is empty: waiting does not help
        │   └── InternalServerError          5xx
        └── APIConnectionError               no answer, or only a part of one
            ├── OutcomeUnknownError          an image may have been made and billed; not sent again
            │   └── ImageTaskTimeoutError    also APITimeoutError: a task was not finished in time; see ``task``
            ├── IncompleteStreamError        the stream stopped before the answer was complete
            └── APITimeoutError              also TimeoutError
                ├── PoolTimeoutError         no free slot in time; nothing was sent
                ├── FirstTokenTimeoutError   the relay took too long to begin
                └── StreamIdleTimeoutError   the stream sent nothing for too long

Runs of many items have two more below the root: ``BatchStoppedError`` and ``JournalError``, in ``tutuclient.batch``.
``RequestWarning`` is not part of the tree: it is a warning about a request that is sent all the same.

Every error can be pickled, and none carries the API key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, cast

if TYPE_CHECKING:
    from typing import Self, Unpack

    from tutuclient._meta import Meta
    from tutuclient.types import ChatCompletion, ImageTask

Outcome: TypeAlias = Literal["not_sent", "rejected", "unknown"]
"""Whether a failed call may have been carried out.

``not_sent``: the relay cannot have done the work. ``rejected``: it answered that
it did not. ``unknown``: it may have done it, and may have billed it.
"""

DownloadReason: TypeAlias = Literal[
    "expired",
    "blocked",
    "bad_address",
    "too_large",
    "not_an_image",
    "damaged",
    "timeout",
    "unreachable",
    "untrusted",
    "proxy",
    "unavailable",
    "not_saved",
]
"""Why an image could not be fetched or saved.

``expired``: its host answered 401, 403, 404 or 410. ``blocked``: the address is
inside a private network, or contains credentials. ``bad_address``: it is not a
usable http or https address. ``too_large``: it has more bytes than are accepted.
``not_an_image``: something else came. ``damaged``: it is cut off, or its base64
cannot be decoded; ``save(damaged=True)`` keeps what came. ``timeout``: a limit of
``timeout`` passed. ``unreachable``: its host cannot be reached, or the connection
broke. ``untrusted``: the certificate of its host cannot be trusted. ``proxy``: the
proxy cannot be reached, or answered with an error. ``unavailable``: its host
answered another status, or redirects without end. ``not_saved``: the file could
not be written.
"""

ImageTaskReason: TypeAlias = Literal["failed", "expired", "not_found", "no_image", "other_origin"]
"""Why a task to make an image came to nothing.

``failed``: the relay says that it failed, or was cancelled. ``expired``: the relay does not keep it any longer.
``not_found``: the relay does not know it. ``no_image``: it is finished, and there is no image in it.
``other_origin``: the relay wants it to be asked for on another server, where the key must not go.
"""

# What could forge a line of a log, or change how a terminal shows one: C0 and C1 controls with the escape character
# among them, the line and paragraph separators, and Unicode's marks and overrides of the writing direction.
UNSAFE = (
    {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0))}
    | {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029"}
    | {code: f"\\u{code:04x}" for code in (0x061C, *range(0x200E, 0x2010), *range(0x202A, 0x202F))}
    | {code: f"\\u{code:04x}" for code in range(0x2066, 0x206A)}
)


def printable(text: str, limit: int = 500) -> str:
    """Return a server's text as one line that is safe to print and to log, without escapes and lone surrogates.

    Args:
        text: Whatever came over the wire.
        limit: Characters to keep; of a longer text the length is added.
    """
    short = text[:limit].translate(UNSAFE).encode("utf-8", "backslashreplace").decode()
    return short if len(text) <= limit else f"{short}… ({len(text)} characters)"


class Details(TypedDict, total=False):
    """Keyword arguments of every error; see ``TutuError``."""

    outcome: Outcome | None
    attempts: int
    request_id: str | None


class APIDetails(Details, total=False):
    """Keyword arguments of every ``APIError``; see there."""

    body: object
    code: str | None
    param: str | None
    type: str | None
    partial: ChatCompletion | None


class TutuError(Exception):
    """The root: whatever tutuclient raises is one of these.

    Attributes:
        message: What was asked, what came back, what to try.
        outcome: Whether the call may have been carried out, or None where none was to be made. Each class has its
            usual one, which the argument replaces.
        attempts: How often the call was tried; 0 when it failed before the first attempt.
        request_id: The relay's id of the last attempt, or None.
        conversation: The messages so far, to be sent again, of an error within ``run_tools``; else None.
        relay: The name of the relay that it comes from, where the client has several; else None.
    """

    outcome: Outcome | None = None
    relay: str | None = None

    def __init__(
        self, message: str = "", *, outcome: Outcome | None = None, attempts: int = 0, request_id: str | None = None
    ) -> None:
        # Only the message is positional: ``BaseException.__reduce__`` creates the error from its ``args``, and restores
        # all else from ``__dict__``, so that subclasses with keywords of their own need no ``__reduce__`` (CPython:
        # Objects/exceptions.c).
        super().__init__(message)
        self.message = message
        self.attempts = attempts
        self.request_id = request_id
        self.conversation: list[Any] | None = None
        if outcome is not None:
            self.outcome = outcome

    def with_details(
        self,
        *,
        outcome: Outcome | None = None,
        attempts: int | None = None,
        request_id: str | None = None,
        conversation: list[Any] | None = None,
        relay: str | None = None,
    ) -> Self:
        """Add what became known only after the error was created; None leaves a detail as it is.

        Returns:
            The error itself, as ``with_traceback`` does.
        """
        self.outcome = self.outcome if outcome is None else outcome
        self.attempts = self.attempts if attempts is None else attempts
        self.request_id = self.request_id if request_id is None else request_id
        self.conversation = self.conversation if conversation is None else conversation
        if relay:
            self.relay = relay
        return self


# openai's name of the root, for ``except`` clauses that were written for its package.
OpenAIError = TutuError


class ConfigError(TutuError, ValueError):
    """Settings or arguments that cannot work; nothing was sent."""

    outcome: Outcome | None = "not_sent"


class RequestWarning(UserWarning):
    """A name in a request is close to one that the API has; it is sent as it is, and probably ignored."""


class MediaError(TutuError, ValueError):
    """An image, audio or another file passed to a call cannot be used; nothing was sent."""

    outcome: Outcome | None = "not_sent"


class ImageDownloadError(TutuError):
    """An image in an answer could not be fetched, checked or saved.

    The answer itself is good and paid for; the call is not made again. The
    address stays in the image's ``url``.

    Attributes:
        reason: Why, to branch on: one of ``DownloadReason``, or None.
        status: The HTTP status of the image's host, or of the proxy where that answered with an error; or None.
        retry_after: Seconds that the host asks to wait, or None.
        attempts: How often the download was tried.
    """

    def __init__(
        self,
        message: str = "",
        *,
        reason: DownloadReason | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        **details: Unpack[Details],
    ) -> None:
        super().__init__(message, **details)
        self.reason: DownloadReason | None = reason
        self.status: int | None = status
        self.retry_after: float | None = retry_after


class SoundError(TutuError):
    """Audio in an answer could not be decoded or saved.

    The answer itself is paid for; the call is not made again.
    """


class NoImageError(TutuError, IndexError):
    """An answer holds no image, or fewer than the index asks for; the message quotes the answer's text."""


class _CompletionError(TutuError):
    """An answer came whole and was billed, and cannot be used; ``attempts`` and ``request_id`` are its ``meta``'s."""

    outcome: Outcome | None = "unknown"

    def __init__(
        self, message: str = "", *, completion: ChatCompletion | None = None, **details: Unpack[Details]
    ) -> None:
        if completion is not None:  # Unpickling creates the error from its message, and then restores its attributes.
            self.completion: ChatCompletion = completion
            details = {"attempts": completion.meta.attempts, "request_id": completion.request_id, **details}
        super().__init__(message, **details)


class LengthFinishReasonError(_CompletionError):
    """The answer was cut off at ``max_tokens`` or at the end of the model's context, so it cannot be parsed.

    It was billed; the same request would meet the same limit again.

    Attributes:
        completion: The answer, as far as it goes.
    """


class ContentFilterFinishReasonError(_CompletionError):
    """The answer was cut off by a content filter, so it cannot be parsed.

    Attributes:
        completion: The answer, as far as it goes.
    """


class ToolRoundsError(_CompletionError):
    """The model still asked for tools when ``max_rounds`` of ``run_tools`` were over.

    The tools it asked for last were not called. All rounds were answered and
    billed; ``conversation`` has all messages, of which ``completion.message`` is the last.

    Attributes:
        completion: The last answer.
    """


class APIError(TutuError):
    """A call that was made, or tried, and did not return an answer.

    Attributes:
        body: The relay's decoded error object: the ``error`` member of its answer where there is one; the whole answer
            where that also describes a task, or lacks what was asked for. Else the answer's text, or None.
        code: The error's ``code`` as text, or None: the argument's, else the one in ``body``.
        param: The error's ``param``, or None; likewise.
        type: The error's ``type``, or None; likewise.
        partial: The part of an answer that had arrived when it broke off, folded into one; None when nothing had.
        task: The task at which the relay makes what was ordered, as far as it answered with one; else None. The image
            may be had from it yet, without being ordered again: ``await error.task.wait()``.
    """

    def __init__(
        self,
        message: str = "",
        *,
        body: object = None,
        code: str | None = None,
        param: str | None = None,
        type: str | None = None,  # noqa: A002  (the API's name)
        partial: ChatCompletion | None = None,
        **details: Unpack[Details],
    ) -> None:
        super().__init__(message, **details)
        self.body = body
        fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        said_code, said_param, said_type = fields.get("code"), fields.get("param"), fields.get("type")
        # new-api writes codes of any JSON type, such as 500 and null (.github/WIRE.md, section 4.1); its usage endpoint
        # writes true for success (section 6).
        if code is None and said_code is not None and not isinstance(said_code, bool | list | dict):
            code = str(said_code)
        self.code: str | None = code
        self.param: str | None = said_param if param is None and isinstance(said_param, str) else param
        self.type: str | None = said_type if type is None and isinstance(said_type, str) else type
        self.partial: ChatCompletion | None = partial
        self.task: ImageTask | None = None

    def with_partial(self, partial: ChatCompletion | None) -> Self:
        """Add the part of the answer that had arrived before the error; None leaves ``partial`` as it is.

        Returns:
            The error itself, as ``with_details`` does.
        """
        self.partial = partial or self.partial
        return self

    def with_task(self, task: ImageTask) -> Self:
        """Add the task at which the relay makes what was ordered, and which of several relays that is.

        Returns:
            The error itself, as ``with_details`` does.
        """
        self.task = task
        return self.with_details(relay=None if task.meta is None else task.meta.relay)


class APIResponseValidationError(APIError):
    """The relay answered with a status of success, but the answer is not what was asked for.

    Attributes:
        response: The answer's status, headers and timings, or None inside a stream.
        hint: What is probably wrong, and what to try; or "".
    """

    outcome: Outcome | None = "unknown"

    def __init__(
        self, message: str = "", *, response: Meta | None = None, hint: str = "", **details: Unpack[APIDetails]
    ) -> None:
        super().__init__(message, **details)
        self.response: Meta | None = response
        self.hint: str = hint

    @property
    def status_code(self) -> int | None:
        """The HTTP status of the answer, or None inside a stream."""
        return None if self.response is None else self.response.status_code


class UnexpectedResponseError(APIResponseValidationError):
    """HTML, an empty body, broken JSON or too large a body came in place of what was asked for."""


class ImageTaskError(APIError):
    """A task to make an image came to nothing. It was not ordered again.

    Where the relay says why, ``__cause__`` is the error that the same words are in place of an image: a
    ``ContentPolicyError``, an ``InsufficientQuotaError``.

    Attributes:
        reason: Which end it came to, to branch on: one of ``ImageTaskReason``, or None. After ``failed`` the outcome is
            ``rejected``, since no image was made; after all others it is ``unknown``.
        status: The task's status in the relay's own word, or "".
    """

    outcome: Outcome | None = "unknown"

    def __init__(
        self,
        message: str = "",
        *,
        reason: ImageTaskReason | None = None,
        status: str = "",
        **details: Unpack[APIDetails],
    ) -> None:
        super().__init__(message, **details)
        self.reason: ImageTaskReason | None = reason
        self.status: str = status


class APIStatusError(APIError):
    """The relay answered with an error, by its status or by an error object under status 200.

    Attributes:
        response: The answer's status, headers and timings, or None inside a stream.
        status_code: The HTTP status; the usual one of the class by default, and for an error object under status 200.
        retry_after: Seconds that the relay asks to wait, or None.
    """

    outcome: Outcome | None = "rejected"
    status_code: int = 0

    def __init__(
        self,
        message: str = "",
        *,
        response: Meta | None = None,
        status_code: int | None = None,
        retry_after: float | None = None,
        **details: Unpack[APIDetails],
    ) -> None:
        super().__init__(message, **details)
        self.response: Meta | None = response
        self.retry_after: float | None = retry_after
        if status_code is not None:
            self.status_code = status_code


class BadRequestError(APIStatusError):
    """400: the relay rejects the request; sending it again does not help."""

    status_code = 400


class ContextLengthError(BadRequestError):
    """The messages and ``max_tokens`` are more than the model can hold."""


class ContentPolicyError(BadRequestError):
    """The prompt, an image or the answer was rejected for what it says or shows."""


class AuthenticationError(APIStatusError):
    """401: the key is missing, wrong, expired or used up."""

    status_code = 401


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this; the model, the key's group, the client's IP address or the balance may be why."""

    status_code = 403


class NotFoundError(APIStatusError):
    """404: there is no such path or model; a wrong ``base_url`` is the usual cause."""

    status_code = 404


class ConflictError(APIStatusError):
    """409: the request conflicts with another one."""

    status_code = 409


class PayloadTooLargeError(APIStatusError):
    """413: the request is larger than the relay accepts; send a smaller image (``max_side=``)."""

    status_code = 413


class UnprocessableEntityError(APIStatusError):
    """422: the relay understood the request, and cannot process it."""

    status_code = 422


class RateLimitError(APIStatusError):
    """429: too many requests, or too many tokens, in a short time; see ``retry_after``."""

    status_code = 429


class InsufficientQuotaError(RateLimitError):
    """The account or the key has no balance left; waiting does not help."""


class InternalServerError(APIStatusError):
    """5xx: the relay, or the model's server behind it, failed."""

    status_code = 500


class APIConnectionError(APIError):
    """There was no connection, or it broke before the answer was complete."""

    outcome: Outcome | None = "unknown"


# A relay may finish, and bill, what it has begun, although its answer never arrives (QuantumNous/new-api#4364).
class OutcomeUnknownError(APIConnectionError):
    """The connection broke after an image was ordered: it may have been made and billed.

    The call was not sent again. Look into the relay's log before you repeat it,
    or allow repeating with ``RetryPolicy(resend_unknown=True)``.
    """


class IncompleteStreamError(APIConnectionError):
    """The stream ended before the answer was complete; ``partial`` has what came."""


# ``OSError.__new__`` reads an errno out of two arguments or more
# (https://docs.python.org/3/library/exceptions.html#OSError); there is one here, so it stays a message.
class APITimeoutError(APIConnectionError, TimeoutError):
    """A limit of ``timeout`` passed; the message says which one."""


class PoolTimeoutError(APITimeoutError):
    """No slot became free within ``timeout.pool``: the client is busy; nothing was sent."""

    outcome: Outcome | None = "not_sent"


class FirstTokenTimeoutError(APITimeoutError):
    """The relay accepted the call, and sent nothing of the answer within ``timeout.first_token``."""


class StreamIdleTimeoutError(APITimeoutError):
    """A stream that had begun sent no content for longer than ``timeout.idle``."""


class ImageTaskTimeoutError(OutcomeUnknownError, APITimeoutError):
    """The deadline passed, and the relay still works on the image: ``await error.task.wait()`` goes on waiting.

    The task can be pickled, and ``client.images.task(id)`` returns to it from another process.
    """
