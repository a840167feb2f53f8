"""
Draws the requests of the history's world: how many on which day, by whom, how large, and what became of each.

Every day has a generator of its own, made from the seed and the day, so that days may be drawn by several processes, in
any order, and come out the same. Nothing here knows spans, prices or a ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple

from otel_llmcost.demo.instrumentations import Counts
from otel_llmcost.demo.world import (
    CACHE_BREAK,
    CUSTOMERS,
    DAYS,
    GROWTH,
    LONG_CONTEXT,
    RETRY_STORM,
    RISING,
    STAGING_SHARE,
    WORKLOADS,
    Model,
    Rhythm,
    Workload,
)

__all__ = ["DAY_NS", "Calendar", "Try", "Work", "draw", "generator", "pick", "plan", "works_of"]

DAY_NS: Final = 86_400 * 10**9
_SECOND_NS: Final = 10**9
_MARGIN: Final = timedelta(minutes=3)
"""What begins this long before now has ended, with all its tries."""
_FAILURES: Final = ("RateLimitError", "RateLimitError", "InternalServerError", "APITimeoutError")
_GIVEN_UP: Final = 0.25
"""Of the requests that failed, so many are not tried again."""
_FALLS_BACK: Final = 0.6


class Try(NamedTuple):
    """One request of a piece of work; its times are nanoseconds after the work began."""

    model: Model
    instrumentation: str
    begin_ns: int
    end_ns: int
    counts: Counts | None
    """None: it failed, or its stream did not say."""
    error: str = ""
    declared: bool = False
    """The application says that it is a retry: the answer before came, and was of no use."""


class Work(NamedTuple):
    """What the application did at once: one request, or several tries of it."""

    workload: Workload
    start_ns: int
    customer: str
    is_staging: bool
    tries: tuple[Try, ...]
    action_id: str = ""
    succeeded: bool = False
    """With this work the action is done, and worth something."""


class Cell(NamedTuple):
    """The requests of one workload on one day; those of the retry storm are a cell of their own."""

    day: int
    workload: Workload
    is_storm: bool = False


@dataclass(frozen=True)
class Calendar:
    """The days of the history: day 0 is the day of `now`, and ends there."""

    now: datetime

    @cached_property
    def midnight(self) -> datetime:
        """When today began."""
        return self.now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    @cached_property
    def midnight_ns(self) -> int:
        """The same, in Unix nanoseconds."""
        return int(self.midnight.timestamp()) * _SECOND_NS

    def is_weekend(self, day: int) -> bool:
        """Tell whether a day is a Saturday or a Sunday."""
        return (self.midnight + timedelta(days=day)).weekday() >= 5

    def hours(self, rhythm: Rhythm, day: int) -> list[float]:
        """Give the weight of each hour of a day that is over, or was until now; the last one may be cut."""
        if day < 0:
            return [float(weight) for weight in rhythm.hours]
        gone = max(0.0, (self.now - _MARGIN - self.midnight) / timedelta(hours=1))
        return [weight * min(1.0, max(0.0, gone - hour)) for hour, weight in enumerate(rhythm.hours)]


def generator(seed: int, what: object) -> Random:
    """Give the generator of something, the same for the same seed."""
    return Random(f"{seed}/{what}")  # noqa: S311  # demo traffic, no secret


def plan(requests: int, calendar: Calendar) -> list[tuple[Cell, int]]:
    """Divide that many requests between the workloads and the days, all of them, with their week and their growth."""
    cells = [Cell(day, workload) for day in range(-DAYS, 1) for workload in WORKLOADS]
    cells += [
        Cell(day, workload, is_storm=True) for day in RETRY_STORM.days for workload in WORKLOADS if _storms(workload)
    ]
    sums = list(accumulate(_weight(cell, calendar) for cell in cells))
    bounds = [0, *(round(requests * reached / sums[-1]) for reached in sums)]
    return [(cell, bounds[place + 1] - bounds[place]) for place, cell in enumerate(cells)]


def pick(rng: Random, calendar: Calendar) -> Workload:
    """Choose whose turn it is at this hour of today."""
    hour = calendar.now.astimezone(UTC).hour
    weights = [
        workload.share * (1 + 12 * workload.rhythm.hours[hour] / sum(workload.rhythm.hours)) for workload in WORKLOADS
    ]
    return rng.choices(WORKLOADS, weights)[0]


def _storms(workload: Workload) -> bool:
    return workload.feature == RETRY_STORM.feature


def _weight(cell: Cell, calendar: Calendar) -> float:
    day, workload, is_storm = cell
    grown: float = workload.share * GROWTH ** (day / DAYS)
    if is_storm:
        return grown * RETRY_STORM.volume
    launched = workload.launched
    if launched is not None:
        if day < launched:
            return 0.0
        grown *= min(1.0, (day - launched + 1) / 4)
    weekend = workload.rhythm.weekend if calendar.is_weekend(day) else 1.0
    return grown * weekend * sum(calendar.hours(workload.rhythm, day)) / sum(workload.rhythm.hours)


def works_of(day: int, cells: Sequence[tuple[Cell, int]], seed: int, calendar: Calendar) -> list[Work]:
    """Draw the work of one day, in the order of time: as many requests as its cells say."""
    rng = generator(seed, day)
    works: list[Work] = []
    for cell, requests in cells:
        if cell.day == day and requests:
            works += _works_of_cell(rng, cell, requests, calendar)
    works.sort(key=lambda work: work.start_ns)
    return [*_with_actions(rng, works)]


def _works_of_cell(rng: Random, cell: Cell, requests: int, calendar: Calendar) -> Iterator[Work]:
    hours = calendar.hours(cell.workload.rhythm, cell.day)
    sums = list(accumulate(hours))
    left = requests
    while left:
        hour = rng.choices(range(24), cum_weights=sums)[0]
        whole = cell.workload.rhythm.hours[hour]
        at = cell.day + (hour + rng.random() * hours[hour] / whole) / 24
        work = draw(rng, cell.workload, at, calendar, is_storm=cell.is_storm)
        if len(work.tries) > left:
            work = work._replace(tries=work.tries[:left])
        left -= len(work.tries)
        yield work


def draw(rng: Random, workload: Workload, at: float, calendar: Calendar, *, is_storm: bool = False) -> Work:
    """Draw one piece of work that begins `at` days after this midnight."""
    return Work(
        workload,
        calendar.midnight_ns + int(at * DAY_NS),
        RETRY_STORM.customer if is_storm else workload.customer or _customer(rng, at),
        rng.random() < STAGING_SHARE,
        tuple(_tries(rng, workload, at, is_storm=is_storm)),
    )


def _tries(rng: Random, workload: Workload, at: float, *, is_storm: bool) -> Iterator[Try]:
    model, instrumentation = workload.model, workload.instrumentation
    luck, begin = rng.random(), 0
    times = rng.randint(*RETRY_STORM.tries) if is_storm else 1
    if not workload.instrumentation:
        luck = 1.0  # a batch file has what succeeded
    if not is_storm and luck < workload.fails:
        end = int(rng.uniform(0.1, 4) * _SECOND_NS)
        yield Try(model, instrumentation, 0, end, None, rng.choice(_FAILURES))
        if rng.random() < _GIVEN_UP:
            return
        if workload.fallback is not None and rng.random() < _FALLS_BACK:
            model, instrumentation = workload.fallback.model, workload.fallback.instrumentation
        begin = end + int(rng.uniform(0.2, 3) * _SECOND_NS)
    elif not is_storm and luck > 1 - workload.asked_again:
        times = 2
    for number in range(times):
        counts = _counts(rng, workload, at)
        end = begin + int((0.3 + counts.output * 0.004) * rng.uniform(0.7, 1.5) * _SECOND_NS)
        silent = workload.without_usage and rng.random() < workload.without_usage
        yield Try(model, instrumentation, begin, end, None if silent else counts, declared=number > 0)
        begin = end + int(rng.uniform(0.1, 1) * _SECOND_NS)


def _counts(rng: Random, workload: Workload, at: float) -> Counts:
    size = workload.input_tokens * rng.lognormvariate(0, 0.3)
    cached = workload.cached
    if workload.feature == LONG_CONTEXT.feature and LONG_CONTEXT.day <= at < LONG_CONTEXT.day + 1:
        size *= LONG_CONTEXT.factor
    if workload.feature == CACHE_BREAK.feature and at >= CACHE_BREAK.day + CACHE_BREAK.hour / 24:
        cached = 0.0
    given = int(size) + 1
    read = int(given * min(0.98, cached * rng.uniform(0.85, 1.15)))
    output = int(workload.output_tokens * rng.lognormvariate(0, 0.3))
    return Counts(given, given - read, read, output, int(output * workload.reasoning), given + output)


def _customer(rng: Random, at: float) -> str:
    """Choose a customer: a few ask most, and one asks more each day."""
    grown: float = RISING.first * (RISING.last / RISING.first) ** min(1.0, 1 + at / DAYS)
    if rng.random() * (_WEIGHTS[-1] + grown) < grown:
        return RISING.name
    return rng.choices(CUSTOMERS, cum_weights=_WEIGHTS)[0]


_WEIGHTS: Final = list(
    accumulate(0.0 if name == RISING.name else 1 / (rank + 1) for rank, name in enumerate(CUSTOMERS))
)


def _with_actions(rng: Random, works: Sequence[Work]) -> Iterator[Work]:
    """Say for each work of a workload with actions which one it serves, and with which work it is done."""
    under_way: dict[tuple[str, str], tuple[str, int]] = {}
    for work in works:
        action = work.workload.action
        if action is None:
            yield work
            continue
        key = work.workload.feature, work.customer
        action_id, left = under_way.get(key) or (
            f"{action.name[:3]}-{rng.getrandbits(40):010x}",
            rng.randint(1, 2 * action.requests - 1),
        )
        under_way[key] = action_id, left - 1
        if left == 1:
            del under_way[key]
        yield work._replace(action_id=action_id, succeeded=left == 1 and rng.random() < action.succeeds)
