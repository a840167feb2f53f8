"""How far the figures can be trusted: what has no price, what spans hide, what has no owner, what was corrected, what waits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from otel_llmcost.dashboard.empty import empty_page
from otel_llmcost.dashboard.page import Asked, Page, Tile
from otel_llmcost.dashboard.tables import Column, Link, Row, Table
from otel_llmcost.dashboard.unpriced import unpriced_table
from otel_llmcost.dashboard.view import View
from otel_llmcost.dashboard.wording import REASONS, Money, count, percent
from otel_llmcost.doctor.finding import SEVERITIES, Finding
from otel_llmcost.doctor.remedies import GAPS
from otel_llmcost.doctor.spending import gap_findings, no_usage_findings, unpriced_findings
from otel_llmcost.errors import ReportError
from otel_llmcost.journal import Backlog
from otel_llmcost.model import UNATTRIBUTED
from otel_llmcost.reports.extent import extent
from otel_llmcost.reports.gaps import GapReport
from otel_llmcost.reports.money import ratio
from otel_llmcost.reports.quality import Quality, UnknownCost, quality
from otel_llmcost.reports.unattributed import Unattributed, UnattributedRow

__all__ = ["build"]

_MINUTE: Final = 60
_NOT_SAID: Final = "no reason was stored"
_FINDINGS: Final = 6
"""So many are seen at once, the rest on a click."""


def build(asked: Asked) -> Page:
    """Build the page. Raises `ReportError` where one team alone is served: what nobody owns is no team's to see."""
    if asked.house.fixed:
        only = ", ".join(f"{name} {value}" for name, value in asked.house.fixed.items())
        raise ReportError(f"this page shows what belongs to nobody, and this server shows {only} only")
    view, waiting = asked.view, asked.house.backlog()
    found = quality(asked.ledger, period=view.period, where=view.where)
    if not found.usage_gaps.rows:
        return empty_page(asked, "Data quality")
    findings = _findings(found)
    return Page(
        title="Data quality",
        template="quality.html",
        context={
            "tiles": tuple(_tiles(view, found, waiting)),
            "findings": findings[:_FINDINGS],
            "more_findings": findings[_FINDINGS:],
            "reach": extent(asked.ledger),
            "waiting": waiting,
            "waits_for": _duration(waiting.oldest_seconds),
        },
        tables=(
            _reasons_table(view, found),
            unpriced_table(view, found.unpriced),
            _unattributed_table(view, found.unattributed),
            _gaps_table(view, found.usage_gaps),
            _without_usage_table(view, found),
            _corrections_table(found),
        ),
    )


def _tiles(view: View, found: Quality, waiting: Backlog) -> Iterator[Tile]:
    without = sum(each.requests for each in found.by_reason() if each.price_status != "partial")
    partial = sum(each.requests for each in found.by_reason() if each.price_status == "partial")
    yield Tile(
        title="Cost not known",
        figure=count(without),
        href="#reasons",
        note=f"requests, beside {count(found.failed_without_usage)} that failed without usage",
    )
    yield Tile(
        title="Cost known in part",
        figure=count(partial),
        href=view.link("/requests", price_status="partial"),
        note="requests whose cost is a lower bound (≥)",
    )
    yield Tile(
        title="Tokens without a whole price",
        figure=count(found.tokens_at_risk),
        href="#models",
        note="as far as they were reported",
    )
    gaps, lacking = found.usage_gaps, found.unattributed.total
    yield Tile(
        title="Spans that hide nothing",
        figure=percent(ratio(gaps.complete_usd, gaps.total_usd)),
        href="#gaps",
        note=f"of the cost, {Money(gaps.complete_usd)} of {Money(gaps.total_usd)}",
    )
    yield Tile(
        title="Without some owner",
        figure=str(Money(lacking.cost_usd, lacking.is_lower_bound)),
        href="#unattributed",
        note=f"{percent(ratio(lacking.cost_usd, gaps.total_usd))} of cost lacks a team, feature, customer or environment",
    )
    yield Tile(
        title="Corrected later",
        figure=str(Money(found.corrected_usd)),
        href="#corrections",
        note=f"{count(found.double_charges_taken_back)} double charges taken back",
    )
    yield Tile(
        title="Waiting in the journal",
        figure=count(waiting.segments),
        href="#journal",
        note="segments" + (f", and {count(waiting.quarantined)} files in quarantine" if waiting.quarantined else ""),
    )


def _findings(found: Quality) -> list[Finding]:
    """Say what to do, the worst first: as `otel-llmcost doctor` says it, of this period and these filters."""
    all_ = chain(
        unpriced_findings(found.unpriced), no_usage_findings(found.without_usage), gap_findings(found.usage_gaps)
    )
    return sorted((each for each in all_ if each.fix), key=lambda each: SEVERITIES.index(each.severity))


