"""Our metrics in the real SDK: what is reported, that it equals the ledger, and that it stays bounded."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import otel_llmcost.fence
from otel_llmcost.counters import COUNTERS
from otel_llmcost.journal import Journal
from otel_llmcost.ledger import connect, migrations, parse_dsn
from otel_llmcost.ledger.row import adjustment_row, encode_row, request_row
from otel_llmcost.metrics import COST, TOKENS, Metrics
from otel_llmcost.model import NO_OWNER, Owner, Request, Usage
from otel_llmcost.shipper import ShipperThread, ship_once
from tests.clickhouse_double import ClickHouseDouble, Fault
from tests.ledger.samples import UNPRICED, a_request, adjusted, ask, priced, segment
from tests.metrics.collected import collected
from tests.shipper.ledgers import MemoryLedger, away, once

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


class Watched:
    """A journal as an exporter has one."""

    def __init__(self, folder: Path) -> None:
        self.journal_dir = folder
        self.fingerprint = "ledger-1"
        self.closed = False


@pytest.fixture(autouse=True)
def _fresh_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count from 0, and let no error hide behind the fence."""
    COUNTERS.reset()
    monkeypatch.setattr(otel_llmcost.fence, "RERAISE", True)


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    """A reader of a fresh meter provider."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    reader.provider = provider  # type: ignore[attr-defined]
    yield reader
    provider.shutdown()


@pytest.fixture
def metrics(reader: InMemoryMetricReader) -> Metrics:
    """Our instruments on it."""
    return Metrics(reader.provider)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def server() -> Iterator[ClickHouseDouble]:
    """A ClickHouse server."""
    with ClickHouseDouble() as server:
        yield server


def points(reader: InMemoryMetricReader, name: str) -> list[dict[str, Any]]:
    """The points of one metric."""
    return [each for each in collected(reader) if each["name"] == name]


def total(reader: InMemoryMetricReader, name: str) -> float:
    """The sum over all attribute sets."""
    return sum(each["value"] for each in points(reader, name))


def test_cost_and_tokens_of_a_shipped_batch(reader: InMemoryMetricReader, metrics: Metrics) -> None:
    """
    A batch adds its cost in USD and its tokens by type, under its own service, model and owner; no customer is there.
    """
    usage = Usage(input_tokens=8000, cached_input_tokens=2000, output_tokens=1200, reasoning_tokens=400)
    metrics.add_shipped("llm_requests", segment([request_row(a_request(number, usage=usage)) for number in (1, 2)]))

    owned = {
        "service.name": "api",
        "gen_ai.provider.name": "openai",
        "gen_ai.response.model": "gpt-5.4-mini",
        "llmcost.team": "search",
    }
    assert points(reader, COST) == [
        {
            "name": "gen_ai.client.operation.cost",
            "unit": "USD",
            "kind": "Sum",
            "monotonic": True,
            "attributes": {**owned, "llmcost.feature": "rerank", "llmcost.price_status": "priced"},
            "value": 0.0231,
        }
    ]
    assert {each["attributes"]["gen_ai.token.type"]: each["value"] for each in points(reader, TOKENS)} == {
        "input": 16_000,
        "cached_input": 4_000,
        "output": 2_400,
    }
    assert points(reader, TOKENS)[0]["attributes"] == {**owned, "gen_ai.token.type": "input"}
    assert "acme" not in str(collected(reader))


def test_what_is_not_known_adds_nothing(reader: InMemoryMetricReader, metrics: Metrics) -> None:
    """
    A request without a known cost is no point of cost, not even 0; a free one is 0; other tables are left alone.
    """
    metrics.add_shipped("llm_requests", segment([request_row(a_request(price=UNPRICED, usage=None))]))
    metrics.add_shipped("llm_rates", b'{"rate_id":"x"}')
    assert points(reader, COST) == points(reader, TOKENS) == []
    metrics.add_shipped("llm_requests", segment([request_row(a_request(price=priced(0)))]))
    assert [each["value"] for each in points(reader, COST)] == [0]


@given(st.lists(st.integers(0, 10**18 - 1), min_size=1, max_size=30))
def test_cost_is_summed_exactly(costs: list[int]) -> None:
    """
    Whatever was added, the value is the exact sum, rounded once to a float.
    """
    reader = InMemoryMetricReader()
    metrics = Metrics(MeterProvider([reader]))
    for cost in costs:
        metrics.add_shipped("llm_requests", segment([request_row(a_request(price=priced(cost)))]))

    assert total(reader, COST) == float(Decimal(sum(costs)).scaleb(-12))


def test_a_move_goes_where_the_charge_goes(reader: InMemoryMetricReader, metrics: Metrics) -> None:
    """
    Adjustments count with their sign under their own owner, and the sum never falls between two collections: what was
    taken back is made up for by later charges of the same owner.
    """
    first, better = a_request(1, price=priced(5 * 10**12)), a_request(2, price=priced(4 * 10**12), owner=NO_OWNER)
    moves = [adjusted(first, -1, of=first), adjusted(better, 1, of=first)]

    def by_team() -> dict[str, float]:
        return {each["attributes"]["llmcost.team"]: each["value"] for each in points(reader, COST)}

    metrics.add_shipped("llm_requests", segment([request_row(first)]))
    assert by_team() == {"search": 5.0}
    metrics.add_shipped("llm_adjustments", segment(map(adjustment_row, moves)))
    assert by_team() == {"search": 5.0, "(unattributed)": 4.0}
    metrics.add_shipped("llm_requests", segment([request_row(a_request(3, price=priced(2 * 10**12)))]))
    assert by_team() == {"search": 5.0, "(unattributed)": 4.0}
    metrics.add_shipped("llm_requests", segment([request_row(a_request(4, price=priced(7 * 10**12)))]))
    assert by_team() == {"search": 9.0, "(unattributed)": 4.0}


def test_a_move_within_one_collection_leaves_no_trace(reader: InMemoryMetricReader, metrics: Metrics) -> None:
    """
    What was charged and taken back before anyone looked was never there.
    """
    request = a_request(1, price=priced(5 * 10**12))
    metrics.add_shipped("llm_requests", segment([request_row(request)]))
    metrics.add_shipped("llm_adjustments", segment([adjustment_row(adjusted(request, -1, of=request))]))

    assert total(reader, COST) == total(reader, TOKENS) == 0


def test_attribute_sets_are_bounded(reader: InMemoryMetricReader, metrics: Metrics) -> None:
    """
    Beyond 1,500 sets the rest is summed under `otel.metric.overflow`, before the SDK's own limit: no cost is lost.
    """
    requests = [a_request(n, price=priced(10**12), owner=Owner(team=f"team-{n}")) for n in range(1, 2001)]
    metrics.add_shipped("llm_requests", segment(map(request_row, requests)))

    found = {str(each["attributes"]): each["value"] for each in points(reader, COST)}
    assert len(found) == 1501
    assert found["{'otel.metric.overflow': True}"] == 500
    assert total(reader, COST) == 2000


def test_our_counters(reader: InMemoryMetricReader, metrics: Metrics) -> None:
    """
    What this process did and failed to do is read from our counters when a reader collects.
    """
    COUNTERS.add("requests.priced", 3)
    COUNTERS.add("requests.unpriced")
    COUNTERS.add("fence.on_end", 2)
    COUNTERS.add("shipper.rows", 7)
    COUNTERS.add("shipper.failed")
    COUNTERS.add("shipper.refused", 4)
    COUNTERS.add("exporter.rows_refused", 5)

    found = [(each["name"], each["attributes"], each["value"]) for each in collected(reader)]
    assert found == [
        ("otel_llmcost.requests", {"llmcost.price_status": "priced"}, 3),
        ("otel_llmcost.requests", {"llmcost.price_status": "unpriced"}, 1),
        ("otel_llmcost.rows.refused", {}, 5),
        ("otel_llmcost.rows.shipped", {}, 7),
        ("otel_llmcost.rows.quarantined", {}, 4),
        ("otel_llmcost.ship.failures", {}, 1),
        ("otel_llmcost.errors", {"otel_llmcost.hook": "on_end"}, 2),
    ]


def test_the_journal(reader: InMemoryMetricReader, metrics: Metrics, tmp_path: Path) -> None:
    """
    Size and age of the journal are those of its files; a closed exporter's is no longer reported.
    """
    watched = Watched(tmp_path / "journal")
    metrics.watch(watched)
    journal = Journal(watched.journal_dir, ledger="ledger-1")
    journal.append("llm_requests", "202611", encode_row(request_row(a_request())))

    size = sum(file.stat().st_size for file in watched.journal_dir.iterdir())
    assert [(each["value"], each["attributes"]) for each in points(reader, "otel_llmcost.journal.size")] == [
        (size, {"otel_llmcost.ledger": "ledger-1"})
    ]
    assert 0 <= total(reader, "otel_llmcost.journal.age") < 60
    assert total(reader, "otel_llmcost.journal.quarantined") == 0
    journal.close()
    watched.closed = True
    assert points(reader, "otel_llmcost.journal.size") == []


def test_a_journal_that_cannot_be_read_hides_nothing_else(
    reader: InMemoryMetricReader, metrics: Metrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A failure of one metric is counted as ours, and the others are still collected.
    """
    monkeypatch.setattr(otel_llmcost.fence, "RERAISE", False)
    (tmp_path / "loop").symlink_to("loop")
    watched = Watched(tmp_path / "loop")
    metrics.watch(watched)
    COUNTERS.add("shipper.rows", 7)

    assert total(reader, "otel_llmcost.rows.shipped") == 7
    assert COUNTERS["fence.metrics"] == 3


