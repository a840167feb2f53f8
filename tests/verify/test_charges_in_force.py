"""Repairs judge by the charges in force: which copies came, which were taken back, and by whom, never how many rows there are."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from otel_llmcost.journal import Journal, segment_names, waiting
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.row import adjustment_row, encode_row
from otel_llmcost.model import Request
from otel_llmcost.reports.period import Period
from otel_llmcost.settings import Settings
from otel_llmcost.shipper import ship_once
from otel_llmcost.verify import EVER, carry_out, plan, steps, verify
from tests.ledger.samples import START_NS, a_request, adjust, adjusted, ask, priced, store

DAY_NS = 86_400 * 10**9


def bill(ledger: Ledger, number: int) -> list[str]:
    """Requests and picodollars that one span's charges add up to."""
    sums = "sum(sign), toInt64(sum(sign * ifNull(cost_usd, 0)) * 1000000000000)"
    return ask(ledger, f"SELECT {sums} FROM llm_charges WHERE of_span_id = '{number:016x}'")  # noqa: S608


def repaired(ledger: Ledger) -> list[str]:
    """Plan a repair and carry it out; give what was planned."""
    planned = plan(ledger, pause_seconds=0)
    said = [*steps(planned)]
    assert len([*carry_out(ledger, planned, pause_seconds=0)]) == bool(said)
    return said


def problems(ledger: Ledger) -> list[str]:
    """What is off with the charges."""
    checks = verify(ledger, pause_seconds=0).checks
    return [check.what for check in checks if check.state == "problem"]


def copy(number: int, cost: int, *gaps: str) -> Request:
    """A copy of a span that some way of reporting has priced in its own manner."""
    made = a_request(number, price=priced(cost), service=f"way-{cost}")
    return replace(made, call=replace(made.call, usage_gaps=gaps))


def test_a_third_copy_after_a_repair(ledger: Ledger) -> None:
    """
    Of three copies that differ the best stays, whichever was taken back before, and a better one that comes late wins.
    """
    store(ledger, [copy(800, 1, "a")], "good")
    store(ledger, [copy(800, 2, "a", "b")], "bad")
    repaired(ledger)
    store(ledger, [copy(800, 7, "a", "b", "c")], "worst")
    store(ledger, [copy(800, 2, "a", "b")], "bad again")
    said = repaired(ledger)

    assert sorted(line.split(" of ")[0] for line in said[:-1]) == [
        "take back $0.000000000002",
        "take back $0.000000000007",
    ]
    assert (bill(ledger, 800), problems(ledger), repaired(ledger)) == (["1", "1"], [], [])
    store(ledger, [copy(800, 5)], "best")
    repaired(ledger)
    assert (bill(ledger, 800), problems(ledger), repaired(ledger)) == (["1", "5"], [], [])


def test_a_copy_of_a_span_whose_charge_moved(ledger: Ledger) -> None:
    """
    A row whose charge the meter moved is taken back once: neither a copy of it, nor another row of its span, counts.
    """
    row, better = copy(810, 1, "a"), copy(811, 5)
    store(ledger, [row], "row")
    adjust(ledger, [adjusted(row, -1, of=row), adjusted(better, 1, of=row)], "moved")
    store(ledger, [copy(810, 3)], "on another way")
    store(ledger, [row], "restored")
    said = repaired(ledger)

    assert sorted(line.split(" of ")[0] for line in said[:-1]) == [
        "take back $0.000000000001",
        "take back $0.000000000003",
    ]
    assert (bill(ledger, 810), problems(ledger), repaired(ledger)) == (["1", "5"], [], [])


def test_a_charge_that_was_taken_back_too_often(ledger: Ledger) -> None:
    """
    What was taken back more often than charged is a problem with its money, and a repair gives it back.
    """
    bad = copy(820, 2, "a")
    store(ledger, [copy(820, 1)], "good")
    store(ledger, [bad], "bad")
    taken = replace(adjusted(bad, -1, of=bad), reason="duplicate_copy")  # type: ignore[arg-type]
    adjust(ledger, [taken, taken, taken], "thrice")
    found = problems(ledger)
    said = repaired(ledger)

    assert found == [
        "charges that were taken back more often than they were charged: 2, with $0.000000000004 too little on the bill"
    ]
    assert said[0].startswith("give back $0.000000000002 of ")
    assert (bill(ledger, 820), problems(ledger), repaired(ledger)) == (["1", "1"], [], [])


def test_repairs_of_periods_that_overlap(ledger: Ledger) -> None:
    """
    Two repairs that found different charges, some of them the same, take each back once.
    """
    early, late = (
        a_request(number, price=priced(3), start_unix_ns=START_NS - days * DAY_NS)
        for number, days in ((830, 9), (831, 0))
    )
    for again in ("once", "twice"):
        store(ledger, [early, late], again)
    some = Period(date(2026, 11, 15), date(2026, 11, 30))
    plans = [plan(ledger, period, pause_seconds=0) for period in (EVER, some)]
    for planned in plans:
        assert [*carry_out(ledger, planned, pause_seconds=0)]

    assert [plans[0].copies.charges, plans[1].copies.charges] == [2, 1]
    assert (bill(ledger, 830), bill(ledger, 831), problems(ledger)) == (["1", "3"], ["1", "3"], [])


def test_a_charge_that_moves_over_the_end_of_a_month(ledger: Ledger, tmp_path: Path) -> None:
    """
    A move from one month to the next is one batch of two months and no problem; where a kill stored half of it and the
    ledger forgot the token, the other half alone is sent, and the month that was found is marked.
    """
    midnight = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 10**9
    row = a_request(840, price=priced(3), start_unix_ns=midnight - 10**9)
    better = a_request(841, price=priced(4), start_unix_ns=midnight + 10**9)
    where = Settings(journal_dir=tmp_path / "journals")
    directory = ledger.dsn.journal_dir(where)
    journal = Journal(directory, ledger=ledger.dsn.fingerprint)
    moves = [adjusted(row, -1, of=row), adjusted(better, 1, of=row)]
    journal.append("llm_adjustments", "202610", *(encode_row(adjustment_row(each)) for each in moves))
    journal.close()
    store(ledger, [row], "row")
    (name,) = segment_names(directory)
    for held in waiting(directory, ledger.dsn.fingerprint):
        with held:
            half = held.records[0]
            assert json.loads(half)["sign"] == -1
            ledger.insert("llm_adjustments", half, token="half")
    (directory / str(name)).rename(directory / str(name.to(f"tried-{int(time.time()) - 4000}")))
    shipped = ship_once(ledger, directory, fingerprint=ledger.dsn.fingerprint)

    assert (shipped.rows, shipped.found, shipped.left, shipped.stopped) == (1, 1, 0, None)
    assert bill(ledger, 840) == ["1", "4"]
    assert ask(ledger, "SELECT min(month), max(month) FROM llmcost_repairs") == ["202610", "202610"]
    assert [each for each in problems(ledger) if "batches with" in each] == []
