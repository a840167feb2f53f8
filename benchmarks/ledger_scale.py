"""
The ledger at scale: bytes per request, latency of reports, rows per CPU-second of inserts.

    python benchmarks/ledger_scale.py [--rows 1000000 5000000] [--customers 50000] [--folder /somewhere]

Directional: prints figures of this machine, compares nothing. Data: 90 days, 20 teams, 200 features that use three of 40
models each, 50,000 customers (or so many) of Zipf-like size, random ids, a provider's 29-character response id on every row, a parent
span on half, an action on a third.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import orjson

from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.ledger.row import request_row
from otel_llmcost.model import Attempt, ModelCall, Owner, Priced, RateContent, Request, SpanView, Usage
from otel_llmcost.reports import requests, spend

CUSTOMER = "cus_3A743632"
FIRST = date(2026, 8, 24)
DAYS = 90
GENERATE = """
INSERT INTO llm_requests (timestamp, trace_id, span_id, parent_span_id, response_id, service_name, dialect, scope_name,
    operation, provider, model, request_model, team, feature, customer_id, environment, action, action_id, owner_source,
    status, attempt_kind, attempt, wasted, duration_us, input_tokens, cached_input_tokens, output_tokens, price_status,
    reason, cost_usd, input_cost_usd, cached_input_cost_usd, output_cost_usd, cache_savings_usd, rate_id, rate_source,
    rate_version, match_rule, usage_convention, batch_id)
WITH cityHash64(number, 1) AS a, cityHash64(number, 2) AS b, cityHash64(number, 3) AS c, cityHash64(number, 4) AS d,
    toUInt32(least(199, floor(200 * pow((a % 100000) / 100000, 2)))) AS feature_number,
    (feature_number * 7 + if(b % 10 < 8, 0, b % 3)) % 40 AS model_number,
    toUInt32({customers:UInt32} * pow((c % 1000000) / 1000000, 4)) AS customer_number,
    200 + intDiv(a, 7) % 8000 AS fresh, if(b % 3 = 0, intDiv(c, 11) % 6000, 0) AS cached, 20 + intDiv(d, 13) % 1500 AS out,
    d % 50 = 0 AS failed, d % 200 = 1 AS unpriced, (d % 25 = 2) AS retried,
    toDecimal64(1 + model_number, 12) / 4000000 AS price
SELECT
    toDateTime64('2026-08-24 00:00:00', 6, 'UTC') + toIntervalMicrosecond(intDiv(number * 7776000000, {rows:UInt64}) * 1000
        + d % 1000000),
    lower(hex(sipHash128(number))), lower(hex(cityHash64(number, 5))), if(b % 2 = 0, lower(hex(cityHash64(number, 6))), ''),
    concat('chatcmpl-', substring(base64Encode(sipHash128(number, 7)), 1, 22), substring(base64Encode(toString(a)), 1, 7)),
    concat('service-', toString(feature_number % 12)), 'semconv', 'opentelemetry.instrumentation.openai_v2', 'chat',
    ['openai', 'anthropic', 'gcp.gemini', 'mistral_ai'][model_number % 4 + 1], concat('model-', toString(model_number)),
    concat('model-', toString(model_number)),
    if(a % 25 = 0, '(unattributed)', concat('team-', toString(feature_number % 20))), concat('feature-', toString(feature_number)),
    concat('cus_', hex(toUInt32(cityHash64(customer_number)))), ['production', 'staging'][(a % 10 = 0) + 1],
    if(c % 10 < 3, concat('action-', toString(feature_number % 30)), '(none)'),
    if(c % 10 < 3, lower(hex(cityHash64(number, 8))), ''), 'baggage',
    if(failed, 'error', 'success'), if(retried, 'retry', 'initial'), retried + 1, retried AND d % 2 = 0,
    300000 + intDiv(d, 17) % 9000000, if(failed, NULL, fresh), if(failed OR cached = 0, NULL, cached), if(failed, NULL, out),
    if(failed OR unpriced, 'unpriced', 'priced'), multiIf(failed, 'no_usage', unpriced, 'unknown_model', ''),
    if(failed OR unpriced, NULL, fresh * price + cached * price / 10 + out * price * 6),
    if(failed OR unpriced, NULL, fresh * price), if(failed OR unpriced, NULL, cached * price / 10),
    if(failed OR unpriced, NULL, out * price * 6), if(failed OR unpriced, NULL, cached * price - cached * price / 10),
    concat('openai/model-', toString(model_number), '#', lower(hex(toUInt32(cityHash64(model_number))))), 'genai-prices',
    '0.2.3', 'exact', 'inclusive', concat('segment-', toString(intDiv(number, 65536)))
