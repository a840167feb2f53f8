"""
Which hosts are internal, judged by their name or address alone: no look-up, because an answer can change.

Anything odd is external: the cost of a wrong no is a missing owner, that of a wrong yes a customer's name at a stranger.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

from otel_llmcost.errors import SettingsError

__all__ = ["InternalHosts"]

Host: TypeAlias = str | IPv4Address | IPv6Address

_NETWORKS: Final = tuple(
    ip_network(text) for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
"""Loopback and private use (RFC 1918, RFC 4193). Not `ip.is_private`: that also holds reserved and link-local blocks,
cloud metadata among them, and differs between Python releases."""
_SUFFIXES: Final = (".internal", ".local", ".localhost", ".svc")
""".local includes Kubernetes' .svc.cluster.local; .svc is its short form."""
_MAX_NAME: Final = 253
_LABEL: Final = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
"""Decimal, octal, hex and short addresses (2130706433, 0177.1, 127.1): each client reads them its own way."""


class InternalHosts:
    """
    Loopback, private addresses, single labels, `.internal`, `.local`, `.svc`, `.localhost`, and those listed: a host
    name or address for itself, `.example.net` for every host below it.

    Raises `SettingsError` for an entry that is neither.
    """

    def __init__(self, listed: Iterable[str] = ()) -> None:
        entries = tuple(listed)
        self._suffixes = _SUFFIXES + tuple(f".{_entry(text[1:], text)}" for text in entries if text.startswith("."))
        self._listed = frozenset(_entry(text, text) for text in entries if not text.startswith("."))
        self._judged = lru_cache(maxsize=1024)(self._judge)

    def __contains__(self, host: object) -> bool:
        """Say whether `host`, a name or address without a port, is internal; anything but text is not."""
        return isinstance(host, str) and self._judged(str.__str__(host))

    def _judge(self, text: str) -> bool:
        host = _read(text)
        if host is None:
            return False
        if host in self._listed:
            return True
        if isinstance(host, str):
            return "." not in host or host.endswith(self._suffixes)
        return any(host in network for network in _NETWORKS)


def _entry(text: str, entry: str) -> Host:
    if (host := _read(text)) is None or (entry.startswith(".") and not isinstance(host, str)):
        raise SettingsError(
            f"OTEL_LLMCOST_INTERNAL_HOSTS (or _GATEWAYS) has {entry!r}: write a host name or address without scheme and port, or"
            " .example.net for every host below it"
        )
    return host


def _read(text: str) -> Host | None:
    """Give a name in lower case without its last dot, or an address; None for what is neither."""
    # ASCII first: lower() turns some other letters into ASCII ones (the Kelvin sign into k).
    if not text.isascii() or len(text) > _MAX_NAME + 1:
        return None
    name = text.lower()
    if ":" in name:
        return _read_ipv6(name[1:-1] if name[0] == "[" and name[-1] == "]" else name)
    if _NUMERIC.fullmatch(name.removesuffix(".")):
        return _read_ipv4(name)
    absolute, name = name.endswith("."), name.removesuffix(".")
    if absolute and "." not in name and name != "localhost":
        return None  # "ai." is a top-level domain, not a neighbour
    return name if _NAME.fullmatch(name) else None


def _read_ipv4(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None


def _read_ipv6(text: str) -> Host | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address) or address.scope_id is not None:
        return None
    return address.ipv4_mapped or address
