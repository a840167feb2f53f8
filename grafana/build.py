"""
The dashboards for Grafana, built from the ledger's own queries: `make grafana` writes grafana/dashboards/*.json.

Times are UTC. Money is exact in the ledger and becomes a floating-point number in Grafana.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from grafana.panels import (  # noqa: E402  # as a script, the root is on the path only now
    VARIABLES,
    condition,
    dashboard,
    headline,
    ledger_query,
    series,
    spend,
    table,
    text,
)
from grafana.spending import ABOUT_BOUNDS, BOUND, LINKS, by_owner, over_time, rows_of, some_of, sums  # noqa: E402
from otel_llmcost.pricing.context import STANDARD  # noqa: E402

DASHBOARDS: Final = ROOT / "grafana" / "dashboards"
ALL: Final = tuple(VARIABLES)
_NARROWED: Final = ("error_type", "reason", "action_id", "gap", "rate_id")
NEWEST: Final = {
    "first": "toDateTime64($__fromTime, 6, 'UTC')",
    "last": "toDateTime64($__toTime, 6, 'UTC')",
    **dict.fromkeys(("by_cost", "wasted"), "false"),
    **dict.fromkeys(("reach", "cost_key"), "toDecimal128(0, 12)"),
    **dict.fromkeys(("reach_at", "at"), "toDateTime64(0, 6, 'UTC')"),
    **dict.fromkeys(_NARROWED, "CAST(NULL, 'Nullable(String)')"),
    "limit": "200",
    "skip": "0",
}
"""The list of requests as it begins: the newest, narrowed by nothing."""


def overview() -> dict[str, Any]:
    """What was spent, by whom and on what."""
    where = ("environment",)
    return dashboard(
        "llmcost-overview",
        "LLM cost: overview",
        "What was spent, by whom, on which models, and how sure that is.",
        [
            sums("Period", where, ("wasted_cost_usd", "cache_savings_usd")),
            over_time("Cost by team", "team", "cost_usd", where=where),
            over_time("Requests without a known cost, by model", "model", "unpriced_requests", where=where),
            by_owner("Teams", "team", where=where),
            by_owner("Models", "model", where=where),
            by_owner("Features", "feature", top=20, where=where),
            by_owner("Customers", "customer_id", top=20, where=where),
        ],
        ("team", "feature", "environment"),
    )


def owners() -> dict[str, Any]:
    """Team -> feature -> customer -> request."""
    newest = ledger_query("requests", NEWEST, [condition(name) for name in ALL])
    shown = (
        "timestamp",
        "request_id",
        "trace_id",
        "team",
        "feature",
        "customer_id",
        "model",
        "status",
        "attempt_kind",
        "price_status",
        "reason",
        "input_tokens",
        "cached_input_tokens",
        "output_tokens",
        "sign",
    )
    rows = f"SELECT {', '.join(f't.{name} AS {name}' for name in shown)}, toFloat64(t.cost_usd) AS cost_usd\nFROM (\n{newest}\n) AS t"
    return dashboard(
        "llmcost-owners",
        "LLM cost: owners",
        "From a team to its features, their customers, and single requests: click a name to look into it.",
        [
            sums("What is chosen above (whole UTC days)", ALL),
            by_owner("Teams", "team", where=ALL),
            by_owner("Features", "feature", where=ALL, top=50),
            by_owner("Customers", "customer_id", where=ALL, top=50),
            by_owner("Models", "model", where=ALL),
            over_time("Cost by feature (all customers)", "feature", "cost_usd", where=ALL),
            table(
                "The newest 200 requests and corrections",
                rows,
                (*shown, "cost_usd"),
                about="A correction has a sign: -1 takes a charge back. An empty cost is not known, which is not 0. "
                "`otel-llmcost explain <request id>` shows the arithmetic.",
                links={"customer_id": LINKS["customer_id"]},
                size=(24, 12),
            ),
        ],
        ALL,
    )


def retries() -> dict[str, Any]:
    """What retries, fallbacks and failures cost."""
    where = ("team", "feature", "environment", "model")
    measures = ("wasted_cost_usd", "retry_cost_usd", "fallback_cost_usd")
    shown = ("cost_usd", *measures, "requests", "failed_without_usage", "unpriced_requests", "partial_requests")
    sql = (
        f"SELECT t.folded AS feature, t.beside AS model, {BOUND} AS bound, {some_of(shown)}\n"
        f"FROM (\n{spend('feature', 's.model', where=where)}\n) AS t\n"
        "WHERE t.wasted_cost_usd != 0 OR t.retry_cost_usd != 0 OR t.fallback_cost_usd != 0 OR t.failed_without_usage != 0\n"
        "ORDER BY t.wasted_cost_usd DESC, feature, model LIMIT 200"
    )
    return dashboard(
        "llmcost-retries",
        "LLM cost: retries and waste",
        "Waste: failed, timed-out and cancelled requests that cost something, and retries and fallbacks whose predecessor "
        "was charged too; each request once. All spend on retries and fallbacks stands beside it.",
        [
            sums("Period", where, measures),
            over_time("Waste by model", "model", "wasted_cost_usd", where=where),
            over_time("Retries by feature", "feature", "retry_cost_usd", where=where),
            over_time("Requests by status", "status", "requests", where=where),
            table("Where it happens", sql, ("feature", "model", "bound", *shown), about=ABOUT_BOUNDS, size=(24, 10)),
        ],
        where,
    )


def cache() -> dict[str, Any]:
    """What caching of input saves."""
    where = ("team", "feature", "environment", "model")
    tokens = ("input_tokens", "cached_input_tokens", "cache_write_tokens")
    shown = ("cost_usd", "cache_savings_usd", "unpriced_requests", "partial_requests", *tokens)
    part = "t.cached_input_tokens / nullIf(t.input_tokens + t.cached_input_tokens + t.cache_write_tokens, 0)"
    sql = (
        f"SELECT t.folded AS feature, t.beside AS model, {BOUND} AS bound, {part} AS cached_share, {some_of(shown)}\n"
        f"FROM (\n{spend('feature', 's.model', where=where)}\n) AS t ORDER BY t.cost_usd DESC, feature, model LIMIT 200"
    )
    return dashboard(
        "llmcost-cache",
        "LLM cost: caching",
        "Savings: what cached input would have cost as fresh input, less what writing it into the cache cost extra; negative "
        "where writes cost more than reads saved.",
        [
            sums("Period", where, ("cache_savings_usd",)),
            over_time("Savings by model", "model", "cache_savings_usd", where=where),
            over_time("Cached input tokens by model", "model", "cached_input_tokens", where=where),
            over_time("Fresh input tokens by model", "model", "input_tokens", where=where),
            table(
                "Features and models",
                sql,
                ("feature", "model", "bound", "cached_share", *shown),
                about=ABOUT_BOUNDS,
                size=(24, 10),
            ),
        ],
        where,
    )


def rates() -> dict[str, Any]:
    """Which rates applied, and what has none."""
    standard = str(sorted(STANDARD))
    return dashboard(
        "llmcost-rates",
        "LLM cost: rates and unpriced requests",
        "Which requests have no price and why, which rates applied, and what spans cannot show. Whole UTC days.",
        [
            table(
                "How requests were priced",
                rows_of("verify_statuses", "cost_usd"),
                ("price_status", "reason", "requests", "cost_usd"),
            ),
            table(
                "No price, or not all of it",
                rows_of("usage_gaps_unpriced", standard=standard),
                (
                    "provider",
                    "model",
                    "price_status",
                    "reason",
                    "missing_rates",
                    "requests",
                    "input_tokens",
                    "output_tokens",
                ),
                about="A rate card for them is what is missing: docs/rate-cards.md.",
            ),
            table(
                "Rates in use",
                "SELECT c.rate_id AS rate_id, any(c.rate_source) AS rate_source, any(c.rate_version) AS rate_version,\n"
                "    sum(toInt64(c.sign)) AS requests, toFloat64(sum(c.sign * ifNull(c.cost_usd, 0))) AS cost_usd\n"
                "FROM llm_charges AS c WHERE c.rate_id != '' AND c.timestamp >= $__fromTime AND c.timestamp <= $__toTime\n"
                "GROUP BY rate_id ORDER BY cost_usd DESC, rate_id LIMIT 200",
                ("rate_id", "rate_source", "rate_version", "requests", "cost_usd"),
            ),
            table(
                "What spans cannot show",
                rows_of("usage_gaps", "cost_usd"),
                ("scope_name", "dialect", "provider", "gaps", "requests", "cost_usd"),
                about="A charge is in exactly one row. No gaps: every count is shown. See docs/usage-gaps.md.",
            ),
            table(
                "Charges whose rate's content is missing",
                rows_of("verify_rates"),
                ("rate_id", "charges"),
                about="Empty is right: every other charge can be explained.",
                size=(24, 5),
            ),
        ],
    )


def pipeline() -> dict[str, Any]:
    """Whether rows arrive, and how."""
    period = "c.timestamp >= $__fromTime AND c.timestamp <= $__toTime"
    newest = (
        "SELECT toFloat64(dateDiff('second', max(r.timestamp), now('UTC'))) AS newest_row_age_seconds, count() AS requests,\n"
        "    uniqExact(r.batch_id) AS batches, uniqExact(r.service_name) AS services\n"
        "FROM llm_requests AS r WHERE r.timestamp >= $__fromTime AND r.timestamp <= $__toTime HAVING count() > 0"
    )

    def charges(column: str, name: str, what: str) -> str:
        return (
            f"SELECT toDateTime(toUnixTimestamp($__timeInterval(c.timestamp)), 'UTC') AS time, {column} AS {name}, count() AS {what}\n"
            f"FROM llm_charges AS c WHERE {period} GROUP BY time, {name} ORDER BY time, {name}"
        )

    corrections = charges("c.adjustment_reason", "adjustment_reason", "corrections").replace(
        " GROUP BY", " AND c.adjustment_reason != '' GROUP BY"
    )
    return dashboard(
        "llmcost-pipeline",
        "LLM cost: pipeline",
        "Whether rows arrive, from whom, and what was corrected. What still waits in a journal cannot be seen from the "
        "ledger: the metrics `otel_llmcost.journal.*` tell it (docs/metrics.md).",
        [
            headline("Arrivals", newest, ("newest_row_age_seconds", "requests", "batches", "services")),
            series("Charges by service", charges("c.service_name", "service_name", "requests"), "short", interval="1m"),
            series("Corrections by reason", corrections, "short", interval="1m"),
            table(
                "Batches marked for repair",
                rows_of("verify_marks", first="'000000'", last="'999999'"),
                ("month", "table", "batches", "reason", "last_marked_at"),
                about="Empty is right. `otel-llmcost verify` says whether a rollup really lacks them.",
            ),
            table(
                "Charges in the future",
                rows_of("verify_future"),
                ("service_name", "charges", "latest"),
                about="Empty is right: a clock is wrong otherwise.",
            ),
            table(
                "Tables",
                "SELECT p.table AS table, toInt64(sum(p.rows)) AS table_rows, toInt64(sum(p.bytes_on_disk)) AS disk_bytes,\n"
                "    count() AS active_parts, uniqExact(p.partition) AS months\n"
                "FROM system.parts AS p WHERE p.active AND p.database = currentDatabase() GROUP BY table ORDER BY disk_bytes DESC",
                ("table", "table_rows", "disk_bytes", "active_parts", "months"),
                about="More than about 300 active parts in one month: inserts are too small (docs/scale.md).",
                size=(24, 8),
            ),
            text(
                "`otel-llmcost verify` compares every rollup with its rows; `otel-llmcost doctor` looks at the machine it runs on."
            ),
        ],
    )


def files() -> dict[str, str]:
    """Give every dashboard's file and its content."""
    made = (overview(), owners(), retries(), cache(), rates(), pipeline())
    return {
        f"{each['uid'].removeprefix('llmcost-')}.json": json.dumps(each, indent=1, ensure_ascii=False) + "\n"
        for each in made
    }


def main() -> None:
    """Write them."""
    DASHBOARDS.mkdir(exist_ok=True)
    for name, content in files().items():
        (DASHBOARDS / name).write_text(content)


if __name__ == "__main__":
    main()
