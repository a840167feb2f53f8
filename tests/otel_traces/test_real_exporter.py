"""The Collector's own ClickHouse exporter, in the built Collector, against the double over HTTP: no byte is made up here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from otel_llmcost.attributes import CALL, to_attributes
from otel_llmcost.cli import cli
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.row import call_text
from otel_llmcost.model import Request
from tests.clickhouse_double import PASSWORD, USERNAME, ClickHouseDouble, Fault
from tests.collector.binary import collector_binary
from tests.collector.processes import free_port, post, wait_until
from tests.ledger.samples import a_request, ask, store
from tests.otel_traces.conftest import new_ledger, new_table, rollups_of, rows_of
from tests.otel_traces.requests import captured, random_requests

FORGETFUL = {"deduplicate_blocks_in_dependent_materialized_views": "0"}


@contextmanager
def exporting(server: ClickHouseDouble, folder: Path, kind: str, database: str, **parameters: str) -> Iterator[int]:
    """Run a Collector whose exporter makes its tables in `database`; give the port that takes OTLP over HTTP."""
    port = free_port()
    exporter = {
        "endpoint": f"http://127.0.0.1:{server.port}",
        "username": USERNAME,
        "password": PASSWORD,
        "database": database,
        "json": kind == "json",
        "compress": "none",
        "async_insert": False,
        "connection_params": parameters,
        "sending_queue": {"enabled": False},
        "retry_on_failure": {"initial_interval": "100ms", "max_interval": "1s"},
        "timeout": "60s",
    }
    settings = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"clickhouse": exporter},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["clickhouse"]}},
        },
    }
    file, log = folder / "collector.yaml", folder / "collector.log"
    file.write_text(json.dumps(settings))
    with log.open("wb") as output:
        process = subprocess.Popen([str(collector_binary()), "--config", str(file)], stdout=output, stderr=output)
    try:
        wait_until(
            lambda: process.poll() is not None or post(port, {"resourceSpans": []}) == 200, "the Collector is up"
        )
        assert process.poll() is None, log.read_text()[-4000:]
        yield port
    finally:
        process.kill()
        process.wait()


def otlp(requests: Iterable[Request]) -> dict[str, Any]:
    """Give stamped spans as a request of OTLP, each with its own resource."""
    return {"resourceSpans": [_resource_spans(request) for request in requests]}


def _resource_spans(request: Request) -> dict[str, Any]:
    span = request.span
    stamps = {**to_attributes(request, recorded=False), CALL: call_text(request)}
    held = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id or "",
        "name": span.name,
        "startTimeUnixNano": str(span.start_unix_ns),
        "endTimeUnixNano": str(max(span.end_unix_ns, 0)),
        "attributes": [_attribute(name, value) for name, value in stamps.items()],
        "status": {"code": {"unset": 0, "ok": 1, "error": 2}[span.status_code]},
    }
    resource = {"attributes": [_attribute("service.name", str(span.resource.get("service.name", "")))]}
    return {"resource": resource, "scopeSpans": [{"scope": {"name": span.scope_name}, "spans": [held]}]}


def _attribute(name: str, value: object) -> dict[str, Any]:
    match value:
        case bool():
            return {"key": name, "value": {"boolValue": value}}
        case int():
            return {"key": name, "value": {"intValue": str(value)}}
        case float():
            return {"key": name, "value": {"doubleValue": value}}
        case _:
            return {"key": name, "value": {"stringValue": value}}


def applied(server: ClickHouseDouble, ledger: Ledger, database: str, *options: str) -> str:
    """Run the command that adds the views."""
    dsn = server.dsn(ledger.dsn.database)
    result = CliRunner().invoke(
        cli, ["schema", "apply", "--from-otel-traces", f"{database}.otel_traces", "--dsn", dsn, *options]
    )
    assert result.exit_code == 0, result.output
    return result.output


def test_same_rows_as_a_journal(server: ClickHouseDouble, tmp_path: Path, kind: str):
    """
    What the real exporter writes, in the tables that it makes itself, becomes the rows and rollups of the direct way: spans
    that were there before the view by the backfill, the others as they arrive. Its tables are those of our other tests.
    """
    requests = [each for each in (*captured(), *random_requests(11, 300)) if each.span.end_unix_ns >= 0]
    before, after = requests[:50], requests[50:]
    with (
        new_ledger(server.dsn()) as direct,
        new_ledger(server.dsn()) as ledger,
        exporting(server, tmp_path, kind, f"real_{kind}") as port,
    ):
        store(direct, requests)
        assert post(port, otlp(before)) == 200
        output = applied(server, ledger, f"real_{kind}", "--backfill")
        assert post(port, otlp(after)) == 200

        assert f"50 requests added from real_{kind}.otel_traces\n" in output
        assert rows_of(ledger) == rows_of(direct)
        assert rollups_of(ledger) == rollups_of(direct)
        assert _columns(ledger, f"real_{kind}.otel_traces") == _columns(ledger, str(new_table(ledger, kind)))


def _columns(ledger: Ledger, table: str) -> list[dict[str, object]]:
    database, _, name = table.partition(".")
    return ledger.query("columns_of", {"database": database, "table": name})


def test_an_answer_that_is_lost(server: ClickHouseDouble, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    """
    The exporter sends a batch again whose answer it did not hear: its copies are counted by verify and taken back by
    repair. With the setting of the guide, the engine recognises it and there is no copy.
    """
    monkeypatch.setenv("OTEL_LLMCOST_JOURNAL_DIR", str(tmp_path / "journals"))
    for database, parameters, copies in (
        (f"lost_{kind}", FORGETFUL, 2),
        (f"kept_{kind}", dict.fromkeys(FORGETFUL, "1"), 0),
    ):
        with new_ledger(server.dsn()) as ledger, exporting(server, tmp_path, kind, database, **parameters) as port:
            applied(server, ledger, database)
            server.inject(Fault("after", "reset", match=f'INSERT INTO "{database}"'))
            assert post(port, otlp([a_request(1), a_request(2)])) == 200

            assert len(rows_of(ledger)) == 2 + copies
            dsn = server.dsn(ledger.dsn.database)
            found = CliRunner().invoke(cli, ["verify", "--dsn", dsn]).output
            assert (f"whose span has another row: {copies}, with $0.0231 too much" in found) == bool(copies)
            repaired = CliRunner().invoke(cli, ["repair", "--apply", "--dsn", dsn])
            assert repaired.exit_code == 0, repaired.output
            assert ask(ledger, "SELECT sum(requests), sum(cost_usd) FROM spend_by_hour") == ["2", "0.0231"]
