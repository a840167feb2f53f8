"""verify names exactly what is off, in picodollars; repair heals it, and changes nothing when it is run again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.ledger.row import adjustment_row
from otel_llmcost.model import PICO, Priced, Request, Unpriced, picousd_text
from otel_llmcost.verify import EVER, ROLLUPS, Check, carry_out, compare, days_of, plan, steps, verify
from tests.ledger.samples import START_NS, a_request, adjust, adjusted, ask, priced, segment, store
from tests.verify.conftest import by_month, charges, run

BILL = "SELECT toString(sum(sign)), toString(sum(sign * ifNull(cost_usd, 0))) FROM llm_charges"
SECOND = 10**9


def problems(ledger: Ledger) -> dict[str, Check]:
    """What is off, by the name of the check."""
    return {check.name: check for check in verify(ledger, pause_seconds=0).checks if check.state == "problem"}


def repaired(ledger: Ledger) -> list[str]:
    """Plan a repair and carry it out; give what was said."""
    planned = plan(ledger, pause_seconds=0)
    return [*steps(planned), *carry_out(ledger, planned, pause_seconds=0)]


def usd(requests: list[Request]) -> str:
    """The exact cost of requests."""
    return picousd_text(sum(each.price.cost_picousd for each in requests if isinstance(each.price, Priced)))


def test_a_ledger_that_is_in_order(ledger: Ledger) -> None:
    """
    Nothing is off in a ledger that only the product wrote to, and there is nothing to repair.
    """
    found = verify(ledger, pause_seconds=0)

    assert [check.what for check in found.checks if check.state == "problem"] == []
    assert {check.name for check in found.checks} == {
        "schema", "rollups", "copies", "corrections", "responses", "outcomes", "prices", "marks", "statuses", "rates", "clocks", "batches",
    }  # fmt: skip
    assert (repaired(ledger), bool(plan(ledger, pause_seconds=0))) == ([], False)


def test_a_rollup_that_lacks_a_team(ledger: Ledger) -> None:
    """
    Fault 57: what a rollup lacks is said to the picodollar, month by month, and a repair brings it back.
    """
    lost = [each for each in charges() if each.owner.team == "search"]
    run(ledger, "ALTER TABLE spend_by_customer_day DELETE WHERE team = 'search'")
    checks = [check for check in verify(ledger, pause_seconds=0).checks if check.name == "rollups"]
    said = {str(check.figures[0]["month"]): check for check in checks}

    for month, requests in by_month(lost).items():
        excess = said[month].figures[0]["excess"]
        assert isinstance(excess, dict)
        assert (said[month].figures[0]["rollup"], excess["requests"]) == ("spend_by_customer_day", -len(requests))
        assert excess["cost_usd"] == f"-{usd(requests)}"
        assert f"{usd(requests)} USD too little" in said[month].what
    assert len(repaired(ledger)) == 4  # two lines of the plan, two of the deed
    assert (problems(ledger), plan(ledger, pause_seconds=0).rebuilds()) == ({}, [])


def test_a_journal_that_was_replayed(ledger: Ledger) -> None:
    """
    Fault 49: rows that a restored journal sent again are counted, with their cost; a repair takes exactly them back.
    """
    before = ask(ledger, BILL)
    again = by_month(charges())["202611"][:7]
    store(ledger, again, "restored")
    store(ledger, again[:2], "restored twice")
    (found,) = problems(ledger).values()

    assert (found.name, found.figures[0]) == ("copies", {"charges": 9, "cost_usd": usd([*again, *again[:2]])})
    assert f"${usd([*again, *again[:2]])} too much on the bill (api)" in found.what
    assert sum(line.startswith("take back $") for line in repaired(ledger)) == 9 - sum(
        isinstance(each.price, Unpriced) for each in [*again, *again[:2]]
    )
    assert (problems(ledger), repaired(ledger), ask(ledger, BILL)) == ({}, [], before)
    store(ledger, again[:2], "restored once more, after the repair")
    repaired(ledger)
    assert (problems(ledger), ask(ledger, BILL)) == ({}, before)


def test_corrections_that_were_replayed(ledger: Ledger) -> None:
    """
    Fault 49: a restored journal that held corrections as well, sent again with its rows, leaves the bill as it was.
    """
    row, better = a_request(350, price=priced(11)), a_request(351, price=priced(17))
    flips = [adjusted(row, -1, of=row), adjusted(better, 1, of=row)]
    store(ledger, [row], "row")
    moves = [*flips, *(replace(each, sign=-each.sign) for each in flips), *flips]
    batch = segment(map(adjustment_row, moves), "moved, back, and moved again")
    ledger.insert("llm_adjustments", batch, token="first")
    before = ask(ledger, BILL)
    assert problems(ledger) == {}
    for again in ("once", "twice"):
        store(ledger, [row], f"row {again}")
        ledger.insert("llm_adjustments", batch, token=again)
        found = problems(ledger)

        assert sorted(found) == ["copies", "corrections"]
        assert found["corrections"].figures[0] == {"charges": 6, "cost_usd": "0.000000000006"}
        repaired(ledger)
        assert (problems(ledger), ask(ledger, BILL), repaired(ledger)) == ({}, before, [])


def test_the_better_copy_stays(ledger: Ledger) -> None:
    """
    Of two copies of one span, the one with usage stays, whichever came first.
    """
    blind = a_request(300, price=Unpriced(reason="no_usage"), usage=None)
    seen = a_request(300, price=priced(7))
    store(ledger, [seen], "seen")
    before = ask(ledger, BILL)
    store(ledger, [blind], "blind")
    repaired(ledger)
    store(ledger, [a_request(301, price=Unpriced(reason="no_usage"), usage=None)], "blind first")
    store(ledger, [a_request(301, price=priced(9))], "then seen")
    repaired(ledger)

    assert (problems(ledger), Decimal(ask(ledger, BILL)[1]) - Decimal(before[1])) == ({}, Decimal("9E-12"))
    assert ask(ledger, "SELECT sum(sign) FROM llm_charges WHERE isNull(cost_usd) AND of_span_id LIKE '%12d'") == ["0"]


def responding(
    number: int, response_id: str, *, service: str, at_s: float = 0, cost: int = PICO, **more: object
) -> Request:
    """A request of a service, `at_s` seconds after the others, that shows this response; it took a second."""
    made = a_request(number, price=priced(cost), service=service, start_unix_ns=START_NS + int(at_s * SECOND), **more)  # type: ignore[arg-type]
    return replace(made, call=replace(made.call, response_id=response_id))


def test_a_client_and_its_gateway(ledger: Ledger) -> None:
    """
    One response that two services charged is found, with the money at stake; the earlier charge stays, whoever owns it.
    """
    store(ledger, [responding(401, "r-1", service="gateway", at_s=0.2, cost=5)], "gateway")
    store(ledger, [responding(400, "r-1", service="client", cost=7)], "client")
    (found,) = problems(ledger).values()
    before = Decimal(ask(ledger, BILL)[1])
    said = repaired(ledger)

    assert (found.name, found.figures[0]) == ("responses", {"charges": 1, "cost_usd": "0.000000000005"})
    assert (found.figures[1]["service_name"], found.figures[1]["kept_span_id"]) == ("gateway", f"{400:016x}")
    assert any(f"its response is charged by {400:032x} {400:016x}" in line for line in said)
    assert (problems(ledger), repaired(ledger)) == ({}, [])
    assert before - Decimal(ask(ledger, BILL)[1]) == Decimal("5E-12")


def test_two_repairs_at_once(ledger: Ledger) -> None:
    """
    Two repairs that planned the same take it back once.
    """
    before = ask(ledger, BILL)
    store(ledger, by_month(charges())["202610"], "again")
    store(ledger, [responding(380, "r-3", service="client"), responding(381, "r-3", service="gateway")], "both")
    plans = [plan(ledger, pause_seconds=0) for _ in range(2)]
    for planned in plans:
        assert [*carry_out(ledger, planned, pause_seconds=0)]

    assert (problems(ledger), Decimal(ask(ledger, BILL)[1])) == ({}, Decimal(before[1]) + 1)


def test_equal_ids_of_different_responses(ledger: Ledger) -> None:
    """
    Equal ids alone prove nothing: charges that do not meet in time, or have neither model nor tokens in common, all stay.
    """
    other = a_request(1).call.usage
    assert other is not None
    store(
        ledger,
        [
            responding(500, "42", service="a"),
            responding(501, "42", service="b", at_s=7),
            responding(502, "43", service="a"),
            responding(503, "43", service="a", at_s=2),
            responding(504, "44", service="a"),
            responding(505, "44", service="b", model="another", usage=replace(other, input_tokens=1)),
        ],
        "local",
    )

    assert (problems(ledger), repaired(ledger)) == ({}, [])


def test_a_copied_row_whose_response_is_shared_and_whose_charge_moved(ledger: Ledger) -> None:
    """
    All kinds at once: a copied row, a charge that an adjustment moved, and another service's charge for the same response
    leave one charge, and the dry run says the money that goes.
    """
    before = Decimal(ask(ledger, BILL)[1])
    outer, inner = responding(600, "", service="client", cost=11), responding(601, "r-6", service="client", cost=13)
    store(ledger, [outer], "row")
    adjust(ledger, [adjusted(outer, -1, of=outer), adjusted(inner, 1, of=outer)], "moved")
    gateway = responding(602, "r-6", service="gateway", at_s=0.1, cost=17)
    store(ledger, [gateway], "gateway")
    store(ledger, [gateway], "gateway again")
    planned = plan(ledger, pause_seconds=0)

    assert [planned.copies.cost_usd, planned.responses.cost_usd] == [Decimal("17E-12")] * 2
    assert [*carry_out(ledger, planned, pause_seconds=0)] == [
        "taken back: 1 copies of rows",
        "taken back: 1 charges for responses that another row charges",
    ]
    assert (problems(ledger), repaired(ledger)) == ({}, [])
    assert Decimal(ask(ledger, BILL)[1]) - before == Decimal("13E-12")


def test_the_loser_whose_charge_had_moved(ledger: Ledger) -> None:
    """
    A charge that an adjustment added is taken back as it stands, under the row that it belongs to.
    """
    store(ledger, [responding(701, "r-7", service="client", cost=3)], "client")
    before = ask(ledger, BILL)
    outer, inner = (
        responding(702, "", service="gateway", at_s=0.1, cost=11),
        responding(703, "r-7", service="gateway", at_s=0.1, cost=13),
    )
    store(ledger, [outer], "row")
    adjust(ledger, [adjusted(outer, -1, of=outer), adjusted(inner, 1, of=outer)], "moved")

    repaired(ledger)

    assert (problems(ledger), ask(ledger, BILL)) == ({}, before)
    left = f"SELECT sum(sign), sum(sign * cost_usd) FROM llm_charges WHERE of_span_id = '{702:016x}'"  # noqa: S608
    assert ask(ledger, left) == ["0", "0"]


def test_marks(ledger: Ledger) -> None:
    """
    A month that is marked is built anew whole and is then no longer marked; a mark that came meanwhile stays.
    """
    ledger.mark_for_repair("llm_requests", "202611", "some-batch", "found_by_lookup")
    ledger.mark_for_repair("llm_adjustments", "202611", "another", "found_by_lookup")
    (found,) = problems(ledger).values()
    planned = plan(ledger, pause_seconds=0)
    ledger.mark_for_repair("llm_requests", "202611", "later", "found_by_lookup")
    said = [*carry_out(ledger, planned, pause_seconds=0)]
    (left,) = ledger.query("verify_marks", {"first": "202611", "last": "202611"})

    assert "1 of llm_adjustments in 202611, 1 of llm_requests in 202611" in found.what
    assert said == [*(f"built anew: {rollup} of 202611" for rollup in ROLLUPS), "no longer marked: 202611"]
    assert (left["batches"], left["some"]) == (1, ["later"])
    repaired(ledger)
    assert problems(ledger) == {}


INTERRUPTIONS = ((0, True), (1, False), (7, True), (26, False))
"""Two inserts of take-backs, six statements for each of four rollups, and one for the mark; dead before it or after."""


@pytest.mark.parametrize("ledger", ["embedded"], indirect=True)
@pytest.mark.parametrize(
    ("at", "done"), [(1, True), (26, True), *(pytest.param(*each, marks=pytest.mark.slow) for each in INTERRUPTIONS)]
)
def test_interrupted_everywhere(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, at: int, done: bool) -> None:
    """
    Fault 94: a repair that dies before or after any of its inserts and statements ends, run again, where one that nothing
    interrupted ends.
    """
    before = ask(ledger, BILL)
    for month, requests in by_month(charges()).items():
        store(ledger, requests[:3], f"again {month}")
    ledger.mark_for_repair("llm_requests", "202610", "some-batch", "found_by_lookup")
    with monkeypatch.context() as patch:
        _dying(ledger, patch, at, done=done)
        with pytest.raises(KeyboardInterrupt):
            repaired(ledger)
    repaired(ledger)

    assert (problems(ledger), ask(ledger, BILL)) == ({}, before)


def _dying(ledger: Ledger, patch: pytest.MonkeyPatch, at: int, *, done: bool) -> None:
    steps_done = iter(range(10_000))

    def wrapped(step: object) -> object:
        def run_step(*arguments: object, **options: object) -> object:
            number = next(steps_done)
            if number == at and not done:
                raise KeyboardInterrupt
            answer = step(*arguments, **options)  # type: ignore[operator]
            if number == at:
                raise KeyboardInterrupt
            return answer

        return run_step

    patch.setattr(ledger, "insert", wrapped(ledger.insert))
    patch.setattr(ledger, "command", wrapped(ledger.command))


def test_what_surrounds_the_rows(ledger: Ledger) -> None:
    """
    A rate without its content, a clock in the future, a batch in two months and a schema that is not applied are told.
    """
    ahead = int((datetime.now().astimezone() + timedelta(days=2)).timestamp()) * SECOND
    store(ledger, [a_request(800, start_unix_ns=ahead, service="ahead")], "future")
    store(ledger, [a_request(801), a_request(802, start_unix_ns=START_NS - 40 * 86400 * SECOND)], "two months")
    run(ledger, "TRUNCATE TABLE llm_rates")
    run(ledger, "ALTER TABLE llmcost_migrations DELETE WHERE name LIKE '069%'")
    found = problems(ledger)

    assert sorted(found) == ["batches", "clocks", "rates", "schema"]
    assert "069_unpriced (pending)" in found["schema"].what
    assert "ahead (1)" in found["clocks"].what
    assert "two months (202610 to 202611)" in found["batches"].what
    assert all(check.fix for check in found.values())


def test_a_ledger_without_tables(ledger: Ledger) -> None:
    """
    Tables that are missing are a finding with its fix.
    """
    run(ledger, "DROP VIEW spend_by_request")

    assert "otel-llmcost schema apply" in problems(ledger)["schema"].fix


@pytest.fixture(scope="module")
def damaged() -> Iterator[Ledger]:
    """One embedded ledger for all examples, which each leaves whole."""
    with connect("chdb://memory") as opened:
        migrations.apply(opened)
        for month, requests in by_month(charges()).items():
            store(opened, requests, month)
        yield opened


cells = st.tuples(
    st.sampled_from([*ROLLUPS]), st.sampled_from(["2026-10-28", "2026-11-18"]), st.integers(-9, 9).filter(bool)
)


@pytest.mark.slow
@settings(max_examples=8)
@given(
    added=st.lists(cells, max_size=4),
    lost=st.sets(st.tuples(st.sampled_from([*ROLLUPS]), st.sampled_from(["search", "growth"])), max_size=3),
)
def test_any_damage_to_rollups(damaged: Ledger, added: list[tuple[str, str, int]], lost: set[tuple[str, str]]) -> None:
    """
    Whatever was added to or lost from rollups, a repair makes them equal to their rows, in every cell.
    """
    for rollup, team in lost:
        run(damaged, f"ALTER TABLE {rollup} DELETE WHERE team = '{team}'")
    for rollup, day, requests in added:
        column = ROLLUPS[rollup]
        run(damaged, f"INSERT INTO {rollup} ({column}, team, requests) VALUES ('{day}', 'ghost', {requests})")  # noqa: S608
    repaired(damaged)

    assert all(each.agrees for each in compare(damaged, EVER, pause_seconds=0))
    assert {each.month for each in compare(damaged, days_of("202611"), pause_seconds=0)} == {"202611"}
