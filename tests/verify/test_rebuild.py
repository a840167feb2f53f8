"""A rollup that was damaged in any way is built anew from its rows, whatever interrupts it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from otel_llmcost.errors import LedgerError, LedgerRefused, ReportError
from otel_llmcost.journal import Journal, adopt, segment_names
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.row import adjustment_row, encode_row, month_of, request_row
from otel_llmcost.model import Unpriced
from otel_llmcost.settings import Settings
from otel_llmcost.verify import ROLLUPS, compare, days_of, rebuild, rebuild_rollup
from tests.ledger.samples import START_NS, a_request, adjusted, ask, store
from tests.verify.conftest import run

NOVEMBER = days_of("202611")
MONTHS = ("202610", "202611")
ACTIONS = "SELECT toString(uniqCombined64Merge(14)(action_ids)) FROM spend_by_action_day"


def content(ledger: Ledger, rollup: str) -> list[str]:
    """A number for all cells of a rollup; the sketch of actions is not one, but is compared by its estimate."""
    cells = "* EXCEPT action_ids" if rollup == "spend_by_action_day" else "*"
    return ask(ledger, f"SELECT toString(sum(cityHash64(*))), count() FROM (SELECT {cells} FROM {rollup} FINAL)")  # noqa: S608


def columns(ledger: Ledger, rollup: str) -> str:
    """The columns that a rollup stores."""
    places = f"database = '{ledger.dsn.database}' AND table = '{rollup}' AND default_kind != 'ALIAS'"
    return ask(ledger, f"SELECT arrayStringConcat(groupArray(name), ',') FROM system.columns WHERE {places}")[0]  # noqa: S608


def agree(ledger: Ledger) -> bool:
    """Tell whether both months of every rollup are what their rows say."""
    return all(
        each.agrees for month in MONTHS for each in compare(ledger, days_of(month), pause_seconds=0) if each.rows
    )


def rebuild_all(ledger: Ledger, settings: Settings | None = None) -> None:
    """Build both months of every rollup anew."""
    for rollup in ROLLUPS:
        for month in MONTHS:
            rebuild_rollup(ledger, rollup, month, settings=settings, pause_seconds=0)


DAMAGES = {
    "lost": "ALTER TABLE {} DELETE WHERE team = 'search'",
    "all lost": "TRUNCATE TABLE {}",
    "doubled": "INSERT INTO {0} ({1}) SELECT {1} FROM {0} WHERE team = 'growth'",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_rebuild_heals(ledger: Ledger, damage: str) -> None:
    """
    Fault 57: a rollup that lost or doubled cells differs, and is after its rebuild what it was, in every cell.
    """
    before = [content(ledger, each) for each in ROLLUPS], ask(ledger, ACTIONS)
    for rollup in ROLLUPS:
        run(ledger, DAMAGES[damage].format(rollup, columns(ledger, rollup)))
    wrong = {each.rollup for each in compare(ledger, NOVEMBER, pause_seconds=0) if not each.agrees}

    rebuild_all(ledger)

    assert (wrong, agree(ledger)) == ({*ROLLUPS}, True)
    assert ([content(ledger, each) for each in ROLLUPS], ask(ledger, ACTIONS)) == before


def test_what_stands_under_another_owner(ledger: Ledger) -> None:
    """
    Spend that moved to another team differs although every total agrees.
    """
    run(
        ledger,
        "INSERT INTO spend_by_hour (hour, team, requests) VALUES ('2026-11-18 11:00:00', 'search', 1), ('2026-11-18 11:00:00', 'growth', -1)",
    )

    (found,) = [each for each in compare(ledger, NOVEMBER, pause_seconds=0) if not each.agrees]

    assert (found.rollup, found.month, found.excess) == ("spend_by_hour", "202611", {})


def test_a_month_without_rows(ledger: Ledger) -> None:
    """
    A rollup that holds spend of a month without a single row is emptied of it.
    """
    run(ledger, "INSERT INTO spend_by_hour (hour, team, requests) VALUES ('2026-01-18 11:00:00', 'search', 1)")

    rebuild_rollup(ledger, "spend_by_hour", "202601", pause_seconds=0)

    assert ask(ledger, "SELECT count() FROM spend_by_hour WHERE hour < '2026-02-01'") == ["0"]


def test_a_month_without_a_known_cost(ledger: Ledger) -> None:
    """
    A month whose requests have no cost has no cells by cost: that rollup is emptied, and the others hold the requests.
    """
    unknown = Unpriced(reason="unknown_model")
    store(ledger, [a_request(70, price=unknown, start_unix_ns=START_NS - 300 * 86_400 * 10**9)], "january")
    run(ledger, "INSERT INTO spend_quantiles_by_day (day, team, requests) VALUES ('2026-01-22', 'search', 1)")
    for rollup in ROLLUPS:
        rebuild_rollup(ledger, rollup, "202601", pause_seconds=0)

    found = compare(ledger, days_of("202601"), pause_seconds=0)
    assert {each.rollup: each.held["requests"] for each in found} == dict.fromkeys(list(ROLLUPS)[:3], 1)


def test_what_cannot_be_rebuilt(ledger: Ledger) -> None:
    """
    Only a rollup and a month are taken: what is built anew is never rows.
    """
    for rollup, month in [("llm_requests", "202611"), ("spend_by_hour", "2026-11")]:
        with pytest.raises(ReportError):
            rebuild_rollup(ledger, rollup, month)


def dying(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, at: int, *, done: bool) -> None:
    """Let the process die at a statement that changes something, before or after it was carried out."""
    command, steps = ledger.command, iter(range(1_000))

    def step(*arguments: object, **options: object) -> object:
        number = next(steps)
        if number == at and not done:
            raise KeyboardInterrupt
        answer = command(*arguments, **options)  # type: ignore[arg-type]
        if number == at:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(ledger, "command", step)


STEPS = 5
"""Create, fill from rows, fill from adjustments, replace, drop."""
TWINS = "SELECT count() FROM system.tables WHERE database = '{}' AND name LIKE '%_rebuild%'"


def test_interrupted_at_every_step(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fault 94: a rebuild that dies at any step leaves the rollup as it was or as it should be; run again, it completes.
    """
    monkeypatch.setattr(rebuild, "_ABANDONED_SECONDS", 0)
    right = content(ledger, "spend_by_hour")
    for at in range(STEPS):
        for done in (False, True):
            run(ledger, "ALTER TABLE spend_by_hour DELETE WHERE team = 'search'")
            damaged = content(ledger, "spend_by_hour")
            with monkeypatch.context() as patch:
                dying(ledger, patch, at, done=done)
                with pytest.raises(KeyboardInterrupt):
                    rebuild_rollup(ledger, "spend_by_hour", "202611", pause_seconds=0)
            left = content(ledger, "spend_by_hour")

            for month in MONTHS:
                rebuild_rollup(ledger, "spend_by_hour", month, pause_seconds=0)

            was_replaced = at > STEPS - 2 or (at == STEPS - 2 and done)
            assert (left == damaged) is not was_replaced
            assert (content(ledger, "spend_by_hour"), ask(ledger, TWINS.format(ledger.dsn.database))) == (right, ["0"])


