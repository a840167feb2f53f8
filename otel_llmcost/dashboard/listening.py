"""Where the dashboard listens: a thread of the process that owns the ledger, or of one that asks a server."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass, replace
from typing import Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from otel_llmcost.dashboard.access import Access
from otel_llmcost.dashboard.app import application
from otel_llmcost.dashboard.page import House
from otel_llmcost.errors import SettingsError
from otel_llmcost.http.address import Address

__all__ = ["Dashboard", "Wish"]

_CONNECTIONS: Final = 256
_HEAD_SECONDS: Final = 10.0
"""Browsers open connections before they need them; one that asks for nothing is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Where to listen. `is_default`: nobody named it, so that any free port will do instead."""

    address: Address
    is_default: bool = False


class Dashboard:
    """
    Shows pages from its construction to `close`.

    Raises `SettingsError`: the address cannot be had, or strangers could look.
    """

    def __init__(self, house: House, access: Access, wish: Wish) -> None:
        access.check_address(str(wish.address), is_loopback=wish.address.is_loopback)
        self._socket = _listen(wish)
        self.address = replace(wish.address, port=self._socket.getsockname()[1])
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(house, access),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                http=_Connection,
                server_header=False,
                date_header=False,
                limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="otel-llmcost-dashboard", daemon=True
        )
        self._thread.start()

    def __str__(self) -> str:
        return f"shows http://{self.address}/"

    def close(self, seconds: float = 0.3) -> None:
        """Finish the pages in hand, for so long."""
        self._server.should_exit = True
        self._thread.join(seconds)
        self._server.force_exit = True
        self._socket.close()


class _Connection(H11Protocol):
    """A connection that is closed unless it asks for something soon; after an answer uvicorn itself sees to that."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(_HEAD_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        asked: object = self.cycle  # None, whatever its type says, until a first request has come
        if asked is None and not self.transport.is_closing():
            self.transport.close()


def _listen(wish: Wish) -> socket.socket:
    try:
        return wish.address.listen("--dashboard")
    except SettingsError:
        if not wish.is_default:
            raise
        return replace(wish.address, port=0).listen("--dashboard")
