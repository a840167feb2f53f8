"""
What the database has of our tables: where rows go, and whether every table behind an insert remembers it.

A table that forgets counts a repeated insert twice: after a lost answer, after kill -9, after a restart of the server. So
nothing is inserted while one does. Limits: tables that the user may not see are not judged, nor are other people's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_llmcost.errors import SchemaError
from otel_llmcost.ledger.rendering import LOCAL, WINDOW_SECONDS, windowed

__all__ = ["MIN_WINDOW", "MIN_WINDOW_SECONDS", "StoredTable", "Tables", "read_tables", "tables_to_ask_for"]

MIN_WINDOW: Final = 10_000
"""Inserts. A table remembers blocks, one for each month that an insert touches."""
MIN_WINDOW_SECONDS: Final = 3600
"""Twice the time after which a shipper looks for the rows themselves before it sends them again."""
_DEFAULT: Final = 100_000
_REPLICATED: Final = ("Replicated", "Shared")
"""Engines that remember by time too; Shared is what ClickHouse Cloud makes of every table."""


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table that has rows, not one that only reads others'."""

    name: str
    is_replicated: bool
    window: int
    """How many inserts it remembers."""
    window_seconds: int
    """And for how long; 0 if time makes no difference to it."""

    @property
    def is_forgetful(self) -> bool:
        """Whether a repeated insert may count twice in it."""
        return self.window < MIN_WINDOW or (self.is_replicated and self.window_seconds < MIN_WINDOW_SECONDS)

    @property
    def remedy(self) -> str:
        """The statement that makes it remember."""
        settings = (
            f"replicated_deduplication_window = {_DEFAULT}, replicated_deduplication_window_seconds = {WINDOW_SECONDS}"
            if self.is_replicated
            else f"non_replicated_deduplication_window = {_DEFAULT}"
        )
        return f"ALTER TABLE {self.name} MODIFY SETTING {settings}"

    def __str__(self) -> str:
        time = f" for {self.window_seconds} s" if self.is_replicated else ""
        return f"{self.name} remembers {self.window} inserts{time}"


@dataclass(frozen=True, slots=True)
class Tables:
    """The ledger's tables as they are."""

    stored: tuple[StoredTable, ...]
    distributed: frozenset[str]
    """Those that read the tables of all shards: only a cluster has some."""

    @property
    def is_cluster(self) -> bool:
        """Whether the ledger was made for a cluster."""
        return bool(self.distributed)

    @property
    def forgetful(self) -> tuple[StoredTable, ...]:
        """Those in which a repeated insert may count twice."""
        return tuple(table for table in self.stored if table.is_forgetful)

    def target(self, table: str) -> str:
        """Give the table that takes the rows: on a cluster this shard's own, where a repeated insert is recognised."""
        return f"{table}{LOCAL}" if table in self.distributed else table

    def check(self) -> None:
        """Raise `SchemaError` if a table forgets inserts."""
        if forgetful := self.forgetful:
            more = f" ({len(forgetful) - 1} more tables forget too)" if len(forgetful) > 1 else ""
            raise SchemaError(
                f"{forgetful[0]}, and a repeated insert could count twice: nothing is sent until it remembers "
                f"{MIN_WINDOW} or more. Run {forgetful[0].remedy}{more}"
            )


def tables_to_ask_for() -> list[str]:
    """Give the names for the query `tables_that_remember`."""
    return sorted({*windowed(), *(f"{name}{LOCAL}" for name in windowed())})


def read_tables(rows: Sequence[Mapping[str, object]]) -> Tables:
    """Read the answer of the query `tables_that_remember`."""
    return Tables(
        stored=tuple(_stored_tables(rows)),
        distributed=frozenset(str(row["name"]) for row in rows if row["engine"] == "Distributed"),
    )


def _stored_tables(rows: Iterable[Mapping[str, object]]) -> Iterable[StoredTable]:
    for row in rows:
        engine, said = str(row["engine"]), str(row["engine_full"])
        if "MergeTree" not in engine:
            continue
        if engine.startswith(_REPLICATED):
            window = _number(said, "replicated_deduplication_window", row["default_replicated_window"])
            seconds = _number(said, "replicated_deduplication_window_seconds", row["default_window_seconds"])
            yield StoredTable(str(row["name"]), True, window, seconds)
        else:
            window = _number(said, "non_replicated_deduplication_window", row["default_window"])
            yield StoredTable(str(row["name"]), False, window, 0)


def _number(engine_full: str, setting: str, otherwise: object) -> int:
    found = re.search(rf"\b{setting} = (\d+)", engine_full)
    return int(found[1] if found else str(otherwise))
