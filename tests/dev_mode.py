"""What programs print in Python's development mode (``python -X dev``)."""

from __future__ import annotations


def without_slow_steps(stderr: str) -> str:
    """Return what a program printed, without asyncio's lines on steps that took over 0.1 s.

    On a busy machine any step does, and the limit is set by the loop alone:
    https://docs.python.org/3/library/asyncio-dev.html#debug-mode.
    """
    lines = stderr.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("Executing <"))
