"""nginx and HAProxy from Debian's packages, each with a configuration of its own on a free port of loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tests.real.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_NGINX = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream relay {{ server {upstream}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port}{tls};
        {lines}
        location / {{
            proxy_pass http://relay;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
_HAPROXY = """
global
    maxconn 512
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout queue 5s
frontend front
    bind 127.0.0.1:{port}{tls}
    default_backend relay
backend relay
    {lines}
    server relay {upstream} {options}
"""


@contextmanager
def nginx(folder: Path, upstream: str, *lines: str, tls: str = "") -> Generator[str, None, None]:
    """Run nginx before an upstream until the block ends, and return its address.

    Args:
        folder: Where its configuration, temporary files and logs go.
        upstream: Host and port it passes requests on to.
        *lines: Directives of its server, without the semicolon.
        tls: A PEM file with certificate and key, or "" for plain HTTP.
    """
    port = free_port()
    directives = [f"ssl_certificate {tls}", f"ssl_certificate_key {tls}"] if tls else []
    text = "\n        ".join(f"{line};" for line in (*directives, *lines))
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, upstream=upstream, port=port, lines=text, tls=" ssl" if tls else ""))
    with _running([_program("nginx"), "-c", str(config), "-e", str(folder / "start.log")], port, folder / "log"):
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"


@contextmanager
def haproxy(folder: Path, upstream: str, *lines: str, options: str = "", tls: str = "") -> Generator[str, None, None]:
    """Run HAProxy before an upstream until the block ends, and return its address.

    Args:
        folder: Where its configuration and log go.
        upstream: Host and port it passes requests on to.
        *lines: Lines of its backend.
        options: What stands behind the server's address, such as ``maxconn 1``.
        tls: What stands behind the listening address, such as ``ssl crt FILE``.
    """
    port = free_port()
    config = folder / "haproxy.cfg"
    text = _HAPROXY.format(upstream=upstream, port=port, lines="\n    ".join(lines), options=options, tls=f" {tls}")
    config.write_text(text)
    with _running([_program("haproxy"), "-db", "-f", str(config)], port, folder / "log"):
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"


def _program(name: str) -> str:
    path = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert path is not None, f"{name} is not installed: run tests/real/install {name}"
    return path


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Generator[None, None, None]:
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603  (the tests' own commands)
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            while not _listens(port):
                time.sleep(0.02)
                assert process.poll() is None, log.read_text(errors="replace")[-4000:]
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
