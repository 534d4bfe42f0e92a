"""What to do about a class of errors in a run, in the words of the command line."""

from __future__ import annotations

from typing import Final

from tutuclient import errors

_AGAIN: Final = "`tutuclient batch retry RUN` asks again"

# The first row whose class the error is of, so special classes come before what they derive from.
_ADVICE: Final[tuple[tuple[type[Exception], str], ...]] = (
    (errors.AuthenticationError, f"Check the key (TUTU_API_KEY). Then {_AGAIN}."),
    (errors.InsufficientQuotaError, f"The account or the key is used up: top it up. Then {_AGAIN}."),
    (
        errors.PermissionDeniedError,
        "The key may not do this: look at its models, its group and its allowed addresses on the relay.",
    ),
    (errors.PayloadTooLargeError, "The images are too large for the relay: `--max-side 1024` sends them smaller."),
    (errors.ContextLengthError, "The request is too long for the model: shorten the prompt, or lower `--max-side`."),
    (
        errors.ContentPolicyError,
        "The prompt or the image was rejected. Sending it again does not help: change the prompt, or leave these out.",
    ),
    (
        errors.ContentFilterFinishReasonError,
        "A filter stopped the answer. Sending it again does not help: change the prompt, or leave these out.",
    ),
    (errors.RateLimitError, f"The relay was asked too often: set `--rate` below its limit. Then {_AGAIN}."),
    (errors.NotFoundError, "Check the model's name, and that the base URL ends as the relay wants it, mostly in /v1."),
    (
        errors.BadRequestError,
        "The relay does not accept the request. Its message says why: a field, or the format of the image.",
    ),
    (errors.UnprocessableEntityError, "The relay does not accept a value in the request. Its message says which."),
    (errors.APIStatusError, f"The relay, or a server behind it, failed. Wait a while; then {_AGAIN}."),
    (
        errors.OutcomeUnknownError,
        "The connection ended after the order was sent. Look at the relay's own log before it is ordered again.",
    ),
    (errors.IncompleteStreamError, f"The answer was cut off on its way; {_AGAIN}."),
    (
        errors.PoolTimeoutError,
        f"Calls waited too long for a free connection: lower `--concurrency`, or raise the timeout. Then {_AGAIN}.",
    ),
    (
        errors.APITimeoutError,
        f"No answer came in time: raise the timeout, or lower `--concurrency`. Then {_AGAIN}.",
    ),
    (
        errors.APIConnectionError,
        f"The relay could not be reached: check the network, the base URL and the proxy. Then {_AGAIN}.",
    ),
    (errors.LengthFinishReasonError, f"The answer was cut off at its limit: raise max_tokens. Then {_AGAIN}."),
    (
        errors.APIResponseValidationError,
        "The answer is not what was asked for: another model, or a simpler schema, may keep to it better.",
    ),
    (
        errors.ImageDownloadError,
        "The image was made and could not be fetched. Its address is in the answer, and often valid for some hours.",
    ),
    (
        errors.NoImageError,
        "The model answered in words, which are shown with the item: use a model that makes images, or another prompt.",
    ),
    (errors.MediaError, "The file cannot be read as an image: look at the message, and at the file."),
    (errors.ConfigError, "These cannot be sent as they are. The message says what to change."),
    (OSError, f"The files could not be read: check that they are there, and may be read. Then {_AGAIN}."),
)


def advice_for(name: str) -> str:
    """Return what to do about errors of a class, by its name as the journal has it."""
    cls = getattr(errors, name, None) or {each.__name__: each for each in _os_errors()}.get(name)
    if isinstance(cls, type):
        for kind, words in _ADVICE:
            if issubclass(cls, kind):
                return words
    return f"The message says what went wrong. When that is mended, {_AGAIN}."


def _os_errors() -> list[type[OSError]]:
    return [OSError, *OSError.__subclasses__()]
