"""
Every question that the dashboard asks of a ledger, timed at the size that it is promised for.

    python benchmarks/dashboard_queries.py [--requests 5000000] [--customers 2000] [--folder /somewhere]

Directional: prints figures of this machine, compares nothing; `CPU` is that of all threads, which other programs disturb
least. Data: 35 days up to now, 20 teams, 60 features, 13 models of which one got cheaper and one dearer ten days ago and
one has no price, customers of Zipf-like size that use five features each, a retry storm, failures, a service without a team,
features without customers, and an adjustment for every thousandth request. `fill` is for other programs too: it takes any empty
ledger that this process owns. A folder that already holds such a ledger is asked again without filling it.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

import orjson

from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.ledger.row import rate_row
from otel_llmcost.model import RateContent
from otel_llmcost.reports import (
    Period,
    active_customers,
    anomalies,
    compare,
    cost_quantiles,
    rate_changes,
    rates_in_use,
    requests,
    spend,
    what_changed,
)
from otel_llmcost.reports.cache_breaks import cache_breaks
from otel_llmcost.reports.caching import caching
from otel_llmcost.reports.gaps import unpriced, usage_gaps, without_usage
from otel_llmcost.reports.margin import margin
from otel_llmcost.reports.period import FIRST_DAY
from otel_llmcost.reports.quality import quality
from otel_llmcost.reports.unattributed import unattributed
from otel_llmcost.reports.waste import failures, waste

DAYS: Final = 35
CHANGED_DAYS_AGO: Final = 10
MODELS: Final = (
    # provider, model, USD per 1M input tokens, and ten days ago
    ("openai", "gpt-5.4", "2.5", "2.5"),
    ("openai", "gpt-5.4-mini", "0.75", "0.75"),
    ("openai", "gpt-5.4-nano", "0.2", "0.25"),
    ("anthropic", "claude-opus-4-8", "5", "5"),
    ("anthropic", "claude-sonnet-4-6", "3", "3"),
    ("anthropic", "claude-haiku-4-5", "1", "0.8"),
    ("gcp.gemini", "gemini-3-pro", "2", "2"),
    ("gcp.gemini", "gemini-3-flash", "0.3", "0.3"),
    ("mistral_ai", "mistral-large-3", "2", "2"),
    ("mistral_ai", "mistral-small-4", "0.1", "0.1"),
    ("deepseek", "deepseek-v4", "0.28", "0.28"),
    ("x_ai", "grok-5", "3", "3"),
    ("openai", "ft:house", "0", "0"),
)
_FILL: Final = """
INSERT INTO llm_requests (timestamp, trace_id, span_id, parent_span_id, response_id, service_name, dialect, scope_name,
    operation, provider, model, request_model, team, feature, customer_id, environment, action, action_id, owner_source,
    status, attempt_kind, attempt, wasted, duration_us, input_tokens, cached_input_tokens, output_tokens, price_status,
    reason, cost_usd, input_cost_usd, cached_input_cost_usd, output_cost_usd, cache_savings_usd, rate_id, rate_source,
    rate_version, match_rule, usage_convention, usage_gaps, batch_id)
WITH cityHash64(number, 1) AS a, cityHash64(number, 2) AS b, cityHash64(number, 3) AS c, cityHash64(number, 4) AS d,
    {since:DateTime64(6, 'UTC')} + toIntervalMicrosecond(intDiv(number * {span_us:UInt64}, {rows:UInt64})) AS at,
    toDate(at) = {storm:Date} AND c % 3 = 0 AS storm,
    toUInt32({customers:UInt32} * pow((c % 1000000) / 1000000, 4)) AS customer_number,
    if(storm, 3, toUInt32(60 * pow((cityHash64(customer_number, a % 5) % 100000) / 100000, 2))) AS feature_number,
    feature_number > 50 AND b % 10 = 9 AS unpriced,
    if(unpriced, 13, (feature_number * 7 + if(b % 10 < 8, 0, b % 3)) % 12 + 1) AS model_number,
    at < {changed:DateTime64(6, 'UTC')} AS early,
    200 + intDiv(a, 7) % 8000 AS fresh, if(b % 3 = 0, intDiv(c, 11) % 6000, 0) AS cached, (20 + intDiv(d, 13) % 1500) * if(storm, 8, 1) AS out,
    d % 50 = 0 AS failed, d % 25 = 2 OR (storm AND d % 3 > 0) AS retried,
    if(early, {prices_before:Array(Decimal(18, 12))}, {prices:Array(Decimal(18, 12))})[model_number] AS price