def _reasons_table(view: View, found: Quality) -> Table:
    columns = (
        Column("Why", "why", "name"),
        Column("Reason", "reason", "id", keep=3),
        Column("Price", "price_status", "status", keep=6),
        Column("Requests", "requests", "count"),
        Column("Tokens", "tokens", "count", keep=4),
    )
    reasons = found.by_reason()
    return Table(
        name="reasons",
        title="Why costs are not known",
        columns=columns,
        rows=[
            (
                Link(
                    REASONS.get(each.reason, each.reason or _NOT_SAID),
                    _reason_link(view, each),
                ),
                each.reason,
                each.price_status,
                each.requests,
                each.tokens,
            )
            for each in reasons
        ],
        total=("Total", None, None, sum(each.requests for each in reasons), found.tokens_at_risk),
        note="partial: a lower bound; unpriced: in no sum",
        empty="Every request of this period has a whole price, but for those that failed before anything was billed.",
    )


def _reason_link(view: View, each: UnknownCost) -> str:
    silent = {"status": "success"} if each.reason == "no_usage" else {}  # failures without usage are not in its count
    return view.link("/requests", price_status=each.price_status, reason=each.reason, **silent)


def _unattributed_table(view: View, found: Unattributed) -> Table:
    columns = (
        Column("Service", "service_name", "name"),
        Column("Lacks", "lacks"),
        Column("Requests", "requests", "count", keep=4),
        Column("First seen", "first_seen_at", "instant", keep=2),
        Column("Last seen", "last_seen_at", "instant", keep=3),
        Column("Cost", "cost_usd", "money"),
    )
    return Table(
        name="unattributed",
        title="Without an owner, by the service that sends it",
        columns=columns,
        rows=[
            (
                Link(row.service_name or "(no service.name)", _unattributed_link(view, row)),
                ", ".join(row.lacks).replace("customer_id", "customer"),
                row.measures.requests,
                row.first_seen_at,
                row.last_seen_at,
                Money(row.measures.cost_usd, row.measures.is_lower_bound),
            )
            for row in found.rows
        ],
        total=(
            "Total",
            None,
            found.total.requests,
            None,
            None,
            Money(found.total.cost_usd, found.total.is_lower_bound),
        ),
        note="each charge is in one row, by all that it lacks",
        empty="Every request of this period has a team, a feature, a customer and an environment.",
    )


def _unattributed_link(view: View, row: UnattributedRow) -> str:
    """Link to the requests, where a service can be named; the requests of a row lack what it says, and maybe more."""
    lacks = {{"customer_id": "customer"}.get(owner, owner): UNATTRIBUTED for owner in row.lacks}
    return view.link("/requests", service=row.service_name or None, **lacks)


def _gaps_table(view: View, found: GapReport) -> Table:
    columns = (
        Column("Instrumentation", "scope_name", "name"),
        Column("Provider", "provider", keep=4),
        Column("May hide", "gap", "id"),
        Column("What that does to a cost", "effect", keep=3),
        Column("Requests", "requests", "count", keep=4),
        Column("Cost", "cost_usd", "money"),
        Column("Of all cost", "share", "percent", keep=4),
    )
    return Table(
        name="gaps",
        title="What spans may hide",
        columns=columns,
        rows=[
            (
                Link(share.scope_name or share.dialect, view.link("/requests", provider=share.provider, gap=share.gap)),
                share.provider,
                share.gap,
                GAPS[share.gap].effect if share.gap in GAPS else "",
                share.requests,
                Money(share.cost_usd),
                ratio(share.cost_usd, found.total_usd),
            )
            for share in found.by_gap()
        ],
        note="a request that may hide several things is in several rows, so they sum to more than what is affected",
        empty="All requests of this period came through spans that hide nothing.",
    )


def _without_usage_table(view: View, found: Quality) -> Table:
    columns = (
        Column("Instrumentation", "scope_name", "name"),
        Column("Provider", "provider", keep=4),
        Column("Status", "status", "status"),
        Column("Requests", "requests", "count"),
    )
    return Table(
        name="without_usage",
        title="Requests without usage",
        columns=columns,
        rows=[
            (
                Link(
                    row.scope_name or row.dialect,
                    view.link("/requests", provider=row.provider, status=row.status, reason="no_usage"),
                ),
                row.provider,
                row.status,
                row.requests,
            )
            for row in found.without_usage
        ],
        total=("Total", None, None, sum(row.requests for row in found.without_usage)),
        note="those that failed were mostly not billed; those that succeeded were, and their cost is in no sum",
        empty="Every request of this period reported its usage.",
    )


def _corrections_table(found: Quality) -> Table:
    columns = (
        Column("Why", "meaning", "name"),
        Column("Reason", "reason", "id", keep=4),
        Column("Taken back", "taken_back", "count", keep=4),
        Column("Put in place", "added", "count", keep=4),
        Column("Change of the bill", "net_usd", "exact"),
        Column("Last", "last_adjusted_at", "instant", keep=3),
    )
    rows: list[Row] = [
        (
            each.meaning or each.reason,
            each.reason,
            each.taken_back,
            each.added,
            Money(each.net_usd),
            each.last_adjusted_at,
        )
        for each in found.corrections
    ]
    taken, added = (sum(getattr(each, name) for each in found.corrections) for name in ("taken_back", "added"))
    return Table(
        name="corrections",
        title="What was corrected later",
        columns=columns,
        rows=rows,
        total=("Total", None, taken, added, Money(found.corrected_usd), None),
        note="a charge is never edited: an adjustment takes it back, or puts another in its place",
        empty="Nothing was corrected in this period.",
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 2 * _MINUTE else f"{seconds / _MINUTE:,.0f} minutes"
