"""Refuse a Python that is too old at once, when it is built or installed from a clone.

pip compares ``requires-python`` only in between: asked for extras on Python 3.10, it goes back through the releases of
all dependencies for minutes, and says nothing of it (pip 23 to 26).
"""

from __future__ import annotations

import sys

from hatchling.metadata.plugin.interface import MetadataHookInterface

_OLDEST = (3, 11)


class PythonIsNewEnough(MetadataHookInterface):
    """Changes nothing of the metadata."""

    def update(self, metadata: dict[str, object]) -> None:
        """Check the Python that builds, which for pip is the one that it installs for."""
        del metadata
        if sys.version_info < _OLDEST:
            this = ".".join(map(str, sys.version_info[:3]))
            sys.exit(f"tutuclient needs Python 3.11 or newer, and this is Python {this}: {sys.base_prefix}")
