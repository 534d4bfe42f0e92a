"""A relay on loopback to test with: scripted answers, faults, and a record of what it was asked.

It needs no key, no network and no model. ``serve`` runs it in the running event loop, ``serve_in_thread`` in a thread
of its own, and the pytest fixture ``tutu_relay`` is one in a thread. ``record_cassette`` and ``replay_cassette`` record
a real relay and answer as it did. Any client that speaks the API can be tested with it; nothing here imports this
package's own client, but for the fixture ``tutu_client``.

Names are imported on first use (PEP 562): pytest loads the plugin in this package for every test run where tutuclient
is installed, and aiohttp takes a quarter of a second to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tutuclient.standin.audio import sample_sound
    from tutuclient.standin.drawing import sample_picture
    from tutuclient.standin.endpoints.panel import MODELS_FORMS
    from tutuclient.standin.relay import serve, serve_in_thread
    from tutuclient.testing.account import Account
    from tutuclient.testing.answers import (
        PICTURE_FORMS,
        draws,
        event,
        fails,
        rate_limited,
        raw,
        says,
        sends,
        streams,
    )
    from tutuclient.testing.cassettes import record_cassette, replay_cassette
    from tutuclient.testing.chat import chunk
    from tutuclient.testing.exchange import Exchange, Recorded, Scripted
    from tutuclient.testing.faults import FAULTS, RETRY_AFTER_SHAPES, Fault, RawServer, raw_server
    from tutuclient.testing.form import Form, FormFile
    from tutuclient.testing.image_tasks import POLL_FAULTS, TASK_FORMS, queues
    from tutuclient.testing.mocked import patched_aioresponses
    from tutuclient.testing.server import Server

__all__ = [
    "FAULTS",
    "MODELS_FORMS",
    "PICTURE_FORMS",
    "POLL_FAULTS",
    "RETRY_AFTER_SHAPES",
    "TASK_FORMS",
    "Account",
    "Exchange",
    "Fault",
    "Form",
    "FormFile",
    "RawServer",
    "Recorded",
    "Scripted",
    "Server",
    "chunk",
    "draws",
    "event",
    "fails",
    "patched_aioresponses",
    "queues",
    "rate_limited",
    "raw",
    "raw_server",
    "record_cassette",
    "replay_cassette",
    "sample_picture",
    "sample_sound",
    "says",
    "sends",
    "serve",
    "serve_in_thread",
    "streams",
]

_MODULES = {
    "tutuclient.standin.audio": ("sample_sound",),
    "tutuclient.standin.endpoints.panel": ("MODELS_FORMS",),
    "tutuclient.standin.drawing": ("sample_picture",),
    "tutuclient.standin.relay": ("serve", "serve_in_thread"),
    "tutuclient.testing.account": ("Account",),
    "tutuclient.testing.cassettes": ("record_cassette", "replay_cassette"),
    "tutuclient.testing.chat": ("chunk",),
    "tutuclient.testing.exchange": ("Exchange", "Recorded", "Scripted"),
    "tutuclient.testing.faults": ("FAULTS", "RETRY_AFTER_SHAPES", "Fault", "RawServer", "raw_server"),
    "tutuclient.testing.form": ("Form", "FormFile"),
    "tutuclient.testing.image_tasks": ("POLL_FAULTS", "TASK_FORMS", "queues"),
    "tutuclient.testing.mocked": ("patched_aioresponses",),
    "tutuclient.testing.server": ("Server",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF.get(name, "tutuclient.testing.answers")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
