"""Certificates for TLS on loopback, signed by an authority that no system knows."""

from __future__ import annotations

import ssl

import trustme


def self_signed(*names: str) -> tuple[ssl.SSLContext, str]:
    """Issue a certificate for ``localhost``, ``127.0.0.1`` and other names by an authority made for it.

    Returns:
        A context for ``serve(ssl_context=…)``, and the authority's certificate as PEM: a client trusts it by
        ``ssl.create_default_context(cadata=…)``, and without that must refuse it.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", *names).configure_cert(context)
    return context, authority.cert_pem.bytes().decode()
