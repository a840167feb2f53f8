"""
The schema, file by file, forward only: `sql/schema/NNN_name.sql`, one statement each.

Every statement is `IF NOT EXISTS`, so that an interrupted or doubled run is finished by the next one; a file whose
text changed after it was applied is refused, because what the database has would no longer be what the file says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Final, Literal, cast

from otel_llmcost.errors import SchemaError
from otel_llmcost.ledger.connection import Ledger, read_sql

__all__ = ["Migration", "apply", "states", "status"]

_RECORDS: Final = "llmcost_migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of the schema and where it stands in this database."""

    name: str
    state: Literal["applied", "pending", "edited", "unknown"]
    """`unknown`: applied by a newer version of this package."""
    applied_at: datetime | None = None


def status(ledger: Ledger) -> list[Migration]:
    """List every file of the schema, and every applied one that this version does not have; by name."""
    return states(_applied(ledger).values())


def states(records: Iterable[Mapping[str, object]]) -> list[Migration]:
    """Tell the same from the rows of the query `migrations_applied`, for whoever can only ask."""
    applied = {str(row["name"]): row for row in records}
    known = [_state(name, applied) for name in _names()]
    unknown = [
        Migration(name, "unknown", cast("datetime", row["applied_at"]))
        for name, row in applied.items()
        if name not in _names()
    ]
    return sorted(known + unknown, key=lambda migration: migration.name)


def apply(ledger: Ledger) -> list[str]:
    """
    Apply what is pending, in order; give the names applied now.

    Raises `SchemaError` when a file was edited after it was applied; then nothing is changed.
    """
    _create_database(ledger)
    migrations = status(ledger)
    if edited := [migration.name for migration in migrations if migration.state == "edited"]:
        more = f" and {len(edited) - 1} more" if len(edited) > 1 else ""
        raise SchemaError(
            f"{edited[0]}{more} changed after it was applied to {ledger.dsn}: use the version of otel-llmcost that "
            "applied it, or write a new file instead of editing one"
        )
    pending = [migration.name for migration in migrations if migration.state == "pending"]
    for name in pending:
        ledger.command(read_sql("schema", name), what=f"apply {name}")
        record = {"name": name, "sha256": _sha256(name)}
        ledger.command(read_sql("queries", "record_migration"), record, what=f"record {name}")
    return pending


def _create_database(ledger: Ledger) -> None:
    """Create the database only where it is missing: a user without that right may still use one that is there."""
    if not _exists(ledger, "database_exists"):
        database = {"database": ledger.dsn.database}
        ledger.command(read_sql("queries", "create_database"), database, what="create the database", database=False)


def _applied(ledger: Ledger) -> dict[str, dict[str, object]]:
    there = _exists(ledger, "table_exists", table=_RECORDS)
    return {str(row["name"]): row for row in ledger.query("migrations_applied")} if there else {}


def _exists(ledger: Ledger, query: str, **parameters: str) -> bool:
    names = {"database": ledger.dsn.database, **parameters}
    return bool(ledger.command(read_sql("queries", query), names, what="look for the tables", database=False))


def _state(name: str, applied: Mapping[str, Mapping[str, object]]) -> Migration:
    if name not in applied:
        return Migration(name, "pending")
    state: Literal["applied", "edited"] = "applied" if applied[name]["sha256"] == _sha256(name) else "edited"
    return Migration(name, state, cast("datetime", applied[name]["applied_at"]))


@cache
def _names() -> tuple[str, ...]:
    folder = files("otel_llmcost.ledger").joinpath("sql", "schema")
    return tuple(sorted(file.name.removesuffix(".sql") for file in folder.iterdir() if file.name.endswith(".sql")))


def _sha256(name: str) -> str:
    return hashlib.sha256(read_sql("schema", name).encode()).hexdigest()
