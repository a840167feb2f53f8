"""What a round that failed leaves in memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

from otel_llmcost.journal import Segment
from otel_llmcost.ledger import connect, migrations
from otel_llmcost.shipper import ship_once
from tests.clickhouse_double import MEMORY_LIMIT, ClickHouseDouble, Fault


def is_insert(each: object) -> bool:
    """
    Tell whether this is what was sent.
    """
    return isinstance(each, bytes) and each.startswith(b"INSERT INTO llm_requests FORMAT JSONEachRow\n{")


def test_a_failed_round_keeps_no_rows(folder: Path, seal: Callable[..., None]) -> None:
    """
    Whatever an insert fails with, its rows are given free at once: an application that collects garbage rarely, or
    never, must not fill its memory while its server is away.
    """
    seal(range(10))
    with ClickHouseDouble() as server, connect(server.dsn()) as ledger:
        migrations.apply(ledger)
        gc.collect()
        gc.disable()
        try:
            for action, value in (("reset", ""), ("status", "503"), ("exception", MEMORY_LIMIT), ("html", "")):
                server.inject(Fault("before", action, match="INSERT INTO", times=9, value=value))
                shipped = ship_once(ledger, folder, fingerprint="test")
                assert shipped.left == 1
                assert shipped.stopped is not None
                alive = gc.get_objects()
                assert not [each for each in alive if isinstance(each, Segment)]
                assert not [each for each in alive if any(map(is_insert, gc.get_referents(each)))]
        finally:
            gc.enable()
