"""A certificate that nobody has signed but itself, made on the spot, for tests of TLS on loopback.

The standard library can use certificates but not make them, hence this little elliptic curve and DER. It is glad not
to be secure: its arithmetic takes a time that depends on the key, and the key lives as long as the test.
"""

import base64
import hashlib
import secrets
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

Point = tuple[int, int]

# The curve P-256: y² = x³ - 3x + b over the integers modulo _P, with the generator _G of order _N.
# Source: FIPS 186-4, D.1.2.3.
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

_INTEGER, _BITS, _OCTETS, _OID, _UTF8, _TIME, _SEQUENCE, _SET = 0x02, 0x03, 0x04, 0x06, 0x0C, 0x18, 0x30, 0x31
_PUBLIC_KEY_TYPE = bytes.fromhex("2a8648ce3d0201")
_CURVE_P256 = bytes.fromhex("2a8648ce3d030107")
_ECDSA_SHA256 = bytes.fromhex("2a8648ce3d040302")
_COMMON_NAME = bytes.fromhex("550403")
_ALTERNATIVE_NAMES = bytes.fromhex("551d11")


def self_signed() -> tuple[ssl.SSLContext, str]:
    """Make a certificate for ``localhost`` and ``127.0.0.1`` that is good for a day.

    Returns:
        A context for ``serve(ssl_context=…)``, and the certificate as PEM: a client trusts it by
        ``ssl.create_default_context(cadata=…)``, and without that must refuse it.

    Source: RFC 5280, section 4.1; RFC 5915; FIPS 186-4, section 6.
    """
    key = secrets.randbelow(_N - 1) + 1
    public = _bytes_of(_times(key, _G))
    now = datetime.now(UTC)
    name = _der(_SEQUENCE, _der(_SET, _der(_SEQUENCE, _der(_OID, _COMMON_NAME), _der(_UTF8, b"tutuclient.testing"))))
    names = _der(_SEQUENCE, _der(0x82, b"localhost"), _der(0x87, bytes([127, 0, 0, 1])))
    algorithm = _der(_SEQUENCE, _der(_OID, _ECDSA_SHA256))
    body = _der(
        _SEQUENCE,
        _der(0xA0, _number(2)),
        _number(secrets.randbits(64)),
        algorithm,
        name,
        _der(_SEQUENCE, *(_der(_TIME, f"{now + timedelta(days=d):%Y%m%d%H%M%SZ}".encode()) for d in (-1, 1))),
        name,
        _der(_SEQUENCE, _der(_SEQUENCE, _der(_OID, _PUBLIC_KEY_TYPE), _der(_OID, _CURVE_P256)), _bits(public)),
        _der(0xA3, _der(_SEQUENCE, _der(_SEQUENCE, _der(_OID, _ALTERNATIVE_NAMES), _der(_OCTETS, names)))),
    )
    certificate = _pem("CERTIFICATE", _der(_SEQUENCE, body, algorithm, _bits(_sign(key, body))))
    private = _der(
        _SEQUENCE,
        _number(1),
        _der(_OCTETS, key.to_bytes(32, "big")),
        _der(0xA0, _der(_OID, _CURVE_P256)),
        _der(0xA1, _bits(public)),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pair.pem")
        file.write_text(certificate + _pem("EC PRIVATE KEY", private), encoding="ascii")
        context.load_cert_chain(file)
    return context, certificate


def _sign(key: int, data: bytes) -> bytes:
    digest = int.from_bytes(hashlib.sha256(data).digest(), "big")
    once = secrets.randbelow(_N - 1) + 1
    r = _times(once, _G)[0] % _N
    s = pow(once, -1, _N) * (digest + r * key) % _N
    return _der(_SEQUENCE, _number(r), _number(s))


def _times(factor: int, point: Point) -> Point:
    """Multiply a point by a factor of at least 1, by doubling and adding."""
    result = None
    while factor:
        if factor & 1:
            result = point if result is None else _plus(result, point)
        point, factor = _plus(point, point), factor >> 1
    if result is None:
        raise ValueError("the factor is 0")
    return result


def _plus(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    rise, run = (3 * (x1 * x1 - 1), 2 * y1) if one == other else (y2 - y1, x2 - x1)
    slope = rise * pow(run, -1, _P)
    x = (slope * slope - x1 - x2) % _P
    return x, (slope * (x1 - x) - y1) % _P


def _bytes_of(point: Point) -> bytes:
    return b"\x04" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def _der(tag: int, *parts: bytes) -> bytes:
    data = b"".join(parts)
    size = len(data)
    if size < 0x80:  # noqa: PLR2004 - X.690, 8.1.3: shorter lengths are one byte.
        return bytes([tag, size]) + data
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + data


def _number(value: int) -> bytes:
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _bits(data: bytes) -> bytes:
    return _der(_BITS, b"\0" + data)


def _pem(label: str, data: bytes) -> str:
    text = base64.b64encode(data).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])
