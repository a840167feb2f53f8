"""
The way into a ledger through a table of traces: what the OpenTelemetry Collector's ClickHouse exporter writes.

A view turns each span that carries a price of ours, and that no journal accounts for, into its row of `llm_requests`; the
rollups follow by their own views. A second one keeps the content of rates. Attributes may be a Map or JSON. Limits: the
exporter sends what it is not sure of again, and without a token, so that this way is at least once: `verify` counts the
copies, and `repair` takes them back. A backfill that reads while the same spans arrive may add a copy, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from string import Template
from typing import Final, Literal, TypeAlias, cast

from otel_llmcost.errors import LedgerRefused, SchemaError, SettingsError
from otel_llmcost.ledger.connection import Ledger
from otel_llmcost.ledger.rendering import LOCAL, read_sql

__all__ = [
    "Attributes",
    "BackfilledMonth",
    "TracesTable",
    "apply_views",
    "attributes_of",
    "backfill",
    "view_statements",
]

Attributes: TypeAlias = Literal["map", "json"]
_NEEDED: Final = frozenset(
    {
        "Timestamp",
        "TraceId",
        "SpanId",
        "ParentSpanId",
        "ServiceName",
        "ScopeName",
        "StatusCode",
        "Duration",
        "SpanAttributes",
    }
)
_FIRST_DAY: Final = date(2000, 1, 1)
_LAST_DAY: Final = date(2099, 12, 31)
"""Rows lie between them, whatever their spans say."""


@dataclass(frozen=True, slots=True)
class TracesTable:
    """A table of traces, on the ledger's server."""

    database: str
    table: str

    @classmethod
    def parse(cls, text: str) -> TracesTable:
        """Read `DATABASE.TABLE`. Raises `SettingsError`."""
        if not (found := re.fullmatch(r"([A-Za-z_]\w*)\.([A-Za-z_]\w*)", text, re.ASCII)):
            raise SettingsError(f"{text!r} is no table of traces: name it with its database, as in otel.otel_traces")
        return cls(found[1], found[2])

    def __str__(self) -> str:
        return f"{self.database}.{self.table}"

    def view(self, target: str) -> str:
        """Name the view that fills one of our tables from this one."""
        return f"{target}_from_{self.database}__{self.table}"

    def requests(self, attributes: Attributes, day: date | None = None) -> str:
        """Give the SELECT of the rows that its spans make, of all days or of one."""
        return _sql("requests", spans=self.spans(attributes, day), batch=f"otel_traces:{self}")

    def spans(self, attributes: Attributes, day: date | None = None) -> str:
        """Give the SELECT of what its priced spans say."""
        period = ""
        if day is not None:
            since, until = (f"toDateTime64('{each} 00:00:00', 9, 'UTC')" for each in (day, day + timedelta(days=1)))
            period = f"\n  AND t.Timestamp >= {since} AND t.Timestamp < {until}"
        return _sql(f"spans_of_{attributes}", source=self._quoted, period=period)

    def rates(self, attributes: Attributes) -> str:
        """Give the SELECT of the rates that its spans tell."""
        return _sql(f"rates_of_{attributes}", source=self._quoted)

    @property
    def _quoted(self) -> str:
        return f"`{self.database}`.`{self.table}`"


@dataclass(frozen=True, slots=True)
class BackfilledMonth:
    """What a backfill did to a month, written `202611`."""

    month: str
    added: int


def view_statements(
    source: TracesTable, attributes: Attributes, cluster: str = "", *, replace: bool = False
) -> list[str]:
    """Give the statements that make the views, or that give them the SELECT of this version where they are there."""
    on_cluster = f" ON CLUSTER '{cluster}'" if cluster else ""
    selects = {"llm_requests": source.requests(attributes), "llm_rates": source.rates(attributes)}
    targets = {"llm_requests": f"llm_requests{LOCAL if cluster else ''}", "llm_rates": "llm_rates"}
    return [
        _sql(
            "replace_view" if replace else "create_view",
            view=source.view(table),
            on_cluster=on_cluster,
            target=targets[table],
            select=select,
        )
        for table, select in selects.items()
    ]


