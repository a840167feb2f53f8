"""Which hosts are internal: the whole table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.errors import SettingsError
from otel_llmcost.propagation import InternalHosts

INTERNAL = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "app.localhost",
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "fd12:3456::1",
    "[fd12:3456::1]",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "orders",
    "orders_v2",
    "ORDERS-7",
    "orders.internal",
    "metadata.google.internal.",
    "printer.local",
    "orders.shop.svc",
    "orders.shop.svc.cluster.local",
    "orders.shop.svc.cluster.local.",
]
EXTERNAL = [
    "",
    ".",
    "..",
    "api.openai.com",
    "API.OPENAI.COM.",
    "api.anthropic.com",
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.0",
    "192.169.0.1",
    "11.0.0.1",
    "100.64.0.1",  # shared by a carrier's customers
    "169.254.169.254",  # link-local: cloud metadata
    "0.0.0.0",  # noqa: S104  # a host in a table
    "192.0.2.1",
    "255.255.255.255",
    "2606:4700::1",
    "fe80::1",
    "fe80::1%eth0",
    "fd12::1%eth0",
    "::",
    "::ffff:8.8.8.8",
    "64:ff9b::10.0.0.1",  # NAT64
    "2002:a00:1::",  # 6to4 of 10.0.0.1
    "[::1",
    "::1]",
    "[127.0.0.1]",
    "127.0.0.1:80",
    "localhost:80",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "127.0.0.0x1",
    "0177.0.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "127.0.0.1.evil.com",
    "localhost.evil.com",
    "evil.com#.internal",
    "evil.com/.internal",
    "evil.com\\.internal",
    "evil.com?.internal",
    "127.0.0.1@evil.com",
    "evil.com@orders.internal",
    " localhost",
    "localhost ",
    "local\thost",
    "localhost\x00",
    "localhost\n",
    "evil.com\x00.internal",
    ".internal",
    "a..internal",
    "-a.internal",
    "a-.internal",
    "internal.evil.com",
    "evilinternal.com",
    "notlocal.com",
    "ai.",  # a top-level domain with an address
    "svc.",
    "bücher",
    "bücher.internal",
    "orders。internal",  # an ideographic full stop
    "l\u014dcalhost",
    "\u212aube.internal",  # the Kelvin sign becomes k in lower case
    "①②⑦.0.0.1",
    "x" * 64,
    "x." * 200 + "internal",
    "/var/run/docker.sock",
    "*",
    "*.internal",
]


@pytest.mark.parametrize("host", INTERNAL, ids=ascii)
def test_internal(host: str):
    """
    Loopback, private addresses, single labels and internal suffixes are internal.
    """
    assert host in InternalHosts()


@pytest.mark.parametrize("host", EXTERNAL, ids=lambda host: ascii(host)[:40])
def test_external(host: str):
    """
    Every other host, and everything odd, is external.
    """
    assert host not in InternalHosts()


@pytest.mark.parametrize(
    "host", [None, 1, b"localhost", ["localhost"], ("localhost",), object()], ids=lambda host: type(host).__name__
)
def test_what_is_no_text_is_external(host: object):
    """
    A host of a wrong type is external, not an error.
    """
    assert host not in InternalHosts()


@pytest.mark.parametrize(
    ("host", "internal"),
    [
        ("api.example.com", True),
        ("API.example.com.", True),
        ("www.api.example.com", False),
        ("a.example.net", True),
        ("a.b.example.net", True),
        ("example.net", False),
        ("evilexample.net", False),
        ("203.0.113.7", True),
        ("203.0.113.8", False),
        ("2001:db8::1", True),
        ("2001:DB8:0::1", True),
        ("2001:db8::2", False),
        ("orders.internal", True),
    ],
)
def test_listed_hosts(host: str, internal: bool):
    """
    A listed host is internal itself, `.suffix` makes every host below it so; neither reaches further.
    """
    listed = InternalHosts(["API.example.com", ".example.net", "203.0.113.7", "[2001:db8::1]"])

    assert (host in listed) is internal


@pytest.mark.parametrize(
    "entry",
    [
        "",
        ".",
        "*.example.com",
        "https://example.com",
        "example.com:443",
        "a b",
        "bücher.de",
        ".10.0.0.1",
        "1.2.3",
        ".::1",
    ],
)
def test_an_entry_that_is_no_host_is_refused(entry: str):
    """
    A listed entry that could never match raises SettingsError that names the variable and the accepted form.
    """
    with pytest.raises(SettingsError, match=r"OTEL_LLMCOST_INTERNAL_HOSTS \(or _GATEWAYS\) has .*write a host name"):
        InternalHosts([entry])


@given(st.one_of(st.text(), st.text("0123456789abcdefx.:[]@%-_/\\ ")))
def test_any_text_has_an_answer(host: str):
    """
    Judging never raises; whatever is internal is a plain name or address.
    """
    if host in InternalHosts():
        assert host.isascii()
        assert not set(host) & set("@/\\ %#?")
