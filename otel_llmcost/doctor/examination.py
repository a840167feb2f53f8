"""The whole examination: the environment always, the ledger where there is one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otel_llmcost.doctor.database import database_findings, shipping_findings
from otel_llmcost.doctor.environment import (
    propagator_findings,
    sampler_findings,
    settings_findings,
    usable_settings,
    wrong_settings,
)
from otel_llmcost.doctor.finding import SEVERITIES, Finding, Severity
from otel_llmcost.doctor.installed import installed_findings, installed_scopes
from otel_llmcost.doctor.spending import spending_findings
from otel_llmcost.doctor.storage import journal_findings
from otel_llmcost.errors import (
    LedgerBusy,
    LedgerError,
    LedgerUnavailable,
    LLMCostError,
    MissingExtra,
    SchemaError,
    SettingsError,
)
from otel_llmcost.ledger import Dsn, parse_dsn
from otel_llmcost.reports.gaps import GapReport, usage_gaps
from otel_llmcost.reports.period import Period
from otel_llmcost.reports.session import open_ledger
from otel_llmcost.settings import PREFIX, Settings

__all__ = ["Examination", "examine"]

_ASK_AGAIN: Final[tuple[tuple[type[LLMCostError], str], ...]] = (
    (LedgerBusy, "Let `otel-llmcost serve` own it, which answers while it runs, or ask when that process has ended."),
    (SchemaError, "otel-llmcost schema apply"),
    (LedgerUnavailable, "Bring it back, or correct OTEL_LLMCOST_DSN; until then rows wait in the journal."),
    (MissingExtra, "pip install 'otel-llmcost[embedded]', or name a ClickHouse server in OTEL_LLMCOST_DSN."),
    (LLMCostError, "Correct OTEL_LLMCOST_DSN or the ledger's grants; until then rows wait in the journal."),
)


@dataclass(frozen=True, slots=True)
class Examination:
    """What the doctor found, the worst first, and the bill by what its spans may hide, where there is a ledger."""

    findings: tuple[Finding, ...]
    gaps: GapReport | None

    def count(self, severity: Severity) -> int:
        """Count the findings of one severity."""
        return sum(finding.severity == severity for finding in self.findings)


def examine(period: Period, *, dsn: str | None = None, environ: Mapping[str, str] | None = None) -> Examination:
    """
    Look at the environment and at the ledger's bill in `period`. A ledger that cannot be asked is a finding.

    Args:
        dsn: the ledger; default: the environment's, else the one in the state directory.
        environ: environment variables; default: this process's own.
    """
    env = os.environ if environ is None else environ
    settings = usable_settings(env, dsn)
    gaps, about_ledger = _examine_ledger(env, settings, period, named=dsn is not None)
    findings = [*settings_findings(env), *about_ledger]
    seen = {row.scope_name for row in gaps.rows} if gaps else set()
    findings += sampler_findings(env, [*seen, *installed_scopes()], settings)
    findings += propagator_findings(env, settings)
    findings += installed_findings(seen)
    return Examination(tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))), gaps)


def _examine_ledger(
    environ: Mapping[str, str], settings: Settings, period: Period, *, named: bool
) -> tuple[GapReport | None, list[Finding]]:
    findings: list[Finding] = []
    if not named and (error := wrong_settings(environ).get(f"{PREFIX}DSN")) is not None:
        return None, [_refusal(error)]  # and never another ledger in its place
    try:
        place = parse_dsn(settings.ledger_dsn())
        findings += [*shipping_findings(place, settings), *journal_findings(place, settings)]
        gaps, found = _ask(place, settings, period)
    except (LedgerError, MissingExtra, SettingsError) as error:
        return None, [*findings, _refusal(error)]
    return gaps, [*findings, *found]


def _ask(place: Dsn, settings: Settings, period: Period) -> tuple[GapReport | None, list[Finding]]:
    if place.path is not None and not place.path.exists():
        return None, [
            Finding(
                severity="warning",
                subject="ledger",
                what=f"there is none in {place} yet: spend was not looked at, only this environment",
                fix="Name the application's ledger with --dsn or OTEL_LLMCOST_DSN, or let it make its first request.",
            )
        ]
    with open_ledger(settings) as ledger:
        gaps = usage_gaps(ledger, since=period.since, until=period.until)
        about_bill = [_size(place, gaps), *spending_findings(ledger, gaps)]
        return gaps, [*about_bill, *database_findings(ledger, place, gaps)]


def _size(place: Dsn, gaps: GapReport) -> Finding:
    requests = sum(row.requests for row in gaps.rows)
    if not requests:
        return Finding(
            severity="warning",
            subject="ledger",
            what=f"{place} has no requests of {gaps.period}",
            fix="Look further back with --since, or check that the application's processor has this ledger.",
        )
    return Finding(severity="ok", subject="ledger", what=f"{place} answers: {requests:,} requests of {gaps.period}")


def _refusal(error: LLMCostError) -> Finding:
    return Finding(
        severity="warning" if isinstance(error, LedgerBusy) else "problem",
        subject="ledger",
        what=f"spend was not looked at: {error}",
        fix=next(fix for kind, fix in _ASK_AGAIN if isinstance(error, kind)),
    )