def test_added_once_per_acknowledged_batch(reader: InMemoryMetricReader, metrics: Metrics, tmp_path: Path) -> None:
    """
    A batch counts when the ledger acknowledges it: not when it refuses, and not twice when the answer was lost.
    """
    request = a_request(price=priced(10**12))
    journal = Journal(tmp_path / "journal", ledger="test")
    journal.append("llm_requests", "202611", orjson.dumps({**request_row(request), "n": 1}))
    journal.close()
    ledger = MemoryLedger()

    def ship() -> None:
        ship_once(ledger, tmp_path / "journal", fingerprint="test", on_shipped=metrics.add_shipped)

    ledger.before = away
    ship()
    assert total(reader, COST) == 0
    ledger.before = lambda _number: None
    ledger.after = once(1, away(1))
    ship()
    assert (ledger.stored, total(reader, COST)) == ([1], 0)
    ship()
    ship()
    assert (ledger.stored, total(reader, COST)) == ([1], 1.0)


def test_through_the_shipper_into_a_server(
    reader: InMemoryMetricReader, metrics: Metrics, server: ClickHouseDouble, tmp_path: Path
) -> None:
    """
    Under faults of the server, the sum of the metric is the ledger's: rows and adjustments, to the picodollar.
    """
    requests: list[Request] = [a_request(n, price=priced(n * 10**9 + 1), model=f"model-{n % 3}") for n in range(1, 200)]
    journal = Journal(tmp_path / "journal", ledger="test", seal_rows=20)
    for request in requests:
        journal.append("llm_requests", "202611", encode_row(request_row(request)))
    for request in requests[:7]:
        journal.append("llm_adjustments", "202611", encode_row(adjustment_row(adjusted(request, -1, of=request))))
    journal.close()
    with connect(server.dsn("metrics")) as ledger:
        migrations.apply(ledger)
        server.inject(Fault("after", "reset", "INSERT", times=2), Fault("before", "status", "INSERT", 2, "503"))
        shipper = ShipperThread(
            connect=lambda: connect(server.dsn("metrics")),
            directory=tmp_path / "journal",
            fingerprint="test",
            on_shipped=metrics.add_shipped,
        )
        while not shipper.flush(10):
            pass
        shipper.stop()
        stored = ask(ledger, "SELECT sum(sign * cost_usd) FROM llm_charges")[0]

    assert Decimal(stored) == Decimal(sum(n * 10**9 + 1 for n in range(8, 200))).scaleb(-12)
    assert abs(Decimal(total(reader, COST)) - Decimal(stored)) < Decimal("1e-13"), "three floats, one per model"


