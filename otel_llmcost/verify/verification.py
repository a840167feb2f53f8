"""The whole look: rows beside rollups, what is there twice, and what surrounds them; read-only, through named queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

from otel_llmcost.errors import SchemaError
from otel_llmcost.ledger import Answers
from otel_llmcost.model import EXACT
from otel_llmcost.reports.money import exact_usd, sum_usd, usd
from otel_llmcost.reports.period import Period
from otel_llmcost.verify import surroundings
from otel_llmcost.verify.checks import APPLY, Check
from otel_llmcost.verify.duplicates import (
    Duplicates,
    TakeBack,
    find_copies,
    find_corrections,
    find_shared_responses,
)
from otel_llmcost.verify.outcomes import find_repeated_outcomes, outcome_check
from otel_llmcost.verify.repricing import price_check, price_later, sums
from otel_llmcost.verify.rollups import RollupMonth, compare

__all__ = ["EVER", "Verification", "excess_text", "verify"]

EVER: Final = Period(date(1970, 1, 1), date(2149, 6, 6))
"""All days that a ledger has."""
_SHOWN: Final = 20
_LOOKED_AT: Final = 1_000
_UNITS: Final = {"cost_usd": "USD"}


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that was checked; problems first."""

    checks: tuple[Check, ...]

    @property
    def problems(self) -> int:
        """How many things are not as they should be."""
        return sum(check.state == "problem" for check in self.checks)


def verify(
    ledger: Answers,
    period: Period = EVER,
    *,
    journal: Path | None = None,
    fingerprint: str = "",
    pause_seconds: float = 1.0,
) -> Verification:
    """
    Check the ledger's charges of `period`, and the journal of this machine. Raises `LedgerError`.

    Where requests wait for prices, the rate cards of the environment are read: `RateCardError`.

    Args:
        journal: the folder where rows wait for this ledger, and its fingerprint; None: it is not looked at.
        pause_seconds: how long rows that are just arriving are waited for, before they count as a difference.
    """
    checks = [*surroundings.journal_checks(journal, fingerprint)]
    try:
        schema = surroundings.schema_check(ledger)
        checks.append(schema)
        checks += _bill_checks(ledger, period, pause_seconds)
    except SchemaError as error:
        checks.append(Check(name="schema", state="problem", what=str(error), fix="otel-llmcost schema apply"))
    return Verification(tuple(sorted(checks, key=lambda check: check.state != "problem")))


def _bill_checks(ledger: Answers, period: Period, pause_seconds: float) -> Iterator[Check]:
    yield from rollup_checks(compare(ledger, period, pause_seconds=pause_seconds))
    copies = find_copies(ledger, period, limit=_LOOKED_AT)
    yield from _copy_checks(copies)
    corrections = find_corrections(ledger, period, limit=_LOOKED_AT)
    yield _duplicates(corrections, "corrections", "adjustments whose whole batch is there again")
    responses = find_shared_responses(ledger, period, [*copies.take_backs, *corrections.take_backs])
    yield _duplicates(responses, "responses", "charges for a response that another row charges too")
    others = [*copies.take_backs, *corrections.take_backs, *responses.take_backs]
    yield price_check(sums(price_later(ledger, period, others=others)))
    yield outcome_check(find_repeated_outcomes(ledger, period))
    yield surroundings.mark_check(ledger, period)
    yield surroundings.status_check(ledger, period)
    yield surroundings.rate_check(ledger, period)
    yield surroundings.clock_check(ledger, period)
    yield surroundings.batch_check(ledger, period)


def _copy_checks(found: Duplicates) -> Iterator[Check]:
    too_many = replace(
        found,
        charges=found.charges - found.missing,
        cost_usd=EXACT.add(found.cost_usd, found.missing_usd),
        take_backs=tuple(each for each in found.take_backs if each.sign == -1),
    )
    yield _duplicates(too_many, "copies", "rows of llm_requests whose span has another row")
    if found.missing:
        yield Check(
            name="copies",
            state="problem",
            what=f"charges that were taken back more often than they were charged: {found.missing:,}, with "
            f"${exact_usd(found.missing_usd)} too little on the bill",
            fix=APPLY,
            figures=tuple(_charge(each) for each in found.take_backs[:_SHOWN] if each.sign == 1),
        )


def rollup_checks(months: list[RollupMonth]) -> Iterator[Check]:
    """Say of every month of every rollup that differs how far it is off; or in one line that none does."""
    for each in months:
        if not each.agrees:
            yield Check(
                name="rollups",
                state="problem",
                what=f"{each.rollup} of {each.month} {excess_text(each)}",
                fix=APPLY,
                figures=(_figures(each),),
            )
    if all(each.agrees for each in months):
        rows = [each for each in months if each.rollup == "spend_by_hour"]
        cost = sum_usd(each.rows["cost_usd"] for each in rows)
        requests = sum_usd(each.rows["requests"] for each in rows)
        what = (
            f"rows + adjustments = every rollup, in every cell: {requests:,} requests, {usd(cost)}, months: {len(rows)}"
        )
        yield Check(name="rollups", state="ok", what=what, figures=tuple(map(_figures, months)))


def excess_text(each: RollupMonth) -> str:
    """Say how far a month of a rollup is off, as the end of a sentence about it."""
    if not each.excess:
        return "has the totals of its rows, under other owners, models or days"
    words = [
        f"{exact_usd(amount.copy_abs())} {_UNITS.get(name, name.replace('_', ' '))} too {'much' if amount > 0 else 'little'}"
        for name, amount in each.excess.items()
    ]
    return "has " + ", ".join(words)


def _figures(each: RollupMonth) -> dict[str, object]:
    def plain(sums: dict[str, Decimal]) -> dict[str, object]:
        return {name: exact_usd(amount) if name == "cost_usd" else int(amount) for name, amount in sums.items()}

    return {
        "rollup": each.rollup,
        "month": each.month,
        "agrees": each.agrees,
        "rows": plain(dict(each.rows)),
        "excess": plain(each.excess),
    }


def _duplicates(found: Duplicates, name: str, what: str) -> Check:
    if not found.charges:
        return Check(name=name, state="ok", what=f"no {what}")
    services = sorted({str(each.charge["service_name"]) for each in found.take_backs})
    return Check(
        name=name,
        state="problem",
        what=f"{what}: {found.charges:,}, with ${exact_usd(found.cost_usd)} too much on the bill ({', '.join(services[:5])})",
        fix=APPLY,
        figures=(
            {"charges": found.charges, "cost_usd": exact_usd(found.cost_usd)},
            *(_charge(each) for each in found.take_backs[:_SHOWN]),
        ),
    )


def _charge(each: TakeBack) -> dict[str, object]:
    names = (
        "trace_id",
        "span_id",
        "response_id",
        "service_name",
        "team",
        "feature",
        "customer_id",
        "model",
        "batch_id",
    )
    return {
        "timestamp": str(each.charge["timestamp"]),
        **{name: each.charge[name] for name in names},
        "cost_usd": None if each.cost_usd is None else exact_usd(each.cost_usd),
        "kept_trace_id": each.kept[0],
        "kept_span_id": each.kept[1],
    }
