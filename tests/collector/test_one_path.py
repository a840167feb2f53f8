"""A journal, the table of traces and the receiver over the same traffic."""

from __future__ import annotations

import signal
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_llmcost import ClickHouseSpanExporter, Pricer
from otel_llmcost.cli import cli
from otel_llmcost.ledger import connect, migrations
from otel_llmcost.model import PICO, Priced, Request
from otel_llmcost.shipper import ship_once
from tests.clickhouse_double import PASSWORD, USERNAME, ClickHouseDouble
from tests.collector.otlp import Key, Otlp, bill, keys_of, spans_of
from tests.collector.processes import Collector, running, wait_until
from tests.collector.services import Receiver, from_python, recorded, send
from tests.receiver.otlp import a_span, batch, joined


def test_each_request_goes_one_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Spans that a journal accounts for, spans priced at the source without one, and unpriced spans of other languages, all
    through one agent and one gateway, to the view over `otel_traces` and to the receiver: each request is one row.
    """
    monkeypatch.setenv("OTEL_LLMCOST_JOURNAL_DIR", str(tmp_path / "journal"))
    pricer = Pricer.default()
    assert pricer.wait()
    with ClickHouseDouble() as server, connect(server.dsn("one_way")) as ledger:
        migrations.apply(ledger)
        exporter = ClickHouseSpanExporter(server.dsn("one_way"), pricer=pricer)
        journaled, priced, others = from_python(pricer, exporter), from_python(pricer), recorded()
        shipped = ship_once(ledger, exporter.journal_dir, fingerprint=exporter.fingerprint)
        assert (shipped.left, shipped.refused) == (0, 0)
        monkeypatch.delenv("OTEL_LLMCOST_JOURNAL_DIR")
        receiver = Receiver(tmp_path, server.dsn("one_way"))
        gateway = _gateway(tmp_path, receiver, server)
        agent = Collector(tmp_path, "agent.yaml", LLMCOST_GATEWAYS=f"[127.0.0.1:{gateway.grpc}]")
        expected = {
            key: (1, _cost(each.request))
            for part in (*journaled, *priced, joined(others))
            for key, each in bill(part, pricer).items()
        }

        def asked(sql: str) -> int:
            return int(str(ledger.command(sql, what="count")))

        receiver.start()
        try:
            with running(gateway, agent):
                apply = ["schema", "apply", "--from-otel-traces", "otel.otel_traces", "--dsn", server.dsn("one_way")]
                assert CliRunner().invoke(cli, apply).exit_code == 0
                for part in (*journaled, *priced, *others):
                    send(agent.http, part)
                wait_until(lambda: expected.keys() <= receiver.bill().keys(), "every request in the ledger")
                wait_until(
                    lambda: asked("SELECT count() FROM otel.otel_traces") >= 80, "all priced spans in otel_traces"
                )
                billed = receiver.bill()
                from_traces = asked("SELECT countIf(startsWith(batch_id, 'otel_traces:')) FROM llm_requests")
        finally:
            receiver.end(signal.SIGKILL)

    assert len(expected) > 100
    assert billed == expected
    assert from_traces == len(priced)


def test_a_request_that_both_ways_carry_is_one(tmp_path: Path) -> None:
    """
    A client priced at the source, whose span goes into `otel_traces`, and its gateway, which prices nothing and whose span
    the receiver reads, show one request: the client's price stands, whichever of the two comes first.
    """
    pricer = Pricer.default()
    assert pricer.wait()
    with ClickHouseDouble() as server, connect(server.dsn("one_way")) as ledger:
        migrations.apply(ledger)
        receiver = Receiver(tmp_path, server.dsn("one_way"))
        gateway = _gateway(tmp_path, receiver, server)
        (early, late), proxies = from_python(pricer)[:2], []
        for number, client in enumerate((early, late), 1):
            (span,) = spans_of(client)
            span["endTimeUnixNano"] = str(int(span["startTimeUnixNano"]) + 10**9)
            proxies.append(_proxy_below(span, number))
        marks = [batch(a_span(9, trace=trace), scope="marks.js") for trace in (1, 2)]
        # In two steps, each with a request that is nobody else's: when it is billed, all of its step was read.
        steps = joined([early, proxies[1], marks[0]]), joined([late, proxies[0], marks[1]])
        expected = {
            key: (1, _cost(each.request)) for part in (early, late, *marks) for key, each in bill(part, pricer).items()
        }
        receiver.start()
        try:
            with running(gateway):
                apply = ["schema", "apply", "--from-otel-traces", "otel.otel_traces", "--dsn", server.dsn("one_way")]
                assert CliRunner().invoke(cli, apply).exit_code == 0
                for step, source, mark in zip(steps, (early, late), marks, strict=True):
                    awaited = set(keys_of(source)) | set(keys_of(mark))
                    send(gateway.http, step)
                    wait_until(partial(_are_billed, awaited, receiver), "what a step carries in the ledger")
                billed = receiver.bill()
        finally:
            receiver.end(signal.SIGKILL)

    assert billed == expected


def _are_billed(keys: set[Key], receiver: Receiver) -> bool:
    return keys <= receiver.bill().keys()


def _proxy_below(client: Otlp, number: int) -> Otlp:
    begins = int(client["startTimeUnixNano"]) + 10**8
    attributes = [each for each in client["attributes"] if each["key"].startswith("gen_ai.")]
    times = {"startTimeUnixNano": str(begins), "endTimeUnixNano": str(begins + 10**8)}
    ids = {"traceId": client["traceId"], "parentSpanId": client["spanId"]}
    return batch({**a_span(1000 + number), **ids, **times, "attributes": attributes}, scope="proxy")


def _gateway(folder: Path, receiver: Receiver, server: ClickHouseDouble) -> Collector:
    return Collector(
        folder,
        "gateway.yaml",
        "gateway-otel-traces.yaml",
        LLMCOST_RECEIVER=f"http://127.0.0.1:{receiver.port}",
        LLMCOST_CLICKHOUSE=f"http://127.0.0.1:{server.port}",
        LLMCOST_CLICKHOUSE_USER=USERNAME,
        LLMCOST_CLICKHOUSE_PASSWORD=PASSWORD,
        LLMCOST_CLICKHOUSE_COMPRESS="none",
        LLMCOST_OTEL_TRACES_CREATE="true",
    )


def _cost(request: Request) -> Decimal | None:
    return Decimal(request.price.cost_picousd) / PICO if isinstance(request.price, Priced) else None
