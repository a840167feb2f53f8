"""Each story of the demo's history can be found by the reports, in a small history as in a large one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from otel_llmcost.demo.days import Calendar
from otel_llmcost.demo.findings import findings
from otel_llmcost.demo.world import (
    CACHE_BREAK,
    CONTRACT,
    CUSTOMERS,
    DAYS,
    HOUSE,
    LONG_CONTEXT,
    RETRY_STORM,
    RISING,
    WORKLOADS,
)
from otel_llmcost.ledger import Answers
from otel_llmcost.reports import Measures, Period, Report, anomalies, rate_changes, requests, spend
from otel_llmcost.reports.gaps import unpriced, usage_gaps, without_usage
from otel_llmcost.reports.session import open_ledger
from otel_llmcost.settings import Settings
from tests.server.processes import START_SECONDS, Serve

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
TODAY = NOW.date()
PERIOD = {"since": TODAY - timedelta(days=DAYS), "until": TODAY + timedelta(days=1)}
REQUESTS = 8_000


def command(folder: Path, requests: int, seed: int = 7) -> list[str]:
    """Give the command that makes a history."""
    made = ["-m", "tests.demo.history_process", str(folder), str(requests), str(seed), NOW.isoformat()]
    return [sys.executable, "-W", "ignore", *made]


def make(folder: Path, requests: int = REQUESTS, seed: int = 7) -> tuple[int, str]:
    """Make a history; give how many requests it says it stored, and the hash of its rows."""
    done = subprocess.run(command(folder, requests, seed), capture_output=True, text=True, check=True, timeout=180)
    assert done.stderr == ""
    stored, rows = done.stdout.split()
    return int(stored), rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small history's ledger."""
    made = tmp_path_factory.mktemp("history")
    assert make(made)[0] == REQUESTS
    return made


@pytest.fixture(scope="module")
def ledger(folder: Path) -> Iterator[Answers]:
    """The same, answering."""
    with ExitStack() as held:
        held.enter_context(Serve(f"chdb://{folder}"))
        yield held.enter_context(open_ledger(Settings(), f"chdb://{folder}"))


def on(day: int) -> str:
    """Give a day of the history as reports write it."""
    return str(TODAY + timedelta(days=day))


def by_day(ledger: Answers, **where: str) -> dict[str, Measures]:
    """Ask what each day cost."""
    found = spend(ledger, ["day"], **PERIOD, where=where)
    return {row.key[0]: row.measures for row in found.rows}


def between(days: Mapping[str, Measures], first: int, last: int) -> Measures:
    """Sum the days from the first to the last."""
    return sum((sums for day, sums in days.items() if on(first) <= day <= on(last)), Measures())


def values(report: Report) -> set[str]:
    """Give what the report's rows are about."""
    return {row.key[0] for row in report.rows}


def test_every_request_is_a_row_and_the_rows_are_the_total(ledger):
    """
    As many rows are stored as requests were sent, and their costs sum to what the report says, to the last digit.
    """
    total = spend(ledger, ["team"], **PERIOD).total
    rows = requests(ledger, **PERIOD, limit=2 * REQUESTS)
    assert total.requests == len(rows) == len({row.span_id for row in rows}) == REQUESTS
    assert total.cost_usd == sum(row.cost_usd for row in rows if row.cost_usd is not None) > 0


def test_the_company_is_worth_a_look(ledger):
    """
    Six teams, twenty features, sixty customers, a dozen models of many providers, two environments, weekends that are quiet.
    """
    found = {by: values(spend(ledger, [by], **PERIOD)) - {"(unattributed)"} for by in ("team", "feature", "customer")}
    assert (len(found["team"]), len(found["feature"])) == (6, 23)
    assert found["customer"] == {*CUSTOMERS, "internal"}
    assert len(values(spend(ledger, ["model"], **PERIOD))) >= 12
    assert len(values(spend(ledger, ["provider"], **PERIOD))) >= 7
    assert values(spend(ledger, ["environment"], **PERIOD)) == {"production", "staging"}
    assert len(values(spend(ledger, ["action"], **PERIOD))) >= 5
    days = by_day(ledger)
    assert len(days) == DAYS + 1
    saturday = [day for day in sorted(days) if date.fromisoformat(day).weekday() == 5][-1]
    friday = str(date.fromisoformat(saturday) - timedelta(days=1))
    assert days[saturday].requests < 0.8 * days[friday].requests


