"""
Panels of spend: a table by owner, a measure over time, and a period's sums, each from the one query behind all reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from grafana.panels import headline, ledger_query, series, spend, table

__all__ = ["ABOUT_BOUNDS", "BOUND", "LINKS", "by_owner", "over_time", "rows_of", "some_of", "sums"]

OWNERS: Final = "/d/llmcost-owners?${__url_time_range}"
CHOSEN: Final = "${__value.raw:percentencode}"
LINKS: Final = {
    "team": f"{OWNERS}&var-team={CHOSEN}",
    "feature": f"{OWNERS}&${{team:queryparam}}&var-feature={CHOSEN}",
    "customer_id": f"{OWNERS}&${{team:queryparam}}&${{feature:queryparam}}&var-customer={CHOSEN}",
    "model": f"{OWNERS}&var-model={CHOSEN}",
}
HOUR: Final = "toUnixTimestamp($__timeInterval(s.hour))"
BOUND: Final = "if(t.partial_requests + t.unpriced_requests != 0, '≥', '')"
MONEY: Final = (
    "cost_usd",
    "list_cost_usd",
    "wasted_cost_usd",
    "retry_cost_usd",
    "fallback_cost_usd",
    "cache_savings_usd",
)
ABOUT_BOUNDS: Final = (
    "≥: a lower bound. Some of these requests have no known price, or a count without a published rate; "
    "they are in the columns Unpriced and Partial."
)


def some_of(names: Sequence[str]) -> str:
    """Select these measures of `t`, money as numbers that Grafana knows."""
    return ", ".join(f"toFloat64(t.{name}) AS {name}" if name in MONEY else f"t.{name} AS {name}" for name in names)


def rows_of(name: str, *money: str, **fill: str) -> str:
    """Give a query of the ledger as it is, its money as numbers that Grafana knows."""
    as_numbers = ", ".join(f"toFloat64(t.{column}) AS {column}" for column in money)
    columns = f"t.* REPLACE ({as_numbers})" if money else "t.*"
    return f"SELECT {columns}\nFROM (\n{ledger_query(name, fill)}\n) AS t LIMIT 200"


def by_owner(
    title: str, column: str, *, top: int = 0, where: Sequence[str] = (), links: bool = True, width: int = 12
) -> dict[str, Any]:
    """Spend by one column, those that cost most first, the rest as one row."""
    source = "spend_by_customer_day" if column == "customer_id" or "customer" in where else "spend_by_hour"
    shown = ("cost_usd", "requests", "unpriced_requests", "partial_requests", "wasted_cost_usd", "cache_savings_usd")
    sql = (
        f"SELECT if(t.is_rest, '(other)', t.folded) AS {column}, {BOUND} AS bound, {some_of(shown)}\n"
        f"FROM (\n{spend(column, source=source, top=top, where=where)}\n) AS t ORDER BY t.is_rest, t.cost_usd DESC, t.folded"
    )
    days = " Whole UTC days." if source == "spend_by_customer_day" else ""
    chosen = {column: LINKS[column]} if links else {}
    return table(title, sql, (column, "bound", *shown), about=ABOUT_BOUNDS + days, links=chosen, size=(width, 9))


def over_time(title: str, column: str, measure: str, *, where: Sequence[str] = (), top: int = 8) -> dict[str, Any]:
    """One measure of spend, by one column, over time."""
    sql = (
        f"SELECT toDateTime(toUInt32(t.beside), 'UTC') AS time, if(t.is_rest, '(other)', t.folded) AS {column}, "
        f"toFloat64(sum(t.{measure})) AS {measure}\n"
        f"FROM (\n{spend(column, HOUR, top=top, where=where)}\n) AS t GROUP BY time, {column} ORDER BY time, {column}"
    )
    return series(title, sql, "currencyUSD" if measure in MONEY else "short")


def sums(title: str, where: Sequence[str], extra: Sequence[str] = ()) -> dict[str, Any]:
    """The whole period in single numbers, and whether the cost is all of it."""
    source = "spend_by_customer_day" if "customer" in where else "spend_by_hour"
    money = ("cost_usd", *extra)
    columns = (*money, "completeness", "requests", "unpriced_requests", "partial_requests", "without_team_usd")
    sql = (
        f"SELECT {', '.join(f'toFloat64(sum(t.{name})) AS {name}' for name in money)},\n"
        "    if(sum(t.unpriced_requests + t.partial_requests) != 0, 'lower bound', 'complete') AS completeness,\n"
        "    sum(t.requests) AS requests, sum(t.unpriced_requests) AS unpriced_requests,\n"
        "    sum(t.partial_requests) AS partial_requests, toFloat64(sum(t.without_team_usd)) AS without_team_usd\n"
        f"FROM (\n{spend('team', source=source, where=where)}\n) AS t"
    )
    about = (
        "Without team: the part of the cost whose requests name no team. A lower bound is no total: see its requests."
    )
    return headline(title, sql, columns, about)