def run(server: ClickHouseDouble, database: str, *words: str, **environ: str) -> dict[str, Any]:
    """Run the application; give its points by name."""
    dsn = server.dsn(database)
    with connect(dsn) as ledger:
        migrations.apply(ledger)
    printed = subprocess.run(
        [sys.executable, "-m", "tests.metrics.application", dsn, *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, **environ},
    )
    return {each["name"]: each for each in map(json.loads, printed.stdout.splitlines())}


@pytest.fixture(autouse=True)
def _own_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OTEL_LLMCOST_JOURNAL_DIR", str(tmp_path / "application"))


def test_an_application_with_a_meter_provider(server: ClickHouseDouble) -> None:
    """
    Nothing is configured: an application that sets its meter provider, whenever, has our metrics under its own service.
    """
    found = run(server, "application")

    assert found[COST]["value"] == pytest.approx(0.024, rel=1e-12)
    assert found[COST]["attributes"]["service.name"] == "drafts"
    assert found["otel_llmcost.requests"]["value"] == 2
    assert found["otel_llmcost.rows.shipped"]["value"] == 3, "two requests and their rate"


def test_metrics_can_be_turned_off(server: ClickHouseDouble) -> None:
    """
    `OTEL_LLMCOST_METRICS=false` creates no instrument.
    """
    assert run(server, "off", OTEL_LLMCOST_METRICS="false") == {}


