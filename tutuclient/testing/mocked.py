"""aioresponses, the mock of aiohttp, with what the newest aiohttp asks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aioresponses import aioresponses


def patched_aioresponses(**options: Any) -> aioresponses:
    """Create a mock of aiohttp for unit tests, to be used as ``aioresponses.aioresponses`` is.

    ``with patched_aioresponses() as mock: mock.post(url, payload={…})`` answers the calls of a ``TutuClient`` within
    the block. One thing is mended: aioresponses 0.7.9 does not know the ``stream_writer`` that answers of aiohttp 3.14
    are made with.

    What is mocked skips connections, limits, deadlines and the reading of streams. For these there is the relay on
    loopback (the fixture ``tutu_relay``, or ``serve``), and for the answers of a real relay a cassette. Mocks of other
    libraries do nothing here: ``respx``, ``pytest-httpx`` and httpx's ``MockTransport`` patch httpx, ``responses`` and
    ``requests-mock`` patch requests, and this client is made of aiohttp.

    Args:
        **options: Those of ``aioresponses``, such as ``passthrough=["http://127.0.0.1"]``.

    Raises:
        ImportError: aioresponses is not installed.
    """
    try:
        import aioresponses as original  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ImportError("patched_aioresponses needs aioresponses: pip install aioresponses") from error

    from unittest.mock import Mock  # noqa: PLC0415

    import aiohttp  # noqa: PLC0415

    class Response(aiohttp.ClientResponse):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.setdefault("stream_writer", Mock(output_size=0))
            super().__init__(*args, **kwargs)

    mock: Any = original.aioresponses(**options)
    # ``mock.get``, ``mock.post`` and the like all call ``add``.
    add = mock.add

    def add_patched(*args: Any, **kwargs: Any) -> None:
        add(*args, **{**kwargs, "response_class": kwargs.get("response_class") or Response})

    mock.add = add_patched
    made: aioresponses = mock
    return made
