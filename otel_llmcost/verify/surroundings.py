"""What surrounds the rows: marks for repair, the journal, the schema, the rates, and instants that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Final, cast

from otel_llmcost.journal import backlog, leftovers
from otel_llmcost.ledger import Answers, migrations
from otel_llmcost.reports.money import exact_usd, sum_usd, usd
from otel_llmcost.reports.period import Period
from otel_llmcost.verify.checks import APPLY, Check
from otel_llmcost.verify.quarantine import lost_text, quarantined

__all__ = ["batch_check", "clock_check", "journal_checks", "mark_check", "rate_check", "schema_check", "status_check"]

_LATE_SECONDS: Final = 600
_SOME: Final = 5


def schema_check(ledger: Answers) -> Check:
    """Tell whether every file of the schema is applied as it is."""
    found = migrations.states(ledger.query("migrations_applied"))
    wrong = [each for each in found if each.state != "applied"]
    if not wrong:
        return Check(name="schema", state="ok", what=f"{len(found)} files of the schema are applied as they are")
    names = ", ".join(f"{each.name} ({each.state})" for each in wrong[:_SOME])
    fix = "otel-llmcost schema apply"
    if any(each.state != "pending" for each in wrong):
        fix = "Use the version of otel-llmcost that applied them: `otel-llmcost schema status` lists all."
    figures = tuple({"name": each.name, "state": each.state} for each in wrong)
    return Check(name="schema", state="problem", what=f"not as they should be: {names}", fix=fix, figures=figures)


def mark_check(ledger: Answers, period: Period) -> Check:
    """Tell which months are marked because a batch was found in them instead of being sent."""
    first, last = (f"{day:%Y%m}" for day in (period.since, period.last))
    rows = ledger.query("verify_marks", {"first": first, "last": last})
    if not rows:
        return Check(name="marks", state="ok", what="no month is marked for repair")
    marked = ", ".join(f"{row['batches']} of {row['table']} in {row['month']}" for row in rows)
    return Check(
        name="marks",
        state="problem",
        what=f"batches that were found in the ledger instead of being sent, so that a rollup may lack them: {marked}",
        fix=APPLY,
        figures=tuple({name: row[name] for name in ("month", "table", "batches", "some", "reason")} for row in rows),
    )


def journal_checks(directory: Path | None, fingerprint: str) -> Iterator[Check]:
    """Look at what waits on this machine for this ledger; nothing where there is no journal."""
    if directory is None:
        return
    waits = backlog(directory)
    figures = (asdict(waits),)
    text = f"segments that wait in {directory}: {waits.segments}, the oldest {waits.oldest_seconds:.0f} s old"
    if waits.oldest_seconds > _LATE_SECONDS:
        fix = "otel-llmcost doctor says what stops them; their rows are in no report."
        yield Check(name="journal", state="problem", what=text, fix=fix, figures=figures)
    else:
        yield Check(name="journal", state="ok", what=text if waits.segments else "nothing waits", figures=figures)
    for reason in leftovers(directory, fingerprint).reasons(directory):
        fix = "Do as it says: the rows in them are in no report."
        yield Check(name="journal", state="problem", what=reason, fix=fix)
    yield from _quarantine_checks(directory)


def _quarantine_checks(directory: Path) -> Iterator[Check]:
    kept = quarantined(directory)
    segments = sum(each.home is not None for each in kept)
    if segments:
        yield Check(
            name="quarantine",
            state="problem",
            what=f"segments in quarantine, whose rows are in no report: {segments}, in {directory / 'quarantine'}",
            fix="When the cause in the .reason beside each is gone: otel-llmcost repair --quarantine --apply",
            figures=({"segments": segments},),
        )
    if lost := len(kept) - segments:
        yield Check(
            name="damaged",
            state="problem",
            what=f"{lost_text(lost)}, in {directory / 'quarantine'}",
            fix="Nothing can send them again: look at the disk and at the .reason beside each, then remove both files.",
            figures=({"damaged": lost},),
        )


def status_check(ledger: Answers, period: Period) -> Check:
    """Count charges by whether they have a price; that some have none is no fault of the ledger."""
    rows = ledger.query("verify_statuses", {"since": period.since, "until": period.until})
    counts: dict[str, int] = {}
    for row in rows:
        status = str(row["price_status"]) + (" without usage" if row["reason"] == "no_usage" else "")
        counts[status] = counts.get(status, 0) + int(str(row["requests"]))
    figures = tuple({**row, "cost_usd": exact_usd(cast("Decimal", row["cost_usd"]))} for row in rows)
    known = usd(sum_usd(cast("Decimal", row["cost_usd"]) for row in rows))
    text = ", ".join(f"{count:,} {status}" for status, count in counts.items()) or "none"
    return Check(name="statuses", state="ok", what=f"requests: {text}; known cost {known}", figures=figures)


def rate_check(ledger: Answers, period: Period) -> Check:
    """Tell which rates are named by charges and have no content in `llm_rates`."""
    rows = ledger.query("verify_rates", {"since": period.since, "until": period.until})
    if not rows:
        return Check(name="rates", state="ok", what="the content of every rate that was used is there")
    names = ", ".join(f"{row['rate_id']} ({row['charges']} charges)" for row in rows[:_SOME])
    return Check(
        name="rates",
        state="problem",
        what=f"rates without their content in llm_rates, so that explain cannot show their arithmetic: {len(rows)}: {names}",
        fix="Costs are right. The content follows in a segment of its own: ask again in a minute; if it stays away, let the "
        "same version price one request with that rate, which journals it again.",
        figures=tuple(rows),
    )


def clock_check(ledger: Answers, period: Period) -> Check:
    """Tell which services write charges that lie in the future."""
    rows = ledger.query("verify_future", {"since": period.since, "until": period.until})
    if not rows:
        return Check(name="clocks", state="ok", what="no charge lies in the future")
    names = ", ".join(f"{row['service_name'] or '(no service)'} ({row['charges']})" for row in rows[:_SOME])
    return Check(
        name="clocks",
        state="problem",
        what=f"charges more than an hour in the future of the ledger's clock, by service: {names}",
        fix="Set the clock of those machines, or the ledger's: the instant selects the rate and the day of the report.",
        figures=tuple({**row, "latest": str(row["latest"])} for row in rows),
    )


def batch_check(ledger: Answers, period: Period) -> Check:
    """Tell which batches lie in more than one month, which no journal writes."""
    rows = ledger.query("verify_batches", {"since": period.since, "until": period.until})
    if not rows:
        return Check(name="batches", state="ok", what="every batch lies in one month")
    names = ", ".join(f"{row['batch_id']} ({row['first_month']} to {row['last_month']})" for row in rows[:_SOME])
    return Check(
        name="batches",
        state="problem",
        what=f"batches with rows in more than one month, which no journal writes: {len(rows)}: {names}",
        fix="Something else than otel-llmcost wrote them: a retry of it may count twice. Ship through the journal.",
        figures=tuple(rows),
    )
