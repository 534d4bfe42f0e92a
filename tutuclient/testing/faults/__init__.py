"""What can go wrong between a client and a relay, every fault by a name, to be played on loopback.

``FAULTS`` lists them. Those of the group "connecting" need no HTTP and are played by ``raw_server``; all others by
``server.faults(name)`` on a server that otherwise behaves. Endless things are made piece by piece, wait for the
client to read, and stop when it leaves or at ``MOST_BYTES`` and ``LONGEST_SILENCE_S``. This room is glad not to know
what a client should make of any of it.
"""

# Each of these adds its faults to the table.
from tutuclient.testing.faults import (  # noqa: F401
    before,  # pyright: ignore[reportUnusedImport]
    bodies,  # pyright: ignore[reportUnusedImport]
    reuse,  # pyright: ignore[reportUnusedImport]
    streams,  # pyright: ignore[reportUnusedImport]
)
from tutuclient.testing.faults.connecting import RawServer, raw_server
from tutuclient.testing.faults.pieces import TEXT
from tutuclient.testing.faults.registry import FAULTS, Fault, answer
from tutuclient.testing.faults.statuses import RETRY_AFTER_SHAPES

__all__ = ["FAULTS", "RETRY_AFTER_SHAPES", "TEXT", "Fault", "RawServer", "answer", "raw_server"]
