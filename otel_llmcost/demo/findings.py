"""What there is to find in the history, in sentences, and the command that shows each."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from otel_llmcost.demo.days import Calendar
from otel_llmcost.demo.world import CACHE_BREAK, CONTRACT, HOUSE, LONG_CONTEXT, RETRY_STORM, RISING, WORKLOADS

__all__ = ["Finding", "findings"]


class Finding(NamedTuple):
    """One of them: when, what, and the arguments of `otel-llmcost` that show it."""

    day: date
    what: str
    command: str


def findings(calendar: Calendar) -> list[Finding]:
    """Give them in the order of time."""
    first, last = (_on(calendar, day) for day in RETRY_STORM.days)
    unowned = next(workload for workload in WORKLOADS if not workload.feature)
    found = [
        Finding(
            _on(calendar, CONTRACT.day),
            f"a contract takes {CONTRACT.percent_off} % off {CONTRACT.model.name}; earlier requests keep their price",
            f"report --by day --where model={CONTRACT.model.name}",
        ),
        Finding(
            first,
            f"{RETRY_STORM.feature} asks again and again for {RETRY_STORM.customer}, until {last:%d %b}",
            f"report --by day,attempt_kind --where feature={RETRY_STORM.feature}",
        ),
        Finding(
            _on(calendar, CACHE_BREAK.day),
            f"a deploy of {CACHE_BREAK.feature} loses the prompt cache",
            f"report --by day --where feature={CACHE_BREAK.feature}",
        ),
        Finding(
            _on(calendar, LONG_CONTEXT.day),
            f"{LONG_CONTEXT.feature} sends {LONG_CONTEXT.factor} times the context, beyond the tier that costs double",
            f"report --by day --where feature={LONG_CONTEXT.feature}",
        ),
        Finding(
            _on(calendar, 0),
            f"{unowned.service} says nowhere who owns its requests",
            "report --by service --where team='(unattributed)'",
        ),
        Finding(
            _on(calendar, 0),
            f"{HOUSE.name} has no published price: what it costs is not known, and not 0",
            "report --by model --where price_status=unpriced",
        ),
        Finding(
            _on(calendar, 0),
            f"{RISING.name} has grown to one of the largest customers",
            f"report --by day --where customer={RISING.name}",
        ),
    ]
    found += [
        Finding(
            _on(calendar, workload.launched),
            f"{workload.feature} is launched",
            f"report --by day --where feature={workload.feature}",
        )
        for workload in WORKLOADS
        if workload.launched is not None
    ]
    return sorted(found)


def _on(calendar: Calendar, day: int) -> date:
    return (calendar.midnight + timedelta(days=day)).date()