def attributes_of(ledger: Ledger, source: TracesTable) -> Attributes:
    """Tell how a table keeps attributes. Raises `SchemaError` if it is not one of the Collector's, or not there."""
    types = _columns(ledger, source.database, source.table)
    if not types:
        raise SchemaError(
            f"there is no table {source} on the server of {ledger.dsn}: let the Collector's exporter make it first, or name "
            "the table that it writes"
        )
    if missing := sorted(_NEEDED - types.keys()):
        raise SchemaError(
            f"{source} has no column {', '.join(missing)}: it is not a table of traces as the Collector's exporter makes it"
        )
    kind = types["SpanAttributes"]
    if kind.startswith("Map("):
        return "map"
    if kind.startswith("JSON"):
        return "json"
    raise SchemaError(f"SpanAttributes of {source} is a {kind}: a Map or JSON is needed")


def apply_views(ledger: Ledger, source: TracesTable, cluster: str = "") -> list[str]:
    """Make the views, or bring them to this version; give their names. Raises `LedgerError`."""
    attributes = attributes_of(ledger, source)
    names = [source.view("llm_requests"), source.view("llm_rates")]
    create, replace = (view_statements(source, attributes, cluster, replace=replace) for replace in (False, True))
    for name, create_one, replace_one in zip(names, create, replace, strict=True):
        is_there = bool(_columns(ledger, ledger.dsn.database, name))
        ledger.command(replace_one if is_there else create_one, what=f"make the view {name}")
    return names


def backfill(ledger: Ledger, source: TracesTable) -> Iterator[BackfilledMonth]:
    """
    Store the rows of spans that were in the table before its view, day by day; run again, it adds only what is missing.

    Raises `LedgerError`; then run it again.
    """
    tables = ledger.look_at_tables()
    tables.check()
    if tables.is_cluster:
        raise LedgerRefused(
            f"could not backfill from {source}: {ledger.dsn} is a cluster's ledger, and a shard cannot tell what the others "
            "have. The view takes what arrives from now on"
        )
    attributes = attributes_of(ledger, source)
    _ask(
        ledger,
        source,
        "backfill_rates",
        columns=_names(ledger, "llm_rates", but="batch_id"),
        rates=source.rates(attributes),
    )
    columns = _names(ledger, "llm_requests", but="request_id")
    answer = str(_ask(ledger, source, "backfill_days", spans=source.spans(attributes)) or "")
    days = [date.fromisoformat(line) for line in answer.split()]
    for month, of_month in groupby(days, key=lambda day: f"{day:%Y%m}"):
        yield BackfilledMonth(month, sum(_backfill_day(ledger, source, attributes, day, columns) for day in of_month))


def _backfill_day(ledger: Ledger, source: TracesTable, attributes: Attributes, day: date, columns: str) -> int:
    stored = _sql("backfill_stored", day=str(min(max(day, _FIRST_DAY), _LAST_DAY)))
    answer = _ask(ledger, source, "backfill_missing", spans=source.spans(attributes, day), stored=stored)
    missing, which = map(int, cast("list[str]", answer))
    if missing:
        # Of what is missing: a request that is repeated on the way is stored once, and a later run is another one.
        token = hashlib.sha256(f"{source} {day} {missing} {which}".encode()).hexdigest()
        requests = source.requests(attributes, day)
        _ask(ledger, source, "backfill_day", columns=columns, token=token, requests=requests, stored=stored)
    return missing


def _ask(ledger: Ledger, source: TracesTable, name: str, **names: str) -> object:
    return ledger.command(_sql(name, **names), what=f"backfill from {source}")


def _sql(name: str, **names: str) -> str:
    """Give a statement with names of ours and other statements in it: no engine binds those."""
    return Template(read_sql("otel_traces", name)).substitute(names).rstrip()


def _names(ledger: Ledger, table: str, *, but: str) -> str:
    return ", ".join(name for name in _columns(ledger, ledger.dsn.database, table) if name != but)


def _columns(ledger: Ledger, database: str, table: str) -> Mapping[str, str]:
    rows = ledger.query("columns_of", {"database": database, "table": table})
    return {str(row["name"]): str(row["type"]) for row in rows}
