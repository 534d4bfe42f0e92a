"""The one table of addresses and host names that lie inside private networks, and of some that do not.

Sources: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890), IPv4 inside IPv6 (RFC 4291, 6052, 3056,
4380), the forms of IPv4 that inet_aton reads, special-use names (RFC 6761, 6762, 8375), and names that resolvers,
clusters and clouds use inside.
"""

from __future__ import annotations

INSIDE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0",  # noqa: S104  (never bound)
      "0.1.2.3", "10.0.0.1", "10.1.2.3", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.0.1"),
    *("192.168.1.1", "169.254.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.254", "192.0.0.1", "192.0.2.1"),
    *("198.18.0.1", "198.51.100.7", "203.0.113.7", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fe80::1%lo", "febf::1", "fec0::1", "fc00::1"),
    *("fd00::1", "fd12:3456::1", "ff02::1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe"),
    *("::ffff:0:127.0.0.1", "::127.0.0.1", "::7f00:1", "64:ff9b::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("64:ff9b::169.254.169.254", "64:ff9b:1::1", "64:ff9b:1:fffe::7f00:1", "2002:7f00:1::", "2002:a00:1::1"),
    *("2002:c0a8:101::1", "2002:808:808::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2001:10::1", "2001:20::1"),
    *("3fff::1", "5f00::1", "4000::1", "8000::1"),
]  # fmt: skip
"""Addresses that must never be connected to."""

OUTSIDE = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.0", "100.128.0.1"),
    *("172.15.255.255", "172.32.0.1", "192.167.255.255", "192.169.0.1", "169.253.0.1", "198.17.255.255"),
    *("198.20.0.1", "223.255.255.255"),
    *("2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1", "::ffff:8.8.8.8", "64:ff9b::1.1.1.1", "64:ff9b::808:808"),
]  # fmt: skip
"""Addresses of the open internet, many of them next to the others."""

INSIDE_HOSTS = [
    # Spellings of addresses.
    *("127.1", "127.0.1", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "2130706433", "0", "127.0.0.1."),
    *("0127.0.0.1",  # decimal to some, octal to others
      "127.0.0.01", "0x08.0x08.0x08.0x08", "134744072", "127.0.0.1.0", "1.2.3.4.5", "127..0.0.1", "0x"),
    *("8.8.8.8%00.example.com", "127.0.0.1%00.example.com", "127.0.0.1%2500.example.com", "a%20b.example.com"),
    *("１２７.0.0.1", "①②⑦.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1", "[2606:4700::1111%25eth0]"),
    # Names.
    *("localhost", "LOCALHOST.", "a.localhost", "router.localdomain", "printer.local", "host.docker.internal"),
    *("example.127", "example.0x7f", "api.prod.svc", "db.svc.cluster.local", "kubernetes.default", "vault.node.consul"),
    *("nas.fritz.box", "box.tail1234.ts.net", "wiki.dmz", "app.test", "files.corp", "nas.home", "nas.home."),
    *("wiki.intranet", "x.private", "x.lan", "router.lan", "router.home.arpa", "nas.home.arpa", "intranet"),
    *("10-0-0-1.traefik.me", "127.0.0.1.nip.io", "7f000001.nip.io", "10-0-0-1.sslip.io", "localtest.me", "a.lvh.me"),
    "metadata.google.internal",
]  # fmt: skip
"""Hosts of an URL that must never be looked up: spellings of inside addresses, and names that lead to them."""

OUTSIDE_HOSTS = [
    "pictures.example",
    "a.svc.example",
    "x-home.example",
    "1.example.com",
    "xn--fiq228c.example",
    "8.8.8.8",
]
"""Hosts of the open internet that look a little like the others."""


def written_out(address: str) -> str:
    """Write an address as the host of an URL (RFC 3986, section 3.2.2; RFC 6874)."""
    return f"[{address.replace('%', '%25')}]" if ":" in address else address
