"""
The schema, file by file, forward only: `sql/schema/NNN_name.sql`, one statement each.

Every statement is `IF NOT EXISTS`, so that an interrupted or doubled run is finished by the next one; a file whose
text changed after it was applied is refused, because what the database has would no longer be what the file says. The
same files make the tables of a cluster (`rendering`), where one record of them is kept for all nodes. A ledger that was
made for one of the two is never continued as the other: its tables themselves say what they were made for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from string import Template
from typing import Final, Literal, cast

from otel_llmcost.errors import SchemaError
from otel_llmcost.ledger.connection import Ledger
from otel_llmcost.ledger.rendering import file_names, read_sql, render

__all__ = ["Migration", "apply", "script", "states", "status"]

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
    known = [_state(name, applied) for name in file_names()]
    unknown = [
        Migration(name, "unknown", cast("datetime", row["applied_at"]))
        for name, row in applied.items()
        if name not in file_names()
    ]
    return sorted(known + unknown, key=lambda migration: migration.name)


def apply(ledger: Ledger, cluster: str = "") -> list[str]:
    """
    Apply what is pending, in order, on one server or on all of a cluster; give the names applied now.

    Raises `SchemaError` when a file was edited after it was applied, or when the ledger was made for a cluster and none is
    named, or the reverse; then nothing is changed.
    """
    _create_database(ledger, cluster)
    _refuse_the_other_kind(ledger, cluster)
    migrations = status(ledger)
    if edited := [migration.name for migration in migrations if migration.state == "edited"]:
        more = f" and {len(edited) - 1} more" if len(edited) > 1 else ""
        raise SchemaError(
            f"{edited[0]}{more} changed after it was applied to {ledger.dsn}: use the version of otel-llmcost that "
            "applied it, or write a new file instead of editing one"
        )
    pending = [migration.name for migration in migrations if migration.state == "pending"]
    for name in pending:
        for statement in render(name, database=ledger.dsn.database, cluster=cluster):
            ledger.command(statement, what=f"apply {name}")
        record = {"name": name, "sha256": _sha256(name)}
        ledger.command(read_sql("queries", "record_migration"), record, what=f"record {name}")
    return pending


def script(database: str, cluster: str = "") -> Iterator[str]:
    """Give every statement that `apply` runs on an empty server, for people who run them by hand."""
    yield database_statement(database, cluster)
    yield f"USE {database}"
    for name in file_names():
        yield from render(name, database=database, cluster=cluster)
        yield f"INSERT INTO {_RECORDS} (name, sha256) VALUES ('{name}', '{_sha256(name)}')"  # noqa: S608  # names of ours


def database_statement(database: str, cluster: str) -> str:
    """Give the statement that makes the database."""
    on_cluster = f" ON CLUSTER '{cluster}'" if cluster else ""
    return Template(read_sql("queries", "create_database")).substitute(database=database, on_cluster=on_cluster)


def _create_database(ledger: Ledger, cluster: str) -> None:
    """Create the database only where it is missing: a user without that right may still use one that is there."""
    if not _exists(ledger, "database_exists"):
        sql = database_statement(ledger.dsn.database, cluster)
        ledger.command(sql, what="create the database", database=False)


def _refuse_the_other_kind(ledger: Ledger, cluster: str) -> None:
    """Tell by the engine of the first table that there is: it cannot disagree with the tables, as a note of ours could."""
    if not _exists(ledger, "table_exists", table=_RECORDS):
        return
    is_cluster = _exists(ledger, "made_for_cluster")
    if is_cluster and not cluster:
        raise SchemaError(
            f"{ledger.dsn} was made for a cluster: name it with --cluster or OTEL_LLMCOST_CLUSTER, so that every node is "
            "changed and not this one alone"
        )
    if cluster and not is_cluster:
        raise SchemaError(
            f"{ledger.dsn} was made for one server, and its tables cannot become those of cluster {cluster!r}: leave "
            "--cluster and OTEL_LLMCOST_CLUSTER out, or name an empty database in the DSN"
        )


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


def _sha256(name: str) -> str:
    return hashlib.sha256(read_sql("schema", name).encode()).hexdigest()
