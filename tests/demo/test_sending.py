"""What the history's spans say is read back as what was drawn; live ones are of now."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pytest

from otel_llmcost.demo.days import DAY_NS, Calendar, Try, Work, draw, generator
from otel_llmcost.demo.history import open_exporter
from otel_llmcost.demo.instrumentations import INSTRUMENTATIONS
from otel_llmcost.demo.live import Live
from otel_llmcost.demo.sending import Sender
from otel_llmcost.demo.world import WORKLOADS, Workload
from otel_llmcost.journal.adoption import waiting
from otel_llmcost.ledger import parse_dsn
from otel_llmcost.settings import Settings
from tests.demo.test_history import NOW

CALENDAR = Calendar(NOW)


def rows_of(folder: Path) -> dict[str, list[dict[str, object]]]:
    """Read what is in the ledger's journal, by table."""
    found: dict[str, list[dict[str, object]]] = {}
    for segment in waiting(folder / "journal", parse_dsn(f"chdb://{folder}").fingerprint):
        with segment:
            found.setdefault(segment.table, []).extend(map(orjson.loads, segment.records))
    return found


def sent(folder: Path, *works: Work) -> dict[str, list[dict[str, object]]]:
    """Send works; give their rows."""
    sender = Sender(open_exporter(Settings(dsn=f"chdb://{folder}")))
    sender.draw_ids_from(generator(1, "ids"))
    for work in works:
        sender.send(work)
    sender.close()
    return rows_of(folder)


def drawn(workload: Workload) -> Work:
    """Draw work of three days ago that succeeds at once."""
    rng = generator(1, workload)
    return next(
        work
        for work in iter(lambda: draw(rng, workload, -3.2, CALENDAR), None)
        if [each.counts is not None for each in work.tries] == [True]
    )


def test_every_instrumentation_is_used():
    """
    None is there for nothing.
    """
    assert {workload.instrumentation for workload in WORKLOADS} == {*INSTRUMENTATIONS, ""}


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.feature or workload.service)
def test_a_request_is_read_back_as_it_was_drawn(tmp_path, workload):
    """
    Owner, model, times and counts of the row are those of the request, whichever way the span wrote them.
    """
    work = drawn(workload)
    rows = sent(tmp_path, work)
    (row,) = rows["llm_requests"]
    counts = work.tries[0].counts
    assert counts is not None
    assert (row["provider"], row["model"]) == (workload.model.provider, workload.model.name)
    assert row.get("team", "(unattributed)") == (workload.team or "(unattributed)")
    assert row.get("customer_id", "(unattributed)") == (work.customer if workload.feature else "(unattributed)")
    assert row["service_name"] == workload.service
    assert (row["input_tokens"], row.get("cached_input_tokens") or 0) == (counts.fresh, counts.cached)
    assert (row.get("output_tokens") or 0) == counts.output
    assert row.get("status", "success") == "success"
    assert row["timestamp"].startswith("2026-11-16")


def test_tries_are_told_apart(tmp_path):
    """
    After a failure the same model is a retry, another one a fallback; an answer of no use was wasted.
    """
    answers, research = (
        next(each for each in WORKLOADS if each.feature == name) for name in ("answers", "deep-research")
    )
    good = drawn(answers).tries[0]
    failed = Try(answers.model, answers.instrumentation, 0, 10**9, None, "RateLimitError")
    later = good._replace(begin_ns=2 * 10**9, end_ns=good.end_ns + 2 * 10**9)
    elsewhere = later._replace(model=research.model, instrumentation=research.instrumentation)
    again = later._replace(declared=True)
    for name, tries, kinds in (
        ("retry", (failed, later), [("initial", False), ("retry", False)]),
        ("fallback", (failed, elsewhere), [("initial", False), ("fallback", False)]),
        ("again", (good._replace(end_ns=10**9), again), [("initial", False), ("retry", True)]),
    ):
        work = Work(answers, CALENDAR.midnight_ns - DAY_NS, "acme", is_staging=False, tries=tries)
        rows = sent(tmp_path / name, work)["llm_requests"]
        rows.sort(key=lambda row: row["timestamp"])
        assert [(row.get("attempt_kind", "initial"), bool(row.get("wasted"))) for row in rows] == kinds, name


def test_a_finished_action_is_worth_something(tmp_path):
    """
    The outcome has the action, its id and its customer, as the request has.
    """
    summarise = next(workload for workload in WORKLOADS if workload.feature == "summarise")
    rows = sent(tmp_path, drawn(summarise)._replace(action_id="doc-1", succeeded=True))
    (request,), (outcome,) = rows["llm_requests"], rows["llm_outcomes"]
    for name in ("action", "action_id", "customer_id"):
        assert outcome[name] == request[name]
    assert outcome["value_usd"] == "0.350000"


def test_live_requests_are_of_now(tmp_path):
    """
    Between start and stop requests come in, dated now, and all of them are in the journal.
    """
    began = time.time()
    with Live(tmp_path) as live:
        deadline = time.monotonic() + 60
        while live.requests < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    rows = rows_of(tmp_path)["llm_requests"]
    assert len(rows) == live.requests >= 3
    oldest = min(row["timestamp"] for row in rows)
    assert oldest[:16] >= time.strftime("%Y-%m-%d %H:%M", time.gmtime(began - 120))
