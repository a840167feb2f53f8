"""
Who may look: this machine, whoever shows the token, or whom a trusted proxy names. Wrong hosts are turned away.

Limits: plain HTTP; beyond this machine put a TLS proxy before it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import cookie_parser

from otel_llmcost.errors import SettingsError
from otel_llmcost.http.tokens import Tokens

__all__ = ["COOKIE", "Access", "Denied"]

COOKIE: Final = "llmcost"
_COOKIE_SECONDS: Final = 12 * 3600
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^][:/?#@\\\s]+))(?::[0-9]{1,5})?", re.IGNORECASE)


class Denied(Exception):
    """A request that gets another answer than a page."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """
    The rules of one server.

    Args:
        hosts: names, besides addresses and `localhost`, that a browser may know this server by. Others are refused, so that
            no foreign page's name can be pointed here.
        tokens: what must be shown, as a bearer token or at the login; None for nothing.
        proxy_header: a header that a proxy in front sets for whom it has let in; "" for none. Only where nobody can reach
            this server past it.
    """

    hosts: frozenset[str] = frozenset()
    tokens: Tokens | None = None
    proxy_header: str = ""

    def check_address(self, text: str, *, is_loopback: bool) -> None:
        """Refuse to listen where strangers could look. Raises `SettingsError`."""
        if not is_loopback and self.tokens is None and not self.proxy_header:
            raise SettingsError(
                f"--dashboard {text} can be reached from other machines: give --token-file, or --proxy-header where a proxy "
                "that lets only your people through stands before it"
            )

    def check_host(self, host: str) -> None:
        """Raises `Denied` for a name that this server is not known by."""
        name = _name_of(host)
        if not (name == "localhost" or name in self.hosts or _is_address(name)):
            raise Denied(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server is not known as {host[:100]!r}: open it by its address, or start it with --host-name",
            )

    def admits(self, headers: Iterable[tuple[str, str]]) -> bool:
        """Say whether a request shows what is asked for."""
        found = dict(headers)
        if self.proxy_header and found.get(self.proxy_header.lower(), "").strip():
            return True
        if self.tokens is None:
            return not self.proxy_header
        if "authorization" in found and self.tokens.admit(found["authorization"].encode()):
            return True
        return self._knows(found.get("cookie", ""))

    def login(self, token: str) -> str | None:
        """Give the cookie of someone who shows the token; None if it is not the one."""
        if self.tokens is None or not self.tokens.admit(f"Bearer {token}".encode()):
            return None
        shown = _pass_of(token.encode()).decode()
        return f"{COOKIE}={shown}; HttpOnly; SameSite=Strict; Path=/; Max-Age={_COOKIE_SECONDS}"

    def _knows(self, header: str) -> bool:
        shown = cookie_parser(header).get(COOKIE, "")  # lenient: other servers of this host set cookies here too
        return self.tokens is not None and self.tokens.admit_derived(shown.encode("utf-8", "replace"), _pass_of)


def _pass_of(token: bytes) -> bytes:
    """Derive what the cookie holds: it lets its bearer look, and tells nobody the token."""
    return hmac.new(token, b"otel-llmcost dashboard", hashlib.sha256).hexdigest().encode()


def _name_of(host: str) -> str:
    """Read the name or the address of a `Host` header; "" of anything else."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