@pytest.mark.parametrize("ledger", ["server"], indirect=True)
def test_two_rebuilds_at_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A rebuild that another one of the same rollup overtakes goes on, and both leave the rollup as it should be.
    """
    run(ledger, "TRUNCATE TABLE spend_by_hour")
    command, overtaken = ledger.command, iter([True])

    def step(sql: str, *arguments: object, **options: object) -> object:
        if "REPLACE PARTITION" in sql and next(overtaken, False):
            rebuild_rollup(ledger, "spend_by_hour", "202611", pause_seconds=0)
        return command(sql, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger, "command", step)
    for month in MONTHS:
        rebuild_rollup(ledger, "spend_by_hour", month, pause_seconds=0)

    assert agree(ledger)


def arriving(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let another machine insert rows just before the partition is replaced, so often."""
    command, left = ledger.command, iter(range(times))

    def step(sql: str, *arguments: object, **options: object) -> object:
        if "REPLACE PARTITION" in sql and (number := next(left, None)) is not None:
            store(ledger, [a_request(1000 * times + number)], f"late-{number}-{times}")
        return command(sql, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger, "command", step)


def test_rows_that_arrive_meanwhile(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Rows inserted while a month is replaced are in the rollup in the end, or it is said that they are not.
    """
    with monkeypatch.context() as patch:
        arriving(ledger, patch, 99)
        with pytest.raises(LedgerError, match="still differs from its rows: they keep arriving"):
            rebuild_rollup(ledger, "spend_by_hour", "202611", pause_seconds=0)
    arriving(ledger, monkeypatch, 2)
    rebuild_rollup(ledger, "spend_by_hour", "202611", pause_seconds=0)

    assert agree(ledger)


@pytest.fixture
def journaled(ledger: Ledger, tmp_path: Path) -> Settings:
    """A journal with one sealed segment of November that nobody has sent."""
    where = Settings(journal_dir=tmp_path / "journals")
    journal = Journal(ledger.dsn.journal_dir(where), ledger=ledger.dsn.fingerprint)
    row = request_row(a_request(500))
    journal.append("llm_requests", month_of(row), encode_row(row))
    journal.close()
    return where


def test_a_segment_in_other_hands(ledger: Ledger, journaled: Settings) -> None:
    """
    A segment that was sent and is not acknowledged stops a rebuild of its month, and of no other, until it is shipped.
    """
    directory = ledger.dsn.journal_dir(journaled)
    (name,) = segment_names(directory)
    held = adopt(directory / str(name), ledger.dsn.fingerprint)
    assert held is not None
    held.mark_tried(time.time())
    rebuild_rollup(ledger, "spend_by_hour", "202610", settings=journaled, pause_seconds=0)
    with pytest.raises(LedgerError, match=r"were sent and are not acknowledged: 1, in .* then run this again"):
        rebuild_rollup(ledger, "spend_by_hour", "202611", settings=journaled, pause_seconds=0)
    held.release()

    rebuild_rollup(ledger, "spend_by_hour", "202611", settings=journaled, pause_seconds=0)

    assert (segment_names(directory), agree(ledger)) == ([], True)
    assert ask(ledger, f"SELECT count() FROM llm_requests WHERE trace_id = '{500:032x}'") == ["1"]  # noqa: S608


def test_corrections_of_two_months_in_other_hands(ledger: Ledger, tmp_path: Path) -> None:
    """
    Corrections that were sent and are not acknowledged stop a rebuild of either month that they may be of.
    """
    where = Settings(journal_dir=tmp_path / "journals")
    directory = ledger.dsn.journal_dir(where)
    writer = Journal(directory, ledger=ledger.dsn.fingerprint)
    row = a_request(500)
    writer.append("llm_adjustments", "202610", encode_row(adjustment_row(adjusted(row, -1, of=row))))
    writer.close()
    (name,) = segment_names(directory)
    held = adopt(directory / str(name), ledger.dsn.fingerprint)
    assert held is not None
    with held:
        held.mark_tried(time.time())
        with pytest.raises(LedgerError, match="were sent and are not acknowledged: 1"):
            rebuild_rollup(ledger, "spend_by_hour", "202611", settings=where, pause_seconds=0)


def test_a_segment_whose_answer_was_lost(ledger: Ledger, journaled: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A segment that the ledger stored and nobody heard about is settled before its month is built anew: it counts once.
    """
    insert = ledger.insert

    def deaf(table: str, payload: bytes, *, token: str) -> None:
        insert(table, payload, token=token)
        raise LedgerRefused("the answer was lost")

    directory = ledger.dsn.journal_dir(journaled)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "insert", deaf)
        with pytest.raises(LedgerError, match="the answer was lost"):
            rebuild_rollup(ledger, "spend_by_hour", "202611", settings=journaled, pause_seconds=0)

    rebuild_all(ledger, journaled)

    assert (segment_names(directory), agree(ledger)) == ([], True)