def test_several_instrumentations_wrote_the_spans(ledger):
    """
    The rows come from spans of many dialects, and from requests that had none.
    """
    dialects = {row.dialect for row in usage_gaps(ledger, **PERIOD).rows}
    assert dialects >= {"semconv", "openllmetry", "openinference", "vercel_legacy", "record_request"}


def test_the_retry_storm_is_the_peak_of_waste(ledger):
    """
    Waste has its peak on the days of the storm, and there most of what the feature costs is wasted.
    """
    days = by_day(ledger)
    worst = sorted(days, key=lambda day: days[day].wasted_cost_usd, reverse=True)[: len(RETRY_STORM.days)]
    assert sorted(worst) == [on(day) for day in RETRY_STORM.days]
    stormy = by_day(ledger, feature=RETRY_STORM.feature, customer=RETRY_STORM.customer)
    for day in worst:
        assert stormy[day].wasted_cost_usd > stormy[day].cost_usd / 2
        assert stormy[day].wasted_cost_usd > days[day].wasted_cost_usd * Decimal("0.9")


def test_the_contract_changes_the_price_from_its_day(ledger):
    """
    Before the contract its model costs what is published, from its day on a fifth less, and nothing before is changed.
    """
    days = by_day(ledger, model=CONTRACT.model.name)
    before, since = between(days, -DAYS, CONTRACT.day - 1), between(days, CONTRACT.day, 0)
    assert before.cost_usd == before.list_cost_usd > 0
    assert float(since.cost_usd / since.list_cost_usd) == pytest.approx(1 - CONTRACT.percent_off / 100, abs=1e-6)
    others = between(by_day(ledger, model="gpt-5.4"), -DAYS, 0)
    assert others.cost_usd == others.list_cost_usd


def test_the_cache_breaks_and_stays_broken(ledger):
    """
    Most of the feature's input came from the cache until the deploy, and none does since.
    """
    days = by_day(ledger, feature=CACHE_BREAK.feature)
    before, since = between(days, -DAYS, CACHE_BREAK.day - 1), between(days, CACHE_BREAK.day + 1, 0)
    assert before.cached_input_tokens > 0.7 * (before.input_tokens + before.cached_input_tokens)
    assert since.cached_input_tokens == 0
    assert since.cost_usd / since.requests > 2 * before.cost_usd / before.requests


def test_the_long_context_costs_more_than_its_tokens(ledger):
    """
    On one day the feature's requests cost more than so many times what they do, because of the tier.
    """
    days = by_day(ledger, feature=LONG_CONTEXT.feature)
    incident, before = between(days, LONG_CONTEXT.day, LONG_CONTEXT.day), between(days, -DAYS, LONG_CONTEXT.day - 1)
    assert incident.input_tokens / incident.requests > 0.7 * LONG_CONTEXT.factor * before.input_tokens / before.requests
    assert incident.cost_usd / incident.requests > LONG_CONTEXT.factor * before.cost_usd / before.requests


def test_one_service_says_not_who_owns_it(ledger):
    """
    A few percent of the cost have no team, and all of that is one service's.
    """
    found = spend(ledger, ["team"], **PERIOD)
    assert Decimal("0.03") < found.unattributed_usd / found.total.cost_usd < Decimal("0.06")
    assert values(spend(ledger, ["service"], **PERIOD, where={"team": "(unattributed)"})) == {"nightly-export"}


def test_one_model_has_no_price_and_some_streams_no_usage(ledger):
    """
    The unknown model is the only one whose tokens have no price; some answers came without a count.
    """
    assert {row.model for row in unpriced(ledger, **PERIOD)} == {HOUSE.name}
    silent = sum(row.requests for row in without_usage(ledger, **PERIOD) if row.status == "success")
    assert 0.001 * REQUESTS < silent < 0.01 * REQUESTS


