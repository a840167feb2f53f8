"""A ClickHouse server, over HTTP: TLS as the scheme says, short timeouts, no redirects, no proxies by accident."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from otel_llmcost.errors import LedgerRefused
from otel_llmcost.ledger.calls import Call
from otel_llmcost.ledger.dsn import Dsn

if TYPE_CHECKING:
    from clickhouse_connect.driver import Client

__all__ = ["open_server"]

CONNECT_SECONDS = 3
ANSWER_SECONDS = 10
"""A server that hangs holds the shipper this long; the client's own default is 300 s."""
CALL_SECONDS = 60
"""A server that answers a byte now and then holds the shipper this long."""
OLDEST = (24, 8)
"""Before 24.7 a view did not hand the insert's token on, so that a repeated insert counted twice in rollups:
https://github.com/ClickHouse/ClickHouse/pull/61601; 24.8 is the first long-term release with it."""


def open_server(dsn: Dsn) -> Client:
    """Connect. Raises `LedgerUnavailable` (no answer) or `LedgerRefused` (password, version)."""
    from clickhouse_connect import common, get_client

    from otel_llmcost.ledger.transport import connections

    common.set_setting("send_os_user", False)
    logging.getLogger("clickhouse_connect.driver._backend.http_sync").addFilter(_is_news)
    with Call(f"connect to {dsn}", CALL_SECONDS):
        client = get_client(
            interface="https" if dsn.secure else "http",
            host=dsn.host,
            port=dsn.port,
            username=dsn.username,
            password=dsn.password,
            client_name="otel-llmcost",
            pool_mgr=connections(dsn.options),
            connect_timeout=CONNECT_SECONDS,
            send_receive_timeout=ANSWER_SECONDS,
            autogenerate_session_id=False,
            autogenerate_query_id=True,
            show_clickhouse_errors="scrub",
            tz_mode="aware",
        )
    version = client.server_version or "0.0"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        client.close()
        raise LedgerRefused(f"{dsn} is ClickHouse {version}: exact rollups need 24.8 or newer")
    return client


def _is_news(record: logging.LogRecord) -> bool:
    """Drop the client's page of stack per lost connection: it raises the same fact, and we say it in one line."""
    return record.getMessage() != "Unexpected Http Driver Exception"
