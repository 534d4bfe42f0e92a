"""Everything aiohttp can raise becomes one of ours, and none of it carries the key out."""

from __future__ import annotations

import inspect
import ssl
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import BadHttpMessage, ContentLengthError, TransferEncodingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tutuclient.errors import APIConnectionError, APITimeoutError, OutcomeUnknownError
from tutuclient.transport import exceptions

KEY = "sk-secret"
INFO = aiohttp.RequestInfo(
    URL("http://r.example/v1"), "POST", CIMultiDictProxy(CIMultiDict(Authorization=f"Bearer {KEY}")), URL("http://r/")
)
CONNECTION = ConnectionKey("r.example", 443, True, True, None, None, None)


def made(cls: type[BaseException]) -> BaseException:
    if issubclass(cls, aiohttp.ClientConnectorCertificateError):
        return cls(CONNECTION, ssl.SSLCertVerificationError(1, "self-signed"))
    if issubclass(cls, aiohttp.ServerFingerprintMismatch):
        return cls(b"a", b"b", "r.example", 443)
    if issubclass(cls, aiohttp.ClientConnectorError):
        return cls(CONNECTION, OSError(111, "refused"))
    if issubclass(cls, aiohttp.ClientResponseError):
        return cls(INFO, (), status=400, message="bad", headers=Mock())
    if issubclass(cls, aiohttp.ClientOSError):
        return cls(32, "broken pipe")
    return cls("words")


EVERY = [value for _, value in inspect.getmembers(aiohttp, inspect.isclass) if issubclass(value, aiohttp.ClientError)]


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: str(cls.__name__))
@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("makes_image", [True, False])
def test_every_class_of_aiohttp_has_its_place(cls: type[BaseException], connected: bool, makes_image: bool) -> None:
    error = made(cls)
    assert isinstance(error, exceptions.CAUGHT)
    ours = exceptions.broken(error, "POST /x", connected=connected, sent=True, makes_image=makes_image)
    assert isinstance(ours, APIConnectionError)
    assert ours.outcome == ("unknown" if connected else "not_sent")
    assert isinstance(ours, OutcomeUnknownError) == (connected and makes_image)
    cause = exceptions.clean_cause(error)
    assert KEY not in f"{ours} {ours!r} {ours.args} {cause!r} {vars(ours)}"
    assert str(ours).startswith("POST /x: ")


def test_half_a_request_was_not_sent() -> None:
    ours = exceptions.broken(aiohttp.ClientOSError(32, "pipe"), "POST /x", connected=True, sent=False, makes_image=True)
    assert ours.outcome == "not_sent"


@pytest.mark.parametrize("error", [aiohttp.ConnectionTimeoutError(), TimeoutError()])
def test_no_connection_in_time_is_a_timeout(error: Any) -> None:
    ours = exceptions.broken(error, "POST /x", connected=False, sent=True, makes_image=False)
    assert isinstance(ours, APITimeoutError)
    assert ours.outcome == "not_sent"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TransferEncodingError("Not enough data to satisfy transfer length header."), "Not enough data to satisfy"),
        (ContentLengthError("Not enough data (received 1 of 100 bytes)."), "received 1 of 100 bytes"),
        (BadHttpMessage("a 'quoted' word"), "a 'quoted' word"),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_status_that_nobody_answered_is_not_shown(error: BadHttpMessage, words: str, wrapped: bool) -> None:
    raised: BaseException = error
    if wrapped:
        raised = aiohttp.ClientPayloadError(f"Response payload is not completed: {error!r}")
    ours = exceptions.broken(raised, "POST /x", connected=True, sent=True, makes_image=False)
    assert "400" not in str(ours)
    assert words in str(ours) or not wrapped
