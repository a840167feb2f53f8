"""
The schema's files as the statements of one server or of a cluster: the same files, in one small and total function.

For one server a file is its statement, byte for byte. For a cluster:

* a table of rows or of a rollup becomes `<name>_local`, replicated within each shard, and a Distributed table `<name>`
  over all of them, which views and reports read. It has no sharding key, so that the server refuses rows for it: shippers
  write into their own shard's `_local` table, where a repeated insert is recognised;
* a materialised view reads and fills `_local` tables: each shard adds up what it was sent;
* what is the same everywhere (`SHARED`) is one table with a replica on every node, under its plain name.

A file of any other shape raises `SchemaError`, and a test renders them all.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

from otel_llmcost.errors import SchemaError

__all__ = ["LOCAL", "WINDOW_SECONDS", "file_names", "read_sql", "render", "windowed"]

LOCAL: Final = "_local"
SHARED: Final = frozenset({"llmcost_migrations", "llmcost_repairs", "llm_rates"})
"""Few rows, asked for by every report: one copy on each node, no shards."""
WINDOW_SECONDS: Final = 7 * 86_400
"""So long does a replicated table remember an insert: the longest time that a ledger may be away while a shipper has an
insert whose answer it did not hear. Rows that were never sent may wait for ever."""

_COMMENT: Final = re.compile(r"(--[^\n]*\n)*")
_TABLE: Final = re.compile(
    r"CREATE TABLE IF NOT EXISTS (\w+)( AS (\w+))?(.*\n)ENGINE = (\w*MergeTree)(\((.*)\))?\n(.*)", re.S
)
_VIEW: Final = re.compile(r"CREATE VIEW IF NOT EXISTS (\w+) AS\n(.*)", re.S)
_ROLLUP_VIEW: Final = re.compile(
    r"CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) TO (\w+) AS\n(.*\nFROM )(\w+)( AS r\b(?:(?!\bFROM\b|\bJOIN\b).)*)",
    re.S,
)
_ALTER: Final = re.compile(r"ALTER TABLE (\w+)(\n.*)", re.S)


@cache
def file_names(folder: str = "schema") -> tuple[str, ...]:
    """Give the files of a folder of SQL, in order."""
    listed = files("otel_llmcost.ledger").joinpath("sql", folder).iterdir()
    return tuple(sorted(file.name.removesuffix(".sql") for file in listed if file.name.endswith(".sql")))


@cache
def read_sql(folder: str, name: str) -> str:
    """Read one statement of ours: `folder` is `schema`, `queries` or `access`."""
    return files("otel_llmcost.ledger").joinpath("sql", folder, f"{name}.sql").read_text("utf-8")


@cache
def windowed() -> frozenset[str]:
    """Give the tables that must remember inserts: those whose files say how many."""
    texts = [read_sql("schema", name) for name in file_names()]
    return frozenset(found[1] for text in texts if "_window = " in text and (found := _TABLE.search(text)))


def render(name: str, *, database: str, cluster: str = "") -> tuple[str, ...]:
    """Give the statements of one file of the schema. Raises `SchemaError` if it has no form for a cluster."""
    text = read_sql("schema", name)
    return _for_cluster(name, text, database, cluster) if cluster else (text,)


def _for_cluster(name: str, text: str, database: str, cluster: str) -> tuple[str, ...]:
    start = _COMMENT.match(text)
    comment = start[0] if start else ""
    statement = text[len(comment) :]
    on = f"ON CLUSTER '{cluster}'"
    if found := _TABLE.fullmatch(statement):
        return _tables(found, comment, database, cluster)
    if found := _ROLLUP_VIEW.fullmatch(statement):
        view, target, select, source, rest = found.groups()
        head = f"{comment}CREATE MATERIALIZED VIEW IF NOT EXISTS {view} {on} TO {target}{LOCAL} AS\n"
        return (f"{head}{select}{source}{LOCAL}{rest}",)
    if found := _VIEW.fullmatch(statement):
        return (f"{comment}CREATE VIEW IF NOT EXISTS {found[1]} {on} AS\n{found[2]}",)
    if found := _ALTER.fullmatch(statement):
        each = (found[1],) if found[1] in SHARED else (f"{found[1]}{LOCAL}", found[1])
        return tuple(f"{comment}ALTER TABLE {table} {on}{found[2]}" for table in each)
    raise SchemaError(f"{name} has no form for a cluster: it is neither a table, nor a view, nor an ALTER TABLE")


def _tables(found: re.Match[str], comment: str, database: str, cluster: str) -> tuple[str, ...]:
    table, _, source, columns, engine, _, arguments, rest = found.groups()
    is_shared = table in SHARED
    stored = table if is_shared else f"{table}{LOCAL}"
    path = f"/clickhouse/tables/{'all' if is_shared else '{shard}'}/{database}/{stored}"
    replica = "{shard}-{replica}" if is_shared else "{replica}"
    like = f" AS {source}{LOCAL}" if source else ""
    windows = f"replicated_deduplication_window = \\1, replicated_deduplication_window_seconds = {WINDOW_SECONDS}"
    create = (
        f"{comment}CREATE TABLE IF NOT EXISTS {stored} ON CLUSTER '{cluster}'{like}{columns}"
        f"ENGINE = Replicated{engine}('{path}', '{replica}'{f', {arguments}' if arguments else ''})\n"
        + re.sub(r"\bnon_replicated_deduplication_window = (\d+)", windows, rest)
    )
    over_all = (
        f"-- {table} of all shards, to read from.\n"
        f"CREATE TABLE IF NOT EXISTS {table} ON CLUSTER '{cluster}' AS {stored}\n"
        f"ENGINE = Distributed('{cluster}', '{database}', '{stored}')\n"
    )
    return (create,) if is_shared else (create, over_all)