FROM numbers({start:UInt64}, {count:UInt64})
"""
SIZES = """
SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts
WHERE active AND database = currentDatabase() GROUP BY table ORDER BY table
"""
COLUMNS = """
SELECT column, sum(column_data_compressed_bytes) AS bytes FROM system.parts_columns
WHERE active AND database = currentDatabase() AND table = 'llm_requests' GROUP BY column ORDER BY bytes DESC LIMIT 14
"""
QUESTIONS: list[tuple[tuple[str, ...], dict[str, str], int | None]] = [
    *[
        ((by,), {}, None)
        for by in ("team", "feature", "model", "provider", "environment", "status", "action", "day", "hour")
    ],
    (("customer",), {}, 20),
    (("service",), {}, None),
    (("team", "day"), {}, None),
    (("feature", "model"), {}, 20),
    (("day",), {"customer": CUSTOMER}, None),
    (("feature",), {"team": "team-3"}, None),
    (("customer",), {"team": "team-3"}, 20),
]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--customers", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, help="a new one, kept afterwards")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="llmcost-scale-"))
    if arguments.folder and folder.exists():
        parser.error(f"{folder} is there already")
    with connect(f"chdb://{folder}") as ledger:
        migrations.apply(ledger)
        measure_inserts(ledger)
        for table in ("llm_requests", *rollups(ledger)):
            ledger.command("TRUNCATE TABLE {table:Identifier}", {"table": table}, what="truncate")
        there = 0
        for rows in sorted(arguments.rows):
            generate(ledger, rows, there, arguments.customers)
            there = rows
            measure_size(ledger, rows)
            measure_reports(ledger, rows)
    if not arguments.folder:
        shutil.rmtree(folder)


def rollups(ledger: Ledger) -> list[str]:
    return [str(table) for table, *_ in select(ledger, SIZES) if str(table).startswith("spend_")]


def select(ledger: Ledger, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in ledger._client.query(sql).result_rows]


def generate(ledger: Ledger, rows: int, there: int, customers: int) -> None:
    """Bring the table to `rows` rows. A second size spreads its own rows over the same 90 days."""
    step, started = 500_000, time.perf_counter()
    for start in range(0, rows - there, step):
        count = min(step, rows - there - start)
        parameters = {"rows": rows - there, "start": start, "count": count, "customers": customers}
        ledger.command(GENERATE.replace("number, 1)", f"number, {there + 1})"), parameters, what="generate")
    merge(ledger)
    print(f"\n{rows:,} requests, generated and merged in {time.perf_counter() - started:.0f} s")


def measure_size(ledger: Ledger, rows: int) -> None:
    for table, count, size in select(ledger, SIZES):
        if str(table).startswith(("llm_requests", "spend_")):
            assert isinstance(size, int)
            print(f"  {table:<26}{count:>12,} rows {size / rows:>8.1f} bytes per request")
    costly = select(ledger, COLUMNS)
    print("  " + ", ".join(f"{name} {int(str(size)) / rows:.1f}" for name, size in costly))


def measure_reports(ledger: Ledger, rows: int) -> None:
    until = FIRST + timedelta(days=DAYS)
    since = until - timedelta(days=30)
    for by, where, top in QUESTIONS:
        times = []
        for _ in range(5):
            started = time.perf_counter()
            found = spend(ledger, by, since=since, until=until, where=where, top=top)
            times.append(time.perf_counter() - started)
        label = ",".join(by) + "".join(f" where {name}" for name in where) + (f" top {top}" if top else "")
        print(f"  report {label:<32}{min(times) * 1000:>8.1f} ms {len(found.rows):>7,} rows from {found.source}")
    for where in ({}, {"customer": CUSTOMER}):
        started = time.perf_counter()
        requests(ledger, since=since, until=until, where=where, limit=50)
        print(f"  requests {', '.join(where):<30}{(time.perf_counter() - started) * 1000:>8.1f} ms")


def measure_inserts(ledger: Ledger) -> None:
    """Inserts alone, with merges held back; then what merging them costs, so that nothing is left out."""
    ledger.insert("llm_requests", payload(8_192, -1), token="warm")  # noqa: S106  # no password
    for size in (8_192, 65_536):
        payloads = [payload(size, number) for number in range(4)]
        ledger.command("SYSTEM STOP MERGES", what="hold merges back")
        turns = [insert_all(ledger, payloads, f"{size}-{turn}") for turn in range(3)]
        ledger.command("SYSTEM START MERGES", what="let merges go on")
        cpu = time.process_time()
        merge(ledger)
        rows = size * len(payloads)
        merging = (time.process_time() - cpu) / rows / len(turns)
        cpu, wall = min(turns)
        print(
            f"insert of {size:,} rows with all rollups: {rows / cpu:,.0f} rows per CPU-second, {rows / wall:,.0f} per "
            f"second; {1e6 * cpu / rows:.1f} us CPU a row, and {1e6 * merging:.1f} to merge it once; "
            f"{len(payloads[0]) / size:.0f} bytes of JSON a row; best of {len(turns)}"
        )


def insert_all(ledger: Ledger, payloads: list[bytes], name: str) -> tuple[float, float]:
    """Insert; give the CPU seconds of the whole process, and the seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    for number, content in enumerate(payloads):
        ledger.insert("llm_requests", content, token=f"{name}-{number}")
    return time.process_time() - cpu, time.perf_counter() - wall


