"""What errors and warnings show the caller: values in a few words, and the line of the call."""

from __future__ import annotations

import inspect
import os
import warnings
from typing import Any, TypeGuard, cast

from tutuclient.errors import RequestWarning, printable
from tutuclient.media.kinds import audio_mime, image_mime

_SHOWN = 60
_HEAD_BYTES = 512


def quoted(value: object) -> str:
    """Return a few words that show a value: short text and numbers as they are, everything else by its type."""
    if isinstance(value, str):
        # Cut before ``repr``: it may be an image of megabytes. ``str`` undoes subclasses, whose ``repr`` may be
        # another.
        return printable(repr(str(value[: _SHOWN + 1])[:_SHOWN]), _SHOWN + 2) + ("…" if len(value) > _SHOWN else "")
    if is_binary(value):
        head = bytes(memoryview(value).tobytes()[:_HEAD_BYTES])
        seems = image_mime(head) or audio_mime(head)
        return f"{memoryview(value).nbytes:,} bytes{f' of {seems}' if seems else ''}"
    if value is None or isinstance(value, bool | int | float):
        return printable(repr(value), _SHOWN)
    if isinstance(value, os.PathLike):
        return f"the path {printable(repr(os.fspath(cast('os.PathLike[str]', value))), _SHOWN)}"
    name = value.__name__ if isinstance(value, type) else type(value).__name__
    return f"the class {name}" if isinstance(value, type) else f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"


def is_binary(value: object) -> TypeGuard[bytes | bytearray | memoryview[int]]:
    """Return whether something is bytes."""
    return isinstance(value, bytes | bytearray | memoryview)


def warn(text: str) -> None:
    """Warn of something in a request, at the line of the caller that is not ours."""
    frame, level = inspect.currentframe(), 1  # ``skip_file_prefixes`` came with Python 3.12.
    while frame is not None and _is_ours(frame.f_globals):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, RequestWarning, stacklevel=level)


def _is_ours(names: dict[str, Any]) -> bool:
    return str(names.get("__name__", "")).partition(".")[0] == "tutuclient"
