"""What the ledger shows: spend through instrumentations that hide money, charges without a cost, spend without an owner."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Final

from otel_llmcost.doctor.finding import Finding
from otel_llmcost.doctor.remedies import GAPS, remedy
from otel_llmcost.doctor.snippets import rate_card
from otel_llmcost.ledger import Answers
from otel_llmcost.model import UNATTRIBUTED
from otel_llmcost.reports.gaps import GapReport, GapRow, UnpricedRow, WithoutUsage, unpriced, without_usage
from otel_llmcost.reports.money import share, usd
from otel_llmcost.reports.period import Period
from otel_llmcost.reports.spend import spend

__all__ = ["gap_findings", "no_usage_findings", "owner_findings", "spending_findings", "unpriced_findings"]

_SERVICES: Final = 5
_MODELS: Final = 20
_DOCS: Final = "docs/usage-gaps.md"
_CARDS: Final = "docs/rate-cards.md"

_STREAMS: Final = "Read streams to their end: an abandoned one reports no usage."
_OPENAI_STREAMS: Final = "And have OpenAI's chat API report it on streams, which it does only when asked:"
_OPENAI_OPTION: Final = 'stream_options={"include_usage": True}'


def spending_findings(ledger: Answers, gaps: GapReport) -> Iterator[Finding]:
    """Ask a ledger everything that makes its bill wrong or incomplete in the period of `gaps`. Raises `LedgerError`."""
    period = gaps.period
    yield from gap_findings(gaps)
    yield from no_usage_findings(without_usage(ledger, since=period.since, until=period.until))
    yield from unpriced_findings(unpriced(ledger, since=period.since, until=period.until))
    yield from owner_findings(ledger, period)


def gap_findings(report: GapReport) -> Iterator[Finding]:
    """Name each instrumentation that hides money, how much was spent through it, and what to do about it."""
    whose = attrgetter("scope_name", "dialect", "provider")
    rows = sorted((row for row in report.rows if row.gaps and row.cost_usd), key=whose)
    grouped = [list(group) for _, group in groupby(rows, key=whose)]
    for group in sorted(grouped, key=_cost, reverse=True):
        yield _gap_finding(group, report.total_usd)
    total = report.total_usd
    if total:
        part = f"{usd(report.complete_usd)} of {usd(total)} ({share(report.complete_usd, total)})"
        yield Finding(severity="ok", subject="complete spans", what=f"{part} came through spans that hide nothing")


def _gap_finding(rows: list[GapRow], total: Decimal) -> Finding:
    first, cost = rows[0], _cost(rows)
    gaps = {gap for row in rows for gap in row.gaps}
    known = [gap for gap in GAPS if gap in gaps]
    effects = "; ".join(f"{gap} ({GAPS[gap].effect})" for gap in known)
    way = remedy(first.scope_name, first.provider)
    return Finding(
        severity="warning" if any(GAPS[gap].costs for gap in known) else "ok",
        subject=first.scope_name or first.dialect,
        what=f"{usd(cost)} ({share(cost, total)} of spend, {first.provider or 'no provider named'}) came through spans "
        f"that may hide {effects}",
        fix=way.fix,
        snippet=way.command,
        link=way.link,
    )


def _cost(rows: list[GapRow]) -> Decimal:
    return sum((row.cost_usd for row in rows), Decimal(0))


def no_usage_findings(rows: tuple[WithoutUsage, ...]) -> Iterator[Finding]:
    """Name the instrumentations whose requests reported no usage; plain failures raise no alarm."""
    for row in rows:
        if row.status == "error":
            continue
        succeeded, asks = row.status == "success", row.provider in ("openai", "azure.ai.openai")
        yield Finding(
            severity="problem" if succeeded else "warning",
            subject=f"no usage: {row.scope_name or row.dialect}",
            what=f"{_requests(row.requests)} to {row.provider or 'an unnamed provider'} "
            f"{'succeeded' if succeeded else 'ended as ' + row.status} without usage: the cost is not known, and in "
            "no sum",
            fix=f"{_STREAMS} {_OPENAI_STREAMS}" if asks else _STREAMS,
            snippet=_OPENAI_OPTION if asks else "",
            link=_DOCS,
        )


def unpriced_findings(rows: tuple[UnpricedRow, ...]) -> Iterator[Finding]:
    """Name the models without a price, with the rate card that would give them one."""
    for row in rows[:_MODELS]:
        yield _unpriced_finding(row)
    if len(rows) > _MODELS:
        more = sum(row.requests for row in rows[_MODELS:])
        yield Finding(
            severity="problem",
            subject="unpriced: others",
            what=f"{len(rows) - _MODELS} further models have {_requests(more)} without a whole price",
            fix="otel-llmcost report --by provider,model --where price_status=unpriced",
            link=_CARDS,
        )


def _unpriced_finding(row: UnpricedRow) -> Finding:
    bound = row.price_status == "partial"
    missing = f", for {', '.join(row.missing_rates)}" if row.missing_rates else ""
    effect = "their cost is a lower bound" if bound else "their cost is in no sum"
    snippet = rate_card(row)
    return Finding(
        severity="warning" if bound else "problem",
        subject=f"unpriced: {row.model or '(no model)'}, {row.provider or '(no provider)'}",
        what=f"{_requests(row.requests)} with {row.tokens:,} tokens have no whole price ({row.reason}{missing}): {effect}",
        fix=_unpriced_fix(row, snippet),
        snippet=snippet,
        link=_CARDS,
    )


def _unpriced_fix(row: UnpricedRow, snippet: str) -> str:
    if snippet:
        return "Put your prices for PRICE, save it as a rate card, and name its file in OTEL_LLMCOST_RATE_CARDS:"
    if row.reason == "prices_not_loaded":
        later = "otel-llmcost repair prices them; with --apply it stores that."
        return (
            f"{later} To have prices in time, make the processor at the start of the process: they load within seconds."
        )
    if not row.provider or not row.model:
        return "Have the spans name both: set gen_ai.provider.name and gen_ai.request.model."
    return f"Their counts contradict each other: see one with otel-llmcost requests --where model={row.model}."


def owner_findings(ledger: Answers, period: Period) -> Iterator[Finding]:
    """Name the services whose spend has no team. Raises `LedgerError`."""
    within = partial(spend, ledger, since=period.since, until=period.until)
    lacking = within(["service"], where={"team": UNATTRIBUTED}, top=_SERVICES)
    total = within(["month"]).total.cost_usd
    missing = lacking.total.cost_usd
    if not missing:
        if total:
            yield Finding(severity="ok", subject="owners", what="all spend has a team")
        return
    services = ", ".join(
        f"{row.key[0] or '(no service.name)'} {usd(row.measures.cost_usd)}"
        for row in lacking.rows
        if row.measures.cost_usd
    )
    yield Finding(
        severity="warning",
        subject="unattributed",
        what=f"{usd(missing)} ({share(missing, total)} of spend) has no team, from services: {services}",
        fix="In those services, wrap what calls models in `with attributed(team=…)`, or give the whole service to a team: "
        "OTEL_RESOURCE_ATTRIBUTES=llmcost.team=…",
        link="README.md",
    )


def _requests(count: int) -> str:
    return f"{count:,} request{'' if count == 1 else 's'}"
