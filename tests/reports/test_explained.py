"""Corrections as people read them: what is in force, what is unknown, and what was taken back."""

from __future__ import annotations

from datetime import date
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext

import pytest
from click.testing import CliRunner

from otel_llmcost.cli import cli
from otel_llmcost.ledger import connect, migrations
from otel_llmcost.model import Owner
from otel_llmcost.reports import ExplainedRequest, Measures, spend
from otel_llmcost.reports.money import share, sum_usd, usd
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import MINI, UNPRICED, a_request, adjust, adjusted, priced, store


def explained(*charges: tuple[int, str | None, str]) -> ExplainedRequest:
    """A request of one cent, and its corrections: sign, cost, price status."""
    first, *others = [
        {"sign": sign, "cost_usd": cost if cost is None else Decimal(cost), "price_status": status}
        for sign, cost, status in ((1, "0.01", "priced"), *charges)
    ]
    return ExplainedRequest(row=first, copies=(), components=(), lines=(), rate=None, adjustments=tuple(others))


@pytest.mark.parametrize(
    ("charges", "final", "is_lower_bound"),
    [
        ([], "0.01", False),
        ([(-1, "0.01", "priced"), (1, "0.02", "partial")], "0.02", True),
        (
            [(-1, "0.01", "priced"), (1, "0.02", "partial"), (-1, "0.02", "partial"), (1, "0.03", "priced")],
            "0.03",
            False,
        ),
        ([(-1, "0.01", "priced"), (1, None, "unpriced")], None, False),
        ([(-1, "0.01", "priced"), (1, None, "unpriced"), (-1, None, "unpriced"), (1, "0.03", "priced")], "0.03", False),
        ([(-1, "0.01", "priced")], "0.00", False),
    ],
)
def test_what_is_in_force(charges: list[tuple[int, str | None, str]], final: str | None, is_lower_bound: bool) -> None:
    """
    After corrections a request costs what the charge in force does: not known if that has no cost, never $0.
    """
    found = explained(*charges)

    assert found.final_cost_usd == (None if final is None else Decimal(final))
    assert found.is_lower_bound is is_lower_bound


@pytest.fixture
def moved(server: ClickHouseDouble) -> str:
    """The DSN of a ledger with a charge that moved from one team to another, and one that became unknown."""
    dsn = server.dsn("moved")
    ghost, unknown = a_request(1, owner=Owner(team="ghost")), a_request(2, owner=Owner(team="lost"))
    partial = a_request(3, price=priced(5 * 10**9, status="partial"), owner=Owner(team="ghost"))
    with connect(dsn) as ledger:
        if not migrations.apply(ledger):
            return dsn
        store(ledger, [ghost, unknown, partial])
        adjust(
            ledger,
            [
                adjusted(ghost, -1, of=ghost),
                adjusted(a_request(91, price=MINI, owner=Owner(team="real")), 1, of=ghost),
                adjusted(unknown, -1, of=unknown),
                adjusted(a_request(92, price=UNPRICED, owner=Owner(team="lost")), 1, of=unknown),
                adjusted(partial, -1, of=partial),
            ],
        )
    return dsn


def test_what_was_taken_back_leaves_no_row(moved: str) -> None:
    """
    A group whose charges were all taken back is in no report.
    """
    with connect(moved) as ledger:
        found = spend(ledger, ["team"], since=date(2026, 11, 1), until=date(2026, 12, 1))

    assert {row.key[0] for row in found.rows} == {"real", "lost"}
    assert sum((row.measures for row in found.rows), Measures()) == found.total


def test_unknown_after_adjustments(moved: str) -> None:
    """
    A correction to an unknown cost is told as unknown.
    """
    result = CliRunner().invoke(cli, ["explain", "chatcmpl-2", "--dsn", moved])

    assert "After adjustments: cost not known" in result.stdout, result.output


@pytest.mark.parametrize("command", [("requests", "--month", "2026-11"), ("explain", "chatcmpl-3")])
def test_a_lower_bound_that_was_taken_back(moved: str, command: tuple[str, ...]) -> None:
    """
    What is taken back is taken back whole: only the charge itself reads as a lower bound.
    """
    result = CliRunner().invoke(cli, [*command, "--dsn", moved])

    assert "≥ $0.005" in result.stdout, result.output
    assert "≥ -$" not in result.stdout
    assert "≥ $0.005 taken back" not in result.stdout


@pytest.fixture
def copied(server: ClickHouseDouble) -> str:
    """The DSN of a ledger with one request whose row came three times, the second time worse."""
    dsn = server.dsn("copied")
    good, worse = a_request(1), a_request(1, price=priced(7 * 10**9), usage=None)
    with connect(dsn) as ledger:
        if migrations.apply(ledger):
            for number, row in enumerate((good, worse, good)):
                store(ledger, [row], token=f"batch-{number}")
    return dsn


def test_a_request_that_was_stored_again(copied: str) -> None:
    """
    Copies of a row are one request: told with what the bill has for it, until a repair took back all but the best.
    """
    before = CliRunner().invoke(cli, ["explain", "chatcmpl-1", "--dsn", copied]).stdout
    repaired = CliRunner().invoke(cli, ["repair", "--apply", "--dsn", copied])
    after = CliRunner().invoke(cli, ["explain", "chatcmpl-1", "--dsn", copied]).stdout

    assert repaired.exit_code == 0, repaired.output
    assert "The bill has $0.0301 for it: `otel-llmcost repair` takes back all but one." in before
    assert "Stored 3 times, taken back twice as a copy." in after
    assert "After adjustments: $0.01155" in after
    for output in (before, after):
        assert (output.count("gpt-5.4-mini  $0.01155"), "requests, together" in output) == (1, False), output


@pytest.mark.parametrize("context", [Context(prec=3), Context(prec=28, traps=[Inexact, InvalidOperation])])
def test_the_callers_decimals_are_its_own(context: Context) -> None:
    """
    Whatever decimal context a program has set, reports add and write money exactly.
    """
    one = Measures(requests=1, cost_usd=Decimal("1234.567890123456"))
    with localcontext(context):
        total = sum((one, one), Measures()).cost_usd
        written = (usd(one.cost_usd), usd(Decimal("-0.000123456")), share(Decimal(1), Decimal(3)))
        summed = sum_usd([one.cost_usd, Decimal("0.000000000001")])

    assert total == Decimal("2469.135780246912")
    assert written == ("$1,234.57", "-$0.0001235", "33.3%")
    assert summed == Decimal("1234.567890123457")


def test_a_team_called_other(server: ClickHouseDouble) -> None:
    """
    Somebody's name is never taken for the rest that was folded, nor the rest for somebody.
    """
    with connect(server.dsn("others")) as ledger:
        migrations.apply(ledger)
        store(
            ledger, [a_request(number, owner=Owner(team=team)) for number, team in enumerate(("(other)", "b", "c"), 1)]
        )
        everyone, two = (
            [
                (row.key[0], row.measures.requests)
                for row in spend(ledger, ["team"], since=date(2026, 11, 1), until=date(2026, 12, 1), top=top).rows
            ]
            for top in (None, 1)
        )

    assert everyone == [('"(other)"', 1), ("b", 1), ("c", 1)]
    assert two == [('"(other)"', 1), ("(other)", 2)]
