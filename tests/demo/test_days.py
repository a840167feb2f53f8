"""The history's requests are divided and drawn as its world says."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from otel_llmcost.demo.days import Calendar, generator, plan, works_of
from otel_llmcost.demo.world import DAYS, RETRY_STORM, WORKLOADS

MONDAY = datetime(2026, 11, 16, 10, 20, tzinfo=UTC)


@pytest.mark.parametrize("requests", [0, 1, 17, 5_000, 1_000_000])
def test_no_request_is_lost_in_the_plan(requests):
    """
    However many there are, the days and workloads have all of them.
    """
    assert sum(count for _, count in plan(requests, Calendar(MONDAY))) == requests


def test_today_ends_now():
    """
    The last day has the hours until now, with every try ended; a day that began a minute ago has nothing.
    """
    calendar = Calendar(MONDAY)
    today = works_of(0, plan(50_000, calendar), 1, calendar)
    ends = [work.start_ns + work.tries[-1].end_ns for work in today]
    assert 0 < max(ends) <= MONDAY.timestamp() * 10**9
    assert min(work.start_ns for work in today) >= calendar.midnight_ns
    midnight = Calendar(MONDAY.replace(hour=0, minute=1))
    assert works_of(0, plan(50_000, midnight), 1, midnight) == []


def test_a_day_is_drawn_the_same_by_whoever_draws_it():
    """
    A day depends on the seed and on nothing that was drawn before it.
    """
    calendar = Calendar(MONDAY)
    cells = plan(20_000, calendar)
    alone = works_of(-5, cells, 3, calendar)
    works_of(-6, cells, 3, calendar)
    assert works_of(-5, cells, 3, calendar) == alone != works_of(-5, cells, 4, calendar)
    assert generator(3, "a").random() != generator(3, "b").random()


def test_a_day_has_what_its_cells_say():
    """
    Tries count as requests, so that a storm of retries takes no more than its share.
    """
    calendar = Calendar(MONDAY)
    cells = plan(100_000, calendar)
    day = RETRY_STORM.days[0]
    drawn = Counter[str]()
    for work in works_of(day, cells, 1, calendar):
        drawn[work.workload.feature] += len(work.tries)
    planned = Counter[str]()
    for cell, requests in cells:
        if cell.day == day:
            planned[cell.workload.feature] += requests
    assert drawn == planned
    assert drawn[RETRY_STORM.feature] > 5 * drawn["landing-page"]


def test_the_week_has_its_shape():
    """
    A weekend's day has fewer requests than the days around it, and nights fewer than days.
    """
    calendar = Calendar(MONDAY)
    cells = plan(100_000, calendar)
    days = Counter[int]()
    for cell, requests in cells:
        days[cell.day] += requests
    sunday = next(day for day in range(-1, -8, -1) if (MONDAY + timedelta(days=day)).weekday() == 6)
    assert days[sunday] < 0.8 * days[sunday - 2]
    hours = Counter(
        (work.start_ns - calendar.midnight_ns) // (3600 * 10**9) % 24 for work in works_of(-4, cells, 1, calendar)
    )
    assert hours[10] > 2 * hours[22]
    assert days[-DAYS] > 0


def test_every_workload_is_seen():
    """
    None is so small that nobody sees it.
    """
    seen = {cell.workload.feature for cell, requests in plan(8_000, Calendar(MONDAY)) if requests}
    assert seen == {workload.feature for workload in WORKLOADS}
