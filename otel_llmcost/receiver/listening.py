"""
Where the receiver listens, and who may send: an address of this machine, or any with a token.

Limits: plain HTTP, so a token is safe only on a network that is; put a TLS proxy, a mesh or a Collector before it else.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Final

import uvicorn

from otel_llmcost.exporter import ClickHouseSpanExporter
from otel_llmcost.http.address import Address
from otel_llmcost.http.tokens import Tokens
from otel_llmcost.journal import backlog
from otel_llmcost.pricing import Pricer
from otel_llmcost.receiver.intake import Intake
from otel_llmcost.receiver.known import KnownSpans
from otel_llmcost.receiver.service import Service
from otel_llmcost.settings import Settings

__all__ = ["Receiver"]

_CONNECTIONS: Final = 512
_PRICES_SECONDS: Final = 60.0


class Receiver:
    """
    Takes spans from its construction to `close`, and journals them for the ledger of `settings`; who ships is another.

    Args:
        settings: those of the process that ships; prices, owners and the journal follow them.
        address: where to listen; port 0 for a free one.
        tokens: what senders must show; None for nothing.

    Raises `SettingsError`: the address cannot be had, or a setting is wrong.
    """

    def __init__(self, settings: Settings, address: Address, tokens: Tokens | None) -> None:
        self._socket = address.listen("--otlp")
        try:
            pricer = Pricer.from_settings(settings)
            self._exporter = ClickHouseSpanExporter(settings=replace(settings, ship=False), pricer=pricer)
            self._known = KnownSpans(self._exporter.journal_dir)
            pricer.wait(_PRICES_SECONDS)
        except BaseException:
            self._socket.close()
            raise
        self.address = replace(address, port=self._socket.getsockname()[1])
        self._intake = Intake(self._exporter, self._known)
        self._service = Service(self._intake, tokens, self._waiting)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._service.app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                http="h11",
                server_header=False,
                limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="otel-llmcost-otlp", daemon=True
        )
        self._thread.start()

    def __str__(self) -> str:
        return f"receives OTLP on http://{self.address}/v1/traces"

    def close(self, seconds: float = 1.0) -> None:
        """Answer what is in hand, take nothing more, and seal the journal."""
        deadline = time.monotonic() + seconds
        self._intake.stop()
        self._server.should_exit = True
        self._thread.join(seconds)
        self._server.force_exit = True
        self._service.close()
        self._socket.close()
        self._exporter.force_flush(int(1000 * max(0.1, deadline - time.monotonic())))
        self._exporter.shutdown()
        self._known.close()

    def _waiting(self) -> dict[str, object]:
        found = backlog(self._exporter.journal_dir)
        return {
            "segments": found.segments,
            "bytes": found.bytes,
            "oldest_seconds": round(found.oldest_seconds, 1),
            "quarantined": found.quarantined,
            "rows_in_memory": self._exporter.rows_in_memory,
        }
