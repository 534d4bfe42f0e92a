"""An asyncio client for OpenAI-compatible relays.

Every public name is here. The module that defines it is imported when the name
is first used (PEP 562), so that ``import tutuclient`` costs next to nothing.
"""

from __future__ import annotations

import importlib
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, ForwardRef

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tutuclient.batch.lines import JournalError
    from tutuclient.batch.result import BatchResult, BatchStoppedError, BatchSummary, Budget
    from tutuclient.batch.run import BatchRun
    from tutuclient.client import TutuClient
    from tutuclient.errors import (
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigError,
        ConflictError,
        ContentFilterFinishReasonError,
        ContentPolicyError,
        ContextLengthError,
        DownloadReason,
        FirstTokenTimeoutError,
        ImageDownloadError,
        ImageTaskError,
        ImageTaskReason,
        ImageTaskTimeoutError,
        IncompleteStreamError,
        InsufficientQuotaError,
        InternalServerError,
        LengthFinishReasonError,
        MediaError,
        NoImageError,
        NotFoundError,
        OpenAIError,
        Outcome,
        OutcomeUnknownError,
        PayloadTooLargeError,
        PermissionDeniedError,
        PoolTimeoutError,
        RateLimitError,
        RequestWarning,
        SoundError,
        StreamIdleTimeoutError,
        ToolRoundsError,
        TutuError,
        UnexpectedResponseError,
        UnprocessableEntityError,
    )
    from tutuclient.finding import find_images
    from tutuclient.media.audio import Sound
    from tutuclient.media.image import GeneratedImage
    from tutuclient.media.parts import audio, file, image
    from tutuclient.media.upload import PictureSource, Recording, SoundSource, Upload
    from tutuclient.pace import PaceState
    from tutuclient.resources.responses import APIResponse, OpenResponse
    from tutuclient.resources.streaming import ChatCompletionStream
    from tutuclient.resources.tool_loop import ToolRun, ToolRunStream
    from tutuclient.settings import Relay, RetryPolicy, Spent, Timeout
    from tutuclient.streams.audio import SoundStream
    from tutuclient.streams.chat import ChatStream
    from tutuclient.streams.events import EventStream
    from tutuclient.tools import Tool
    from tutuclient.transport import CallEnd, CallListener, ObservedCall, Request
    from tutuclient.types import (
        Balance,
        ChatCompletion,
        ChatCompletionChunk,
        ChatMessage,
        Completion,
        CompletionChoice,
        CreateEmbeddingResponse,
        Embedding,
        Image,
        ImagesResponse,
        ImageStreamEvent,
        ImagesUsage,
        ImageTask,
        Message,
        Meta,
        Model,
        ModelList,
        ParsedChatCompletion,
        Price,
        Prices,
        SpeechStreamEvent,
        ToolCall,
        Transcription,
        TranscriptionDiarized,
        TranscriptionStreamEvent,
        TranscriptionVerbose,
        Translation,
        TranslationVerbose,
        Usage,
        assistant,
        system,
        user,
    )

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponse",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "Balance",
    "BatchResult",
    "BatchRun",
    "BatchStoppedError",
    "BatchSummary",
    "Budget",
    "CallEnd",
    "CallListener",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionStream",
    "ChatMessage",
    "ChatStream",
    "Completion",
    "CompletionChoice",
    "ConfigError",
    "ConflictError",
    "ContentFilterFinishReasonError",
    "ContentPolicyError",
    "ContextLengthError",
    "CreateEmbeddingResponse",
    "DownloadReason",
    "Embedding",
    "EventStream",
    "FirstTokenTimeoutError",
    "GeneratedImage",
    "Image",
    "ImageDownloadError",
    "ImageStreamEvent",
    "ImageTask",
    "ImageTaskError",
    "ImageTaskReason",
    "ImageTaskTimeoutError",
    "ImagesResponse",
    "ImagesUsage",
    "IncompleteStreamError",
    "InsufficientQuotaError",
    "InternalServerError",
    "JournalError",
    "LengthFinishReasonError",
    "MediaError",
    "Message",
    "Meta",
    "Model",
    "ModelList",
    "NoImageError",
    "NotFoundError",
    "ObservedCall",
    "OpenAIError",
    "OpenResponse",
    "Outcome",
    "OutcomeUnknownError",
    "PaceState",
    "ParsedChatCompletion",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "PictureSource",
    "PoolTimeoutError",
    "Price",
    "Prices",
    "RateLimitError",
    "Recording",
    "Relay",
    "Request",
    "RequestWarning",
    "RetryPolicy",
    "Sound",
    "SoundError",
    "SoundSource",
    "SoundStream",
    "SpeechStreamEvent",
    "Spent",
    "StreamIdleTimeoutError",
    "Timeout",
    "Tool",
    "ToolCall",
    "ToolRoundsError",
    "ToolRun",
    "ToolRunStream",
    "Transcription",
    "TranscriptionDiarized",
    "TranscriptionStreamEvent",
    "TranscriptionVerbose",
    "Translation",
    "TranslationVerbose",
    "TutuClient",
    "TutuError",
    "UnexpectedResponseError",
    "UnprocessableEntityError",
    "Upload",
    "Usage",
    "__version__",
    "assistant",
    "audio",
    "file",
    "find_images",
    "image",
    "system",
    "user",
]

