"""Certificates: of the relay, by ``verify=`` and the variables of OpenSSL; and the client's own."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.conftest import KEY, QUICK
from tutuclient import APIConnectionError, ConfigError, ImageDownloadError, TutuClient
from tutuclient.downloads.fetch import Downloads
from tutuclient.testing import Server, sample_picture, serve
from tutuclient.transport import certificates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator
    from pathlib import Path

AUTHORITY, STRANGER = trustme.CA(), trustme.CA()


@pytest.fixture
def mutual() -> ssl.SSLContext:
    """The context of a relay that asks for a certificate of ``AUTHORITY``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    AUTHORITY.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
async def relay() -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    async with serve(ssl_context=context) as server:
        yield server


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return path


async def refusal(url: str, **settings: object) -> APIConnectionError:
    async with TutuClient(KEY, url, retry=QUICK, **settings) as client:  # type: ignore[arg-type]
        with pytest.raises(APIConnectionError) as caught:
            await client.models.list()
    assert (caught.value.outcome, caught.value.attempts, caught.value.code) == ("not_sent", 1, "certificate")
    return caught.value


async def test_ssl_cert_file_is_honoured_also_when_set_late(
    relay: Server, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "SSL_CERT_FILE" not in (await refusal(relay.base_url)).message
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    async with TutuClient(KEY, relay.base_url) as client:
        await client.models.list()
    url = relay.host(sample_picture())
    assert await Downloads(allow_private=True).fetch(url) == sample_picture()


@pytest.fixture
def folder(authority: Path, tmp_path: Path) -> Path:
    """A folder as OpenSSL wants it: each file has the hash of its subject as its name (openssl-rehash(1))."""
    made = tmp_path / "folder"
    made.mkdir()
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(authority)]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603  (ours)
    (made / f"{name}.0").write_bytes(authority.read_bytes())
    return made


async def test_ssl_cert_dir_and_a_folder_as_verify_are_honoured(
    relay: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for verify in (str(folder), True):
        if verify is True:
            monkeypatch.setenv("SSL_CERT_DIR", str(folder))
        async with TutuClient(KEY, relay.base_url, verify=verify) as client:
            await client.models.list()


async def test_a_variable_that_leads_nowhere_is_named(relay: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
    assert (await refusal(relay.base_url)).message.endswith("; SSL_CERT_FILE is /no/such.pem, which does not exist")
    assert certificates.about_variables().startswith("; SSL_CERT_FILE")


async def test_verify_as_a_path(relay: Server, authority: Path) -> None:
    async with TutuClient(KEY, relay.base_url, verify=str(authority)) as client:
        await client.models.list()
    async with TutuClient(KEY, relay.base_url, verify="/no/such.pem") as client:
        with pytest.raises(ConfigError, match=r"/no/such\.pem.*no certificates"):
            await client.models.list()
    with pytest.raises(ImageDownloadError, match=r"/no/such\.pem") as caught:
        await Downloads(allow_private=True, verify="/no/such.pem").fetch(relay.host(sample_picture()))
    assert caught.value.reason == "untrusted"


def client_context(authority: trustme.CA | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    if authority is not None:
        authority.issue_cert("client@example.org").configure_cert(context)
    return context


async def test_a_client_certificate_is_shown_to_a_relay_that_asks(mutual: ssl.SSLContext) -> None:
    async with (
        serve(ssl_context=mutual) as server,
        TutuClient(KEY, server.base_url, verify=client_context(AUTHORITY)) as client,
    ):
        await client.models.list()


@contextlib.contextmanager
def refusing(context: ssl.SSLContext) -> Generator[str]:
    """A server that says by an alert why it refuses, as OpenSSL's own do; asyncio's only closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve_one(raw: socket.socket) -> None:
        secure = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        with secure, contextlib.suppress(OSError):
            try:
                secure.do_handshake()
                secure.recv(1)
            except ssl.SSLError:
                secure.shutdown(socket.SHUT_WR)
                while os.read(secure.fileno(), 2**16):  # What lies unread would make the end a reset.
                    pass

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                serve_one(listener.accept()[0])

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_of_a_stranger_or_none_is_told(
    mutual: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    mutual.maximum_version = version
    with refusing(mutual) as url:
        wrong = await refusal(url, verify=client_context(STRANGER))
        assert "does not accept the client certificate in verify=" in wrong.message
        if version is ssl.TLSVersion.TLSv1_3:  # Before, a server has no word for it but "handshake failure".
            lacking = await refusal(url, verify=client_context(None))
            assert "asks for a client certificate; verify= takes an ssl.SSLContext that has one" in lacking.message
