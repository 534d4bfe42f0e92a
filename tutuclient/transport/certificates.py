"""Which certificates are trusted: ``verify=`` and the variables of OpenSSL."""

from __future__ import annotations

import os
import ssl
import warnings
from pathlib import Path
from typing import Final

from tutuclient.errors import ConfigError, printable

_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def context_of(verify: object) -> ssl.SSLContext | bool:
    """Return what aiohttp takes as ``ssl=``; files are read.

    Raises:
        ConfigError: No certificates can be read there.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if verify is False:
        warnings.warn("verify=False: the relay's certificate is not checked", stacklevel=2)
        return False
    if verify is True:
        # aiohttp makes its context when it is imported, and would not see what was set since.
        return _context() if any(os.environ.get(name) for name in _VARIABLES) else True
    try:
        folder = Path(verify).is_dir()  # type: ignore[arg-type]  # what is no path raises TypeError
        return _context(cafile=None if folder else verify, capath=verify if folder else None)
    except (OSError, TypeError) as error:
        raise ConfigError(f"verify={verify!r}: no certificates can be read there ({error})") from error


def _context(**places: object) -> ssl.SSLContext:
    context = ssl.create_default_context(**places)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    context.set_alpn_protocols(["http/1.1"])  # As aiohttp's own.
    return context


def about_variables() -> str:
    """Return the words about a variable that OpenSSL follows in silence, also where it leads nowhere; or ""."""
    for name in _VARIABLES:
        place = os.environ.get(name)
        if place:
            gone = "" if any(Path(each).exists() for each in place.split(os.pathsep)) else ", which does not exist"
            return f"; {name} is {printable(place, 100)}{gone}"
    return ""
