"""
One open ledger: insert a segment exactly once, and run the named queries.

Inserts move bytes: the payload is lines of JSON as the journal wrote them, and no row is touched on the way.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from otel_llmcost.errors import LedgerError, LedgerRefused, LLMCostError, SchemaError
from otel_llmcost.ledger.calls import Call
from otel_llmcost.ledger.dsn import Dsn, parse_dsn
from otel_llmcost.ledger.embedded import OwnerLock, open_engine
from otel_llmcost.ledger.rendering import read_sql
from otel_llmcost.ledger.server import CALL_SECONDS, open_server
from otel_llmcost.ledger.tables import Tables, read_tables, tables_to_ask_for

if TYPE_CHECKING:
    from clickhouse_connect.driver import Client

__all__ = ["TABLES", "Ledger", "connect", "read_sql"]

TABLES: Final = ("llm_requests", "llm_adjustments", "llm_rates", "llm_outcomes")
"""The tables that take rows; rollups fill themselves."""
ROLLED_UP: Final = ("llm_requests", "llm_adjustments")
"""Those of them that rollups are made of."""

INSERT_SETTINGS: Final = {
    # Exactly once: one token, remembered by the table and by every rollup behind it. Defaults differ by version
    # (async_insert became 1 and the view setting 0 -> 1 in 26.2), so each is said.
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "async_insert": 0,
    "materialized_views_ignore_errors": 0,
    "wait_end_of_query": 1,
    # One block, whatever the user's profile says: a segment is stored whole or not at all.
    "max_insert_block_size": 1_048_449,
    "min_insert_block_size_rows": 1_048_449,
    "min_insert_block_size_bytes": 0,
    # A column that the table lacks is an error, never a silent loss; a column that the row lacks takes its default.
    "input_format_skip_unknown_fields": 0,
    "input_format_defaults_for_omitted_fields": 1,
    "input_format_allow_errors_num": 0,
    "input_format_allow_errors_ratio": 0,
    "input_format_parallel_parsing": 0,
    # One thread: 12 % less CPU per row than the default, and an embedded ledger leaves the machine to the application.
    "max_threads": 1,
    "date_time_input_format": "basic",
}
CLUSTER_INSERT_SETTINGS: Final = {
    # Stored on most replicas of the shard before the journal forgets it; 8 s, so that the server is the first to give up.
    "insert_quorum": "auto",
    "insert_quorum_timeout": 8_000,
}
CLUSTER_DDL_SETTINGS: Final = {
    # The server is the first to give up, and names the nodes that it waits for; they go on, and `apply` may be repeated.
    "distributed_ddl_task_timeout": 8,
    "distributed_ddl_output_mode": "throw",
}
_QUERY_SETTINGS: Final = {
    "session_timezone": "UTC",
    # On a cluster: a query in a query asks all shards too, and one that does not answer is an error, never a smaller sum.
    "distributed_product_mode": "global",
    "skip_unavailable_shards": 0,
}
_SLOWEST_BYTES_PER_SECOND: Final = 250_000
"""The slowest line, 2 Mbit/s, over which a large segment is let through."""
_LONGEST_SECONDS: Final = 3600.0
"""For what someone waits for: a report of years, a rollup that is made again."""

Parameters = Mapping[str, object]


class Ledger:
    """An open ledger. Use `connect` to make one, and `with` or `close` to end it; threads may share it."""

    def __init__(self, dsn: Dsn, client: Client, lock: OwnerLock | None) -> None:
        self.dsn = dsn
        self._client = client
        self._client.database = dsn.database  # only now: it need not exist yet
        self._lock = lock
        self._process = os.getpid()
        self._tables: Tables | None = None

    def insert(self, table: str, payload: bytes, *, token: str) -> None:
        """
        Store lines of JSON (one object a row) in one of `TABLES`; the same token stores once, whatever is repeated.

        Raises `LedgerUnavailable` (retry with the same token), `LedgerRefused` (a retry will not help) or `SchemaError`
        (a table or column is missing, or a table forgets inserts). Returns only when the database itself has said that the
        rows are stored.
        """
        if table not in TABLES:
            raise SchemaError(f"{table!r} takes no rows; tables are {', '.join(TABLES)}")
        tables = self._checked_tables()
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": token}
        if tables.is_cluster:
            settings |= CLUSTER_INSERT_SETTINGS
        with self._call(f"insert into {table}", CALL_SECONDS + len(payload) / _SLOWEST_BYTES_PER_SECOND):
            self._client.raw_insert(tables.target(table), insert_block=payload, settings=settings, fmt="JSONEachRow")

    def query(self, name: str, parameters: Parameters | None = None) -> list[dict[str, object]]:
        """
        Run `sql/queries/<name>.sql`; give its rows as dicts, with `Decimal` costs and aware UTC datetimes.

        Raises `LedgerUnavailable`, `LedgerRefused` or `SchemaError`.
        """
        return self._rows(name, parameters or {}, _LONGEST_SECONDS)

    def _rows(self, name: str, parameters: Parameters, seconds: float) -> list[dict[str, object]]:
        with self._call(f"run the query {name}", seconds):
            sql, bound = read_sql("queries", name), dict(parameters)
            result = self._client.query(sql, parameters=bound, settings=dict(_QUERY_SETTINGS))
        columns = result.column_names
        return [dict(zip(columns, map(_in_utc, row), strict=True)) for row in result.result_rows]

    def command(self, sql: str, parameters: Parameters | None = None, *, what: str, database: bool = True) -> object:
        """Run one statement that defines something or gives one value; `database=False`: it may not exist yet."""
        settings = CLUSTER_DDL_SETTINGS if " ON CLUSTER " in sql else {}
        with self._call(what, _LONGEST_SECONDS):
            return self._client.command(
                sql, parameters=dict(parameters or {}), settings=dict(settings), use_database=database
            )

    def has_batch(self, table: str, batch_id: str, month: str = "") -> bool:
        """Tell whether `table` holds rows that were first written to the journal segment `batch_id`; of a month, if given."""
        if table not in TABLES:
            raise SchemaError(f"{table!r} takes no rows; tables are {', '.join(TABLES)}")
        batch = {"table": table, "batch_id": batch_id}
        if month:
            return bool(self._rows("batch_exists_in_month", {**batch, "month": month}, CALL_SECONDS))
        return bool(self._rows("batch_exists", batch, CALL_SECONDS))

    def mark_for_repair(self, table: str, month: str, batch_id: str, reason: str) -> None:
        """
        Say in `llmcost_repairs` that the rollups of a month (`YYYYMM`) may lack a batch which one of `ROLLED_UP` has.

        Raises `LedgerUnavailable`, `LedgerRefused` or `SchemaError`.
        """
        mark = {"table": table, "month": month, "batch_id": batch_id, "reason": reason}
        self.command(read_sql("queries", "mark_for_repair"), mark, what="mark a batch for repair")

    def look_at_tables(self) -> Tables:
        """Ask what the database has of our tables. Raises `LedgerError`."""
        return read_tables(self._rows("tables_that_remember", {"tables": tables_to_ask_for()}, CALL_SECONDS))

    def refuse_on_cluster(self, what: str) -> None:
        """Raise `LedgerRefused` on a cluster, for what works on the tables of one server alone."""
        if self.look_at_tables().is_cluster:
            raise LedgerRefused(
                f"could not {what}: {self.dsn} is a cluster's ledger, and this works on one server's tables alone. "
                "docs/cluster.md says what to do instead"
            )

    def _checked_tables(self) -> Tables:
        """Look once for each connection, and again after a refusal: someone may have mended it."""
        if self._tables is None:
            tables = self.look_at_tables()
            tables.check()
            if not tables.stored:  # not there yet: the insert says so
                return tables
            self._tables = tables
        return self._tables

    def close(self) -> None:
        """Close the connection, and give an embedded ledger free for its next owner."""
        if self._process == os.getpid():
            self._client.close()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ledger({str(self.dsn)!r})"

    def _call(self, what: str, seconds: float) -> Call:
        if self._process != os.getpid():
            raise LedgerError(
                f"could not {what}: this ledger was opened before a fork, by process {self._process}; connect again"
            )
        return Call(what, seconds)


def connect(dsn: Dsn | str) -> Ledger:
    """
    Open the ledger that a DSN names; tables are `migrations.apply`'s affair.

    Raises `SettingsError` (the DSN), `LedgerBusy` (an embedded ledger that another process owns), `MissingExtra`,
    `LedgerUnavailable` or `LedgerRefused`.
    """
    dsn = parse_dsn(dsn) if isinstance(dsn, str) else dsn
    return Ledger(dsn, open_server(dsn), None) if dsn.kind == "http" else _connect_embedded(dsn)


def _connect_embedded(dsn: Dsn) -> Ledger:
    lock = OwnerLock(dsn.path) if dsn.path is not None else None
    try:
        return Ledger(dsn, open_engine(dsn.path), lock)
    except LLMCostError:
        if lock is not None:
            lock.release()
        raise


def _in_utc(value: object) -> object:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