def test_failures_are_tried_again_here_and_elsewhere(ledger):
    """
    Failures are followed by retries, and some by another model.
    """
    kinds = {row.key[0]: row.measures.requests for row in spend(ledger, ["attempt_kind"], **PERIOD).rows}
    assert kinds["retry"] > kinds["fallback"] > 0
    assert {"success", "error", "timeout"} == values(spend(ledger, ["status"], **PERIOD))


def test_it_grows_and_one_customer_most(ledger):
    """
    The last whole week costs more than the first; one customer goes from the tail to the top; a feature is new.
    """
    days, rising = by_day(ledger), by_day(ledger, customer=RISING.name)
    first, last = (-DAYS, -DAYS + 6), (-7, -1)
    assert between(days, *last).cost_usd > between(days, *first).cost_usd * Decimal("1.3")
    share = [between(rising, *week).requests / between(days, *week).requests for week in (first, last)]
    assert share[1] > 4 * share[0]
    launched = next(workload for workload in WORKLOADS if workload.launched is not None)
    assert min(by_day(ledger, feature=launched.feature)) >= on(launched.launched)


def test_the_bad_days_are_found_with_their_cause(ledger):
    """
    The days of the storm and of the long context stand out, with who made them so; a launch or a weekend does not.
    """
    found = {each.day: each.driver for each in anomalies(ledger, period=Period(**PERIOD), now=NOW)}
    assert sorted(map(str, found)) == sorted(map(on, (*RETRY_STORM.days, LONG_CONTEXT.day)))
    for day, driver in found.items():
        assert driver is not None
        if str(day) == on(LONG_CONTEXT.day):
            assert driver.feature == LONG_CONTEXT.feature
        else:
            assert (driver.feature, driver.customer_id) == (RETRY_STORM.feature, RETRY_STORM.customer)
            assert driver.troubled_share > Decimal("0.5")


def test_the_one_change_of_rates_is_the_contract(ledger):
    """
    The ledger knows the discount by the rates that its requests were priced with, from the contract's first instant.
    """
    (change,) = rate_changes(ledger, period=Period(**PERIOD))
    assert (change.rate.model, change.at.date()) == (CONTRACT.model.name, TODAY + timedelta(days=CONTRACT.day))


def test_what_is_told_can_be_asked(ledger):
    """
    The report that a finding names has rows, of its day or, where a weekend is quiet, of one of the two after it.
    """
    for each in findings(Calendar(NOW)):
        options = each.command.replace("'", "").split()
        where = dict([options[options.index("--where") + 1].split("=")])
        found = spend(ledger, options[options.index("--by") + 1].split(","), **PERIOD, where=where)
        assert found.rows, each
        days = {date.fromisoformat(day) for day in by_day(ledger, **where)}
        assert each.day == TODAY or days & {each.day + timedelta(days=later) for later in range(3)}, each


def test_the_same_seed_gives_the_same_rows(tmp_path):
    """
    Two histories of one seed and instant have the same rows, ids and costs; those of another seed do not.
    """
    made = [make(tmp_path / name, 300, seed) for name, seed in (("one", 7), ("same", 7), ("other", 8))]
    assert made[0] == made[1]
    assert made[0][0] == made[2][0] == 300
    assert made[0][1] != made[2][1]


def spawned_by(process: int) -> list[int]:
    """Give the processes that one has spawned to make spans."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(each) for each in found if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


def test_a_process_that_dies_is_told(tmp_path):
    """
    When one of the processes that make the spans is killed, the history fails at once, says so, and ends the other.
    """
    with subprocess.Popen(command(tmp_path, 200_000), stderr=subprocess.PIPE, text=True) as history:
        deadline = time.monotonic() + START_SECONDS
        while len(both := spawned_by(history.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(both[0], signal.SIGKILL)
        _, said = history.communicate(timeout=START_SECONDS)
    assert history.returncode == 1
    assert "a process that makes the demo's history ended with -9" in said
    assert not Path(f"/proc/{both[1]}").exists()
