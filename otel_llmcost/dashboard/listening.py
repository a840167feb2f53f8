"""Where the dashboard listens: a thread of the process that owns the ledger, or of one that asks a server."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, replace

import uvicorn

from otel_llmcost.dashboard.access import Access
from otel_llmcost.dashboard.app import application
from otel_llmcost.dashboard.page import House
from otel_llmcost.errors import SettingsError
from otel_llmcost.http.address import Address

__all__ = ["Dashboard", "Wish"]


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
                http="h11",
                server_header=False,
                date_header=False,
                limit_concurrency=64,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="otel-llmcost-dashboard", daemon=True
        )
        self._thread.start()

    def __str__(self) -> str:
        return f"shows http://{self.address}/"

    def close(self, seconds: float = 1.0) -> None:
        """Finish the pages in hand, for so long."""
        self._server.should_exit = True
        self._thread.join(seconds)
        self._server.force_exit = True
        self._socket.close()


def _listen(wish: Wish) -> socket.socket:
    try:
        return wish.address.listen("--dashboard")
    except SettingsError:
        if not wish.is_default:
            raise
        return replace(wish.address, port=0).listen("--dashboard")