# The modules that define the names of ``__all__``; those that are not listed are in ``types``.
_OF_RUNS = ("BatchStoppedError", "JournalError")
_ERRORS = tuple(name for name in __all__ if name.endswith("Error") and name not in _OF_RUNS)
_DEFINED_IN: dict[str, tuple[str, ...]] = {
    "client": ("TutuClient",),
    "errors": ("DownloadReason", "ImageTaskReason", "Outcome", "RequestWarning", *_ERRORS),
    "batch.lines": ("JournalError",),
    "batch.result": ("BatchResult", "BatchStoppedError", "BatchSummary", "Budget"),
    "batch.run": ("BatchRun",),
    "streams.events": ("EventStream",),
    "finding": ("find_images",),
    "media.image": ("GeneratedImage",),
    "media.audio": ("Sound",),
    "media.parts": ("audio", "file", "image"),
    "media.upload": ("PictureSource", "Recording", "SoundSource", "Upload"),
    "pace": ("PaceState",),
    "resources.responses": ("APIResponse", "OpenResponse"),
    "resources.tool_loop": ("ToolRun", "ToolRunStream"),
    "resources.streaming": ("ChatCompletionStream",),
    "settings": ("Relay", "RetryPolicy", "Spent", "Timeout"),
    "streams.audio": ("SoundStream",),
    "streams.chat": ("ChatStream",),
    "tools": ("Tool",),
    "transport": ("CallEnd", "CallListener", "ObservedCall", "Request"),
}
_DEFINED_IN["types"] = tuple({*__all__} - {"__version__", *(name for names in _DEFINED_IN.values() for name in names)})
_MODULE_OF = {name: module for module, names in _DEFINED_IN.items() for name in names}
_PACKAGES = {module.rpartition(".")[0] for module in _DEFINED_IN}
# Those whose names are not here: after ``import tutuclient`` alone, ``help(tutuclient.compat)`` finds them.
_SUBPACKAGES = frozenset({"batch", "compat", "integrations", "testing"})


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        if name in _SUBPACKAGES:
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """A package of ours: it sets the public names of classes and functions when the module with them is imported.

    Tracebacks, reprs and pickles name classes and functions by ``__module__``. With
    the module that defines them they would change, and pickles break, whenever a
    class moves. The import system sets each module as an attribute of its package
    when it has run it: that is the moment. The price is that ``inspect.getsource``,
    which asks ``sys.modules[cls.__module__]``, finds functions and methods, not classes.

    Sources: https://docs.python.org/3/reference/import.html#submodules, and for the class of a module
    https://docs.python.org/3/reference/datamodel.html#customizing-module-attribute-access.
    """

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if isinstance(value, ModuleType) and value.__name__ == f"{self.__name__}.{name}":
            _publish(value)


def _publish(module: ModuleType) -> None:
    """Set the public name of the public classes and functions of a module, and those of its own modules."""
    path = module.__name__.removeprefix(f"{__name__}.")
    for name in _DEFINED_IN.get(path, ()):
        value = getattr(module, name)
        if isinstance(value, type):
            _bind_annotations(value)
        if isinstance(value, type | FunctionType):  # Aliases, such as of Literal, have no module of their own.
            value.__module__ = __name__
    if path in _PACKAGES:  # No others: CPython reads attributes faster of modules that have the class of modules.
        module.__class__ = _Package
        for inner in [*vars(module).values()]:  # Imported while the package itself was being run.
            if isinstance(inner, ModuleType) and inner.__name__.startswith(f"{module.__name__}."):
                _publish(inner)


def _bind_annotations(cls: type) -> None:
    """Write into a class's annotations where their names are to be found.

    They are text, which ``typing`` and msgspec evaluate in ``sys.modules[cls.__module__]``,
    soon the wrong module. A ``ForwardRef`` remembers the right one.
    """
    hints = vars(cls).get("__annotations__", {})
    for name, hint in hints.items():
        if isinstance(hint, str):
            hints[name] = ForwardRef(hint, is_argument=False, module=cls.__module__, is_class=True)


sys.modules[__name__].__class__ = _Package