def test_a_forked_child_reports_its_own(server: ClickHouseDouble) -> None:
    """
    A child does not report again what its parent did.
    """
    found = run(server, "forked", "fork")

    assert COST not in found
    assert "otel_llmcost.requests" not in found


@pytest.mark.slow
def test_the_shipper_of_a_machine_reports_what_it_ships(tmp_path: Path) -> None:
    """
    Under `opentelemetry-instrument`, the process that ships an embedded ledger reports the cost of others' requests.
    """
    place = parse_dsn(f"chdb://{tmp_path / 'ledger'}")
    journal = Journal(tmp_path / "ledger" / "journal", ledger=place.fingerprint)
    journal.append("llm_requests", "202611", encode_row(request_row(a_request(price=priced(10**12)))))
    journal.close()
    bin_folder = str(Path(sys.executable).parent)
    printed = subprocess.run(
        [f"{bin_folder}/opentelemetry-instrument", f"{bin_folder}/otel-llmcost", "ship", "--once"],
        capture_output=True,
        text=True,
        check=True,
        env={
            **{name: value for name, value in os.environ.items() if name != "OTEL_LLMCOST_JOURNAL_DIR"},
            "OTEL_LLMCOST_DSN": f"chdb://{tmp_path / 'ledger'}",
            "OTEL_METRICS_EXPORTER": "console",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        },
    ).stdout
    (cost,) = (
        metric
        for resource in json.loads(printed[printed.index("{") :])["resource_metrics"]
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
        if metric["name"] == COST
    )

    (point,) = cost["data"]["data_points"]
    assert (point["value"], point["attributes"]["service.name"]) == (1.0, "api")


def test_every_metric_is_documented(metrics: Metrics, reader: InMemoryMetricReader, tmp_path: Path) -> None:
    """
    The table in docs/metrics.md has every metric, with its unit and attributes, and no other.
    """
    for name in ("requests.priced", "fence.on_end"):
        COUNTERS.add(name)
    watched = Watched(tmp_path)
    metrics.watch(watched)
    metrics.add_shipped("llm_requests", segment([request_row(a_request())]))

    emitted = {(each["name"], each["unit"], frozenset(each["attributes"])) for each in collected(reader)}
    rows = re.findall(r"^\| `([a-z_.]+)` \| \w+ \| `([^`]+)` \| (.*?)\|", DOCUMENTED, re.MULTILINE)
    assert {(name, unit, frozenset(re.findall("`([^`]+)`", attributes))) for name, unit, attributes in rows} == emitted


def test_without_a_provider_no_batch_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where the application has no meter provider, a batch costs nothing.
    """
    monkeypatch.setattr(orjson, "loads", lambda _line: pytest.fail("read for nobody"))

    Metrics().add_shipped("llm_requests", segment([request_row(a_request())]))


def test_an_unreadable_batch_is_our_own_error(
    metrics: Metrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A failure while adding metrics never fails the shipping: it is counted, and logged without the row.
    """
    monkeypatch.setattr(otel_llmcost.fence, "RERAISE", False)
    journal = Journal(tmp_path / "journal", ledger="test")
    journal.append("llm_requests", "202611", b'{"n":1,"cost_usd":"private"}')
    journal.close()
    ledger = MemoryLedger()
    with caplog.at_level(logging.DEBUG):
        ship_once(ledger, tmp_path / "journal", fingerprint="test", on_shipped=metrics.add_shipped)

    assert ledger.stored == [1]
    assert COUNTERS["fence.on_shipped"] == 1