SELECT
    at, lower(hex(sipHash128(number))), lower(hex(cityHash64(number, 5))),
    if(b % 2 = 0, lower(hex(cityHash64(number, 6))), ''),
    concat('chatcmpl-', substring(base64Encode(sipHash128(number, 7)), 1, 22), substring(base64Encode(toString(a)), 1, 7)),
    concat('service-', toString(feature_number % 12)), 'semconv',
    concat('opentelemetry.instrumentation.', {providers:Array(String)}[model_number]), 'chat',
    {providers:Array(String)}[model_number], {models:Array(String)}[model_number], {models:Array(String)}[model_number],
    if(feature_number % 12 = 11, '(unattributed)', concat('team-', toString(feature_number % 20))),
    concat('feature-', toString(feature_number)),
    if(feature_number % 12 = 5, '(unattributed)', concat('cus_', hex(toUInt32(cityHash64(customer_number))))),
    ['production', 'staging'][(a % 10 = 0) + 1],
    if(c % 10 < 3, concat('action-', toString(feature_number % 30)), '(none)'),
    if(c % 10 < 3, lower(hex(cityHash64(number, 8))), ''), 'baggage',
    if(failed, 'error', 'success'), if(retried, 'retry', 'initial'), retried + 1, retried AND d % 2 = 0,
    300000 + intDiv(d, 17) % 9000000, if(failed, NULL, fresh), if(failed OR cached = 0, NULL, cached), if(failed, NULL, out),
    if(failed OR unpriced, 'unpriced', 'priced'), multiIf(failed, 'no_usage', unpriced, 'unknown_model', ''),
    if(failed OR unpriced, NULL, fresh * price + cached * price / 10 + out * price * 6),
    if(failed OR unpriced, NULL, fresh * price), if(failed OR unpriced, NULL, cached * price / 10),
    if(failed OR unpriced, NULL, out * price * 6), if(failed OR unpriced, NULL, cached * price - cached * price / 10),
    if(failed OR unpriced, '',
        if(early, {rate_ids_before:Array(String)}, {rate_ids:Array(String)})[model_number]),
    if(failed OR unpriced, '', 'genai-prices'), '0.2.3', 'exact', 'inclusive', if(b % 7 = 0, ['cache_write'], []),
    concat('segment-', toString(intDiv(number, 65536)))
FROM numbers({start:UInt64}, {count:UInt64})
"""
_ADJUST: Final = """
INSERT INTO llm_adjustments
SELECT *, -1 AS sign, trace_id AS of_trace_id, span_id AS of_span_id, 'response_id' AS adjustment_reason,
    timestamp AS adjusted_at
