"""A relay of one's own: the API on loopback, with answers, faults and a memory of what it was asked.

No key, no network, no model. ``serve`` runs it in the running event loop, ``serve_in_thread`` beside any test, and
the pytest fixture ``tutu_relay`` does the latter by itself. This room is glad not to know the client: whatever
speaks the API can be tested with it.

Everything opens on first use (PEP 562), because pytest loads the plugin in this package for every test run and
aiohttp takes a quarter of a second to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tutuclient.standin.audio import sample_sound
    from tutuclient.standin.endpoints.panel import MODELS_FORMS
    from tutuclient.standin.images import sample_picture
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
    from tutuclient.testing.chat import chunk
    from tutuclient.testing.exchange import Exchange, Recorded, Scripted
    from tutuclient.testing.faults import FAULTS, RETRY_AFTER_SHAPES, Fault, RawServer, raw_server
    from tutuclient.testing.form import Form, FormFile
    from tutuclient.testing.server import Server, serve, serve_in_thread

__all__ = [
    "FAULTS",
    "MODELS_FORMS",
    "PICTURE_FORMS",
    "RETRY_AFTER_SHAPES",
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
    "rate_limited",
    "raw",
    "raw_server",
    "sample_picture",
    "sample_sound",
    "says",
    "sends",
    "serve",
    "serve_in_thread",
    "streams",
]

_ROOMS = {
    "account": ("Account",),
    "chat": ("chunk",),
    "exchange": ("Exchange", "Recorded", "Scripted"),
    "faults": ("FAULTS", "RETRY_AFTER_SHAPES", "Fault", "RawServer", "raw_server"),
    "form": ("Form", "FormFile"),
    "server": ("Server", "serve", "serve_in_thread"),
}
_ROOM_OF = {name: f"{__name__}.{room}" for room, names in _ROOMS.items() for name in names} | {
    "MODELS_FORMS": "tutuclient.standin.endpoints.panel",
    "sample_picture": "tutuclient.standin.images",
    "sample_sound": "tutuclient.standin.audio",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_ROOM_OF.get(name, f"{__name__}.answers")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
