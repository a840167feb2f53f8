"""An address to listen on, as people write it."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Self

from otel_llmcost.errors import SettingsError

__all__ = ["Address"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, option: str) -> Self:
        """Read `[HOST:]PORT`, as `option` was given it; an IPv6 address in brackets. Raises `SettingsError`."""
        host, _, port = text.rpartition(":")
        if not (port.isascii() and port.isdecimal() and int(port[:6]) <= 65535):
            raise SettingsError(f"{option} {text!r} names no port: write 4318, 127.0.0.1:4318 or [::1]:4318")
        return cls(host=host.removeprefix("[").removesuffix("]") or "127.0.0.1", port=int(port))

    @property
    def is_loopback(self) -> bool:
        """True if nobody but this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def listen(self, option: str) -> socket.socket:
        """Give a socket that listens here. Raises `SettingsError`."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=256)
        except OSError as error:
            raise SettingsError(
                f"{option} {self} cannot be listened on ({error.strerror}): name a free port and an address of this machine"
            ) from error
