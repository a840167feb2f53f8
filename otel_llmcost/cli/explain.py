"""`otel-llmcost explain`: the arithmetic of a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

import click

from otel_llmcost.cli._options import dsn_option, table_or_json
from otel_llmcost.cli._output import Column, print_facts, print_json, print_table, print_text
from otel_llmcost.reports import ExplainedRequest
from otel_llmcost.reports import explain as find_explained
from otel_llmcost.reports.money import exact_usd, sum_usd
from otel_llmcost.reports.session import open_ledger
from otel_llmcost.settings import Settings
from otel_llmcost.verify.duplicates import COPY

__all__ = ["explain"]


@click.command()
@click.argument("id")
@table_or_json
@dsn_option
def explain(id: str, format: str, dsn: str | None) -> None:
    """
    Show why a request cost what it cost: every count, its unit price, the price's source and date.

    ID is a request, response, trace or span id; every request that it names is shown.

    \b
    Examples:
      otel-llmcost explain chatcmpl-CDp4Qn2
      otel-llmcost explain 4d7eaaf6323a1a38 --format json
    """
    with open_ledger(Settings.from_env(), dsn) as ledger:
        found = find_explained(ledger, id)
    if format == "json":
        print_json([_json(each) for each in found])
        return
    for number, each in enumerate(found):
        if number:
            click.echo()
        _print(each)
    if len(found) > 1:
        known = [each.final_cost_usd for each in found if each.final_cost_usd is not None]
        unknown = f", and {len(found) - len(known)} whose cost is not known" if len(known) < len(found) else ""
        click.echo()
        print_text(f"{len(found)} requests, together ${exact_usd(sum_usd(known))}{unknown}")


def _print(found: ExplainedRequest) -> None:
    row = found.row
    print_text(f"{_instant(row['timestamp'])}  {row['provider']} {row['model']}  {_cost(row)}")
    print_facts([(name, text) for name, text in _facts(found) if text])
    if found.lines:
        click.echo()
        print_table(_ARITHMETIC, list(_arithmetic(found)))
    if not found.agrees:
        print_text(
            "The stored cost is not what the rate's content gives: run this again with the version that priced it."
        )
    for line in _copies(found):
        print_text(line)
    for each in found.adjustments:
        change = "taken back" if each["sign"] == -1 else "added"
        owner = f"{each['team']} / {each['feature']} / {each['customer_id']}"
        print_text(
            f"Adjusted {_instant(each['adjusted_at'])}: {_cost(each)} {change}, {owner} ({each['adjustment_reason']})"
        )
    if found.adjustments:
        print_text(f"After adjustments: {_usd(found.final_cost_usd, found.is_lower_bound)}")


def _copies(found: ExplainedRequest) -> Iterator[str]:
    if not found.copies:
        return
    taken = sum(1 if row["sign"] == -1 else -1 for row in found.adjustments if row["adjustment_reason"] == COPY)
    yield f"Stored {_times(1 + len(found.copies))}, taken back {_times(taken)} as a copy."
    for row in found.copies:
        yield f"Copy of {_instant(row['timestamp'])}: {_cost(row)}"
    if taken < len(found.copies):
        total = _usd(found.final_cost_usd, found.is_lower_bound)
        yield f"The bill has {total} for it: `otel-llmcost repair` takes back all but one."


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


_ARITHMETIC = [
    Column("Count", whole=True),
    Column("Quantity", right=True),
    Column("Price", right=True, keep=3),
    Column("Unit", keep=3),
    Column("Cost", right=True),
]


def _arithmetic(found: ExplainedRequest) -> Iterator[list[str]]:
    for line in found.lines:
        price = "no rate" if line.unit_price is None else f"${line.unit_price}"
        unit = line.unit.removesuffix(" tokens")
        if line.tier is not None:
            unit += f", above {line.tier:,} of input"
        cost = "not known" if line.cost_usd is None else f"${exact_usd(line.cost_usd)}"
        yield [line.count, f"{line.quantity:,}", price, unit, cost]
    yield ["Total", "", "", "", _cost(found.row)]


def _facts(found: ExplainedRequest) -> Iterator[tuple[str, str]]:
    row = found.row
    yield "price", _words(row["price_status"], row["reason"], row["detail"])
    if not found.lines:
        yield "parts", ", ".join(f"{name} ${exact_usd(cost)}" for name, cost in found.components)
    yield "rate", _rate(found)
    yield "matched", f"{row['match_rule']}, asked for {row['request_model']}" if row["match_rule"] else ""
    yield (
        "usage",
        _words(row["usage_convention"], "gaps: " + ", ".join(_names(row["usage_gaps"])) if row["usage_gaps"] else ""),
    )
    yield "no rate for", ", ".join(_names(row["missing_rates"]))
    yield "context", _words(row["service_tier"], row["speed"], row["region"], "batch" if row["batch"] else "")
    yield (
        "provider says",
        "" if row["provider_cost_usd"] is None else f"${exact_usd(_decimal(row['provider_cost_usd']))}",
    )
    yield (
        "owner",
        f"team {row['team']}, feature {row['feature']}, customer {row['customer_id']}, environment {row['environment']}",
    )
    yield "owner from", str(row["owner_source"])
    yield "action", "" if row["action"] == "(none)" else f"{row['action']} {row['action_id']}"
    yield "status", _words(row["status"], row["error_type"])
    yield (
        "attempt",
        _words(f"{row['attempt']}: {row['attempt_kind']}", row["attempt_source"], "wasted" if row["wasted"] else ""),
    )
    yield "request", str(row["request_id"])
    yield "response", str(row["response_id"])
    yield "trace, span", f"{row['trace_id']} {row['span_id']}"
    yield "seen by", _words(row["service_name"], row["scope_name"], row["dialect"])


def _rate(found: ExplainedRequest) -> str:
    row, rate = found.row, found.rate
    if rate is None:
        return _words(row["rate_id"], row["rate_source"], row["rate_version"])
    since = f"from {rate.effective_from}" if rate.effective_from else "since launch"
    source, checked = rate.content.get("source"), rate.content.get("checked")
    return _words(rate.rate_id, f"{rate.source} {rate.version}", since, source, f"checked {checked}" if checked else "")


def _words(*parts: object) -> str:
    return ", ".join(str(part) for part in parts if part)


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list | tuple) else []


def _instant(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S.%f} UTC" if isinstance(value, datetime) else str(value)


def _cost(row: Mapping[str, object]) -> str:
    cost = None if row["cost_usd"] is None else _decimal(row["cost_usd"])
    return _usd(cost, row["price_status"] == "partial" and row.get("sign", 1) == 1)


def _usd(cost: Decimal | None, is_lower_bound: bool) -> str:
    if cost is None:
        return "cost not known"
    return f"{'≥ ' if is_lower_bound else ''}${exact_usd(cost)}"


def _decimal(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _json(found: ExplainedRequest) -> dict[str, object]:
    return {
        "request": _plain(found.row),
        "copies": [_plain(row) for row in found.copies],
        "arithmetic": [_plain(asdict(line)) for line in found.lines],
        "rate": None if found.rate is None else {name: getattr(found.rate, name) for name in _RATE},
        "adjustments": [_plain(row) for row in found.adjustments],
        "final_cost_usd": None if found.final_cost_usd is None else exact_usd(found.final_cost_usd),
    }


_RATE = ("rate_id", "source", "version", "effective_from", "effective_to", "content")


def _plain(row: Mapping[str, object]) -> dict[str, object]:
    return {name: exact_usd(value) if isinstance(value, Decimal) else value for name, value in row.items()}
