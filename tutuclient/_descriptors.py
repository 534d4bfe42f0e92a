"""File descriptors: how many connections a process has room for, and whether something failed for lack of one."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

DESCRIPTOR_S: Final = 30.0
"""Seconds that work beside a call, such as fetching or saving an image, waits for a descriptor."""

_MOST_CONNECTIONS: Final = 512
_OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})
NO_DESCRIPTORS: Final = (
    "too many files and connections are open; raise the limit (`ulimit -n`), or lower max_connections="
)


def default_connections() -> int:
    """Return how many connections the process has file descriptors for: at most 512.

    An upload needs two, a socket and a file. Some, at least 32, are left for the rest of the process.
    """
    try:
        import resource  # noqa: PLC0415  (Windows has none, and no such limit)

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = soft == resource.RLIM_INFINITY
    except (ImportError, OSError, ValueError):
        unlimited, soft = True, 0
    if unlimited:
        return _MOST_CONNECTIONS
    return max(1, min(_MOST_CONNECTIONS, (soft - max(32, min(64, soft // 8))) // 2))


def out_of_descriptors(error: BaseException) -> bool:
    """Return whether something failed because the process, or the system, has no file descriptors left.

    The whole chain of exceptions is looked at, since aiohttp and anyio wrap the ``OSError``.
    """
    link: BaseException | None = error
    while link is not None:
        inner = getattr(link, "os_error", link)
        if getattr(inner, "errno", None) in _OUT_OF_DESCRIPTORS:
            return True
        # getaddrinfo fails without a descriptor too, but its errors have codes of their own (EAI_*) and no errno.
        if isinstance(inner, socket.gaierror):
            return _none_left()
        link = link.__cause__ or link.__context__
    return False


def _none_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _OUT_OF_DESCRIPTORS
    return False
