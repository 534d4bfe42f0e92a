"""What can go wrong between a client and a relay: faults by name, played on loopback.

``FAULTS`` lists them. Those of the group "connecting" need no HTTP and are played by ``raw_server``, all others by
``server.faults(name)`` on a server that otherwise answers well. Endless faults send piece by piece at the client's
pace, and stop when it leaves, after 512 MiB or after 60 seconds of silence.
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
