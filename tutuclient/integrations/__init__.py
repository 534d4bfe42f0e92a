"""The client in programs of others: each module imports its framework when it is used, and not before."""

from __future__ import annotations

import importlib


def __getattr__(name: str) -> object:
    if name not in {"otel", "ray", "web"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
