"""Tables of traces as the Collector's exporter makes them, and spans in them as it writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest

from otel_llmcost.attributes import CALL, to_attributes
from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from otel_llmcost.ledger.otel_traces import TracesTable, apply_views
from otel_llmcost.ledger.row import call_text
from otel_llmcost.model import Request
from tests.clickhouse_double import ClickHouseDouble

HERE = Path(__file__).parent
KINDS = ("map", "json")
_SETTINGS = {"async_insert": 0, "date_time_input_format": "best_effort"}
_numbers = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[ClickHouseDouble]:
    """One double of a ClickHouse server for all tests."""
    with ClickHouseDouble() as double:
        yield double


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """How the table of traces keeps attributes: every test that takes it runs twice."""
    return str(request.param)


def new_ledger(dsn: str = "chdb://memory") -> Ledger:
    """Give an empty ledger with its tables."""
    ledger = connect(replace(parse_dsn(dsn), database=f"traced_{next(_numbers)}"))
    migrations.apply(ledger)
    return ledger


def new_table(ledger: Ledger, kind: str) -> TracesTable:
    """Make a table of traces by the exporter's own statement, in a database of its own."""
    source = TracesTable(f"otel_{next(_numbers)}", "otel_traces")
    ledger.command(f"CREATE DATABASE {source.database}", what="make a database")
    statement = (HERE / f"exporter_{kind}.sql").read_text().replace("otel.otel_traces", str(source))
    ledger.command(statement, what="make a table of traces")
    return source


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """An empty ledger."""
    with new_ledger() as opened:
        yield opened


@pytest.fixture
def source(ledger: Ledger, kind: str) -> TracesTable:
    """A table of traces with our views."""
    table = new_table(ledger, kind)
    apply_views(ledger, table)
    return table


def stamped(request: Request, *, recorded: bool = False) -> dict[str, Any]:
    """Give a request's span as the exporter writes it, with the attributes of a processor that has no journal."""
    attributes = {**to_attributes(request, recorded=recorded), CALL: call_text(request)}
    return exported(request, attributes)


def exported(request: Request, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Give a request's span as the exporter writes it, with these attributes."""
    span = request.span
    seconds, rest = divmod(span.start_unix_ns, 10**9)
    return {
        "Timestamp": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z",
        "TraceId": span.trace_id,
        "SpanId": span.span_id,
        "ParentSpanId": span.parent_span_id or "",
        "SpanName": span.name,
        "ServiceName": str(span.resource.get("service.name", "")),
        "ScopeName": span.scope_name,
        "SpanAttributes": dict(attributes),
        "Duration": (span.end_unix_ns - span.start_unix_ns) % 2**64,
        "StatusCode": span.status_code.capitalize(),
    }


def export(
    ledger: Ledger, source: TracesTable, kind: str, spans: Iterable[Mapping[str, Any]], **settings: object
) -> None:
    """Insert spans in one block, as the exporter does: without a token; its Map has texts alone."""
    rows = [
        {**span, "SpanAttributes": {name: _text(value) for name, value in span["SpanAttributes"].items()}}
        if kind == "map"
        else span
        for span in spans
    ]
    payload = b"\n".join(orjson.dumps(row) for row in rows)
    client = ledger._client
    client.raw_insert(str(source), insert_block=payload, fmt="JSONEachRow", settings={**_SETTINGS, **settings})


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def rows_of(ledger: Ledger) -> list[dict[str, Any]]:
    """Give every column of every row but its batch, by span."""
    result = ledger._client.query("SELECT * EXCEPT (batch_id) FROM llm_requests ORDER BY trace_id, span_id")
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def rollups_of(ledger: Ledger) -> list[Any]:
    """Give what the rollups add up to."""
    sums = (
        "team, customer_id, model, sum(requests) AS requests, sum(unpriced_requests), sum(cost_usd), sum(input_tokens)"
    )
    tail = "GROUP BY team, customer_id, model HAVING requests != 0 ORDER BY ALL"
    return [
        ledger._client.query(f"SELECT {sums} FROM {rollup} {tail}").result_rows  # noqa: S608
        for rollup in ("spend_by_request", "spend_by_customer_day")
    ]