FROM llm_requests WHERE cityHash64(span_id) % 1000 = 0
"""
ROLLUPS: Final = ("spend_by_hour", "spend_by_customer_day", "spend_by_action_day", "spend_quantiles_by_day")
SPEND: Final = (
    *[((by,), (), None) for by in ("team", "feature", "model", "day", "action", "month")],
    (("day", "team"), (), 8),
    (("day", "customer"), (), 8),
    (("feature", "model"), (), 20),
    (("customer",), (), 20),
    (("customer",), ("team",), 20),
    (("day",), ("customer",), None),
    (("service",), (), 20),
)
"""By, filters, top."""
REQUESTS: Final = ((), ("team",), ("customer",), ("model",), ("status",), ("team", "customer"), ("price_status",))
_STEP: Final = 500_000
_TURNS: Final = 5


def fill(ledger: Ledger, *, requests: int, now: datetime, customers: int = 2000) -> None:
    """Fill an empty ledger that this process owns with so many requests of the 35 days before `now`, merged."""
    since = datetime(now.year, now.month, now.day, tzinfo=UTC) - timedelta(days=DAYS - 1)
    changed = now - timedelta(days=CHANGED_DAYS_AGO)
    before = [_rate(*model[:2], model[3], "", changed) for model in MODELS]
    after = [
        _rate(*model[:3], changed if model[2] != model[3] else "", "") if model[2] != model[3] else rate
        for model, rate in zip(MODELS, before, strict=True)
    ]
    bound = {
        "since": since,
        "span_us": (now - since) // timedelta(microseconds=1),
        "rows": requests,
        "customers": customers,
        "changed": changed,
        "storm": now.date() - timedelta(days=5),
        "models": [model[1] for model in MODELS],
        "providers": [model[0] for model in MODELS],
        "prices": [Decimal(model[2]).scaleb(-6) for model in MODELS],
        "prices_before": [Decimal(model[3]).scaleb(-6) for model in MODELS],
        "rate_ids": [rate.rate_id for rate in after],
        "rate_ids_before": [rate.rate_id for rate in before],
    }
    migrations.apply(ledger)
    rows = [rate_row(rate) for rate in {rate.rate_id: rate for rate in (*before, *after)}.values()]
    lines = b"\n".join(orjson.dumps({"batch_id": "rates", **row}) for row in rows)
    ledger.insert("llm_rates", lines, token="rates")  # noqa: S106  # no password
    for start in range(0, requests, _STEP):
        ledger.command(_FILL, {**bound, "start": start, "count": min(_STEP, requests - start)}, what="fill")
    ledger.command(_ADJUST, what="adjust")
    for table in ("llm_requests", "llm_adjustments", *ROLLUPS):
        ledger.command("OPTIMIZE TABLE {table:Identifier} FINAL", {"table": table}, what="merge")


def _rate(provider: str, model: str, price: str, since: datetime | str, until: datetime | str) -> RateContent:
    start, end = (str(each.isoformat()) if isinstance(each, datetime) else each for each in (since, until))
    dollars = Decimal(price)
    prices = {"input_tokens": price, "cached_input_tokens": f"{dollars / 10}", "output_tokens": f"{dollars * 6}"}
    return RateContent(
        rate_id=f"{provider}/{model}#{hashlib.sha256(f'{price} {start}'.encode()).hexdigest()[:12]}",
        provider=provider,
        model=model,
        source="genai-prices",
        version="0.2.3",
        effective_from=start,
        effective_to=end,
        content={"provider": provider, "model": model, "prices": prices},
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=5_000_000)
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--folder", type=Path, help="kept afterwards; asked again if it is a ledger")
    parser.add_argument("--only", default="", help="the questions whose names have this in them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmcost-dashboard-") as temporary:
        folder = arguments.folder or Path(temporary)
        with connect(f"chdb://{folder}") as ledger:
            migrations.apply(ledger)
            newest = newest_request(ledger)
            if newest is None:
                newest, started = datetime.now(UTC), time.perf_counter()
                fill(ledger, requests=arguments.requests, now=newest, customers=arguments.customers)
                print(f"{arguments.requests:,} requests filled in and merged in {time.perf_counter() - started:.0f} s")
            measure(ledger, newest, arguments.only)


def newest_request(ledger: Ledger) -> datetime | None:
    rows = requests(ledger, since=FIRST_DAY, until=date(2149, 6, 6), limit=1)
    return rows[0].timestamp if rows else None


def measure(ledger: Ledger, now: datetime, only: str) -> None:
    print(f"{'':<52}{'first':>9}{'best':>9}{'CPU':>9}  ms")
    for name, ask in questions(ledger, now):
        if only not in name:
            continue
        walls, cpus = [], []
        for _ in range(_TURNS):
            wall, cpu = time.perf_counter(), time.process_time()
            ask()
            walls.append(1000 * (time.perf_counter() - wall))
            cpus.append(1000 * (time.process_time() - cpu))
        print(f"{name:<52}{walls[0]:>9.0f}{min(walls):>9.0f}{min(cpus):>9.0f}")


def questions(ledger: Ledger, now: datetime) -> Iterator[tuple[str, Callable[[], object]]]:
    """Give every question by name: of the last 30 days, and what the seven days so far are compared with."""
    tomorrow = now.date() + timedelta(days=1)
    month, week = Period(tomorrow - timedelta(days=30), tomorrow), Period(tomorrow - timedelta(days=7), tomorrow)
    since, until = month.since, month.until
    customer = [row.key[0] for row in spend(ledger, ["customer"], since=since, until=until, top=3).rows][2]
    values = {
        "team": "team-3",
        "customer": customer,
        "model": "gpt-5.4",
        "status": "error",
        "price_status": "unpriced",
    }
    for by, names, top in SPEND:
        where = {name: values[name] for name in names}
        label = f"spend by {', '.join(by)}{_of(names)}"
        yield label, partial(spend, ledger, by, since=since, until=until, where=where, top=top)
    yield from compared(ledger, week, now, values)
    yield "anomalies", partial(anomalies, ledger, period=month, now=now)
    yield "anomalies of a team", partial(anomalies, ledger, period=month, now=now, where={"team": "team-3"})
    yield "rate changes", partial(rate_changes, ledger, period=month)
    yield "rates in use", partial(rates_in_use, ledger, period=month)
    for names in REQUESTS:
        where = {name: values[name] for name in names}
        yield f"newest 50 requests{_of(names)}", partial(requests, ledger, since=since, until=until, where=where)
    for each in ("team", "day"):
        yield f"distribution of costs by {each}", partial(cost_quantiles, ledger, each, since=since, until=until)
    yield "usage gaps", partial(usage_gaps, ledger, since=since, until=until)
    yield "requests without usage", partial(without_usage, ledger, since=since, until=until)
    yield "requests without a price", partial(unpriced, ledger, since=since, until=until)
    for ask in (unattributed, quality, margin, cache_breaks, failures):
        yield ask.__name__.replace("_", " "), partial(ask, ledger, period=month)
    for ask in (waste, caching):
        yield f"{ask.__name__} by feature", partial(ask, ledger, "feature", period=month)


def compared(
    ledger: Ledger, week: Period, now: datetime, values: Mapping[str, str]
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Give the questions about two windows."""
    longer = Period(week.until - timedelta(days=17), week.until)
    team, customer = ({name: values[name]} for name in ("team", "customer"))
    for by in ("team", "model", "customer", "service"):
        yield f"compare by {by}, 7 days", partial(compare, ledger, by, period=week, now=now, top=8)
    yield (
        "compare by customer of a team, 7 days",
        partial(compare, ledger, "customer", period=week, now=now, where=team),
    )
    yield "compare by team, 17 days", partial(compare, ledger, "team", period=longer, now=now)
    yield "active customers, 7 days", partial(active_customers, ledger, period=week, now=now)
    yield "what changed, 7 days", partial(what_changed, ledger, period=week, now=now)
    yield "what changed, 17 days", partial(what_changed, ledger, period=longer, now=now)
    yield "what changed of a customer, 7 days", partial(what_changed, ledger, period=week, now=now, where=customer)


def _of(names: tuple[str, ...]) -> str:
    return "".join(f" of a {name}" for name in names)


if __name__ == "__main__":
    main()