def merge(ledger: Ledger) -> None:
    """Merge every table to one part a month."""
    for table in ("llm_requests", *rollups(ledger)):
        ledger.command("OPTIMIZE TABLE {table:Identifier} FINAL", {"table": table}, what="merge")


def payload(rows: int, number: int) -> bytes:
    chance = random.Random(number)
    batch = b'{"batch_id":"%d",' % number
    return b"\n".join(batch + orjson.dumps(request_row(a_request(chance, index)))[1:] for index in range(rows))


def a_request(chance: random.Random, index: int) -> Request:
    """One request of a segment that covers about ten minutes."""
    start = 1_790_000_000_000_000_000 + index * 9_000_000
    feature = int(200 * chance.random() ** 2)
    model = f"model-{(feature * 7 + chance.choice((0, 0, 0, 0, 1, 2))) % 40}"
    span = SpanView(
        trace_id=os.urandom(16).hex(),
        span_id=os.urandom(8).hex(),
        parent_span_id=os.urandom(8).hex(),
        name="chat",
        kind="client",
        start_unix_ns=start,
        end_unix_ns=start + chance.randrange(10**9),
        attributes={},
        resource={"service.name": f"service-{feature % 12}"},
        scope_name="opentelemetry.instrumentation.openai_v2",
        scope_version="1",
        status_code="unset",
    )
    call = ModelCall(
        dialect="semconv",
        kind="request",
        operation="chat",
        provider="openai",
        model=model,
        request_model=model,
        response_id=f"chatcmpl-{os.urandom(15).hex()[:29]}",
        usage=Usage(
            input_tokens=chance.randrange(8000),
            cached_input_tokens=chance.randrange(6000),
            output_tokens=chance.randrange(1500),
        ),
        usage_convention="inclusive",
    )
    owner = Owner(
        team=f"team-{feature % 20}",
        feature=f"feature-{feature}",
        customer_id=f"cus_{int(50_000 * chance.random() ** 4):08x}",
        environment="production",
        source="baggage",
    )
    parts = tuple((name, chance.randrange(10**10)) for name in ("input", "cached_input", "output"))
    cost = sum(picousd for _, picousd in parts)
    price = Priced(
        status="priced",
        cost_picousd=cost,
        list_cost_picousd=cost,
        components=parts,
        cache_savings_picousd=chance.randrange(10**9),
        rate=RateContent(
            rate_id=f"openai/{model}#0a1b2c3d",
            provider="openai",
            model=model,
            source="genai-prices",
            version="0.2.3",
            effective_from="",
            effective_to="",
            content={},
        ),
        match_rule="exact",
    )
    return Request(span=span, call=call, owner=owner, price=price, attempt=Attempt())


if __name__ == "__main__":
    main()
