"""The oracle itself: it must see each kind of damage, or no fault test proves anything."""

from __future__ import annotations

import pytest

from tests.e2e.faults.audit import ROLLUPS, Audit, audit

EXACT = {"a": ["a", "1", "1", "0.000000000005"], "b": ["b", "1", "1", "123456.000000000007"]}
"""Two spans as the ledger's rows and adjustments give them: id, rows, signs, cost."""
WANT = {"a": 5, "b": 123_456_000_000_000_007}
ROLLUP = ["2", "123456.000000000012"]


def audited(spans: dict[str, list[str]], rollup: list[str] = ROLLUP) -> Audit:
    """Audit a ledger that answers so."""
    return audit(lambda sql: list(spans.values()) if "llm_requests" in sql else [rollup], WANT, possible={"may-be": 9})


def test_nothing_wrong() -> None:
    """
    An exact ledger is exact.
    """
    assert audited(EXACT) == Audit()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"a": ["a", "0", "0", "0"]}, Audit(lost=1, rows_minus_want=-5)),
        ({"a": ["a", "1", "0", "0"]}, Audit(lost=1, rows_minus_want=-5)),
        ({"a": ["a", "2", "2", "0.00000000001"]}, Audit(doubled=1, rows_minus_want=5)),
        ({"a": ["a", "1", "1", "0.000000000004"]}, Audit(mispriced=1, rows_minus_want=-1)),
        ({"c": ["c", "1", "1", "0"]}, Audit(ghosts=1)),
    ],
    ids=["lost", "taken-back", "doubled", "mispriced", "ghost"],
)
def test_damage_to_rows(changes: dict[str, list[str]], found: Audit) -> None:
    """
    A row that is missing, taken back, doubled, wrong or a stranger is seen, to the picodollar.
    """
    assert audited(EXACT | changes) == found


@pytest.mark.parametrize(
    ("rollup", "requests", "picodollars"),
    [
        (["3", "123456.000000000012"], 1, 0),
        (["2", "123456.000000000011"], 0, -1),
        (["0", "0"], -2, -sum(WANT.values())),
    ],
)
def test_damage_to_rollups(rollup: list[str], requests: int, picodollars: int) -> None:
    """
    A rollup that is off by one request or one picodollar is named.
    """
    found = audited(EXACT, rollup)
    assert found == Audit(rollups_minus_want=tuple((name, requests, picodollars) for name in ROLLUPS))


def test_a_span_that_may_be_there() -> None:
    """
    A span whose process was killed may be stored, once and at its cost, or not.
    """
    whole = ["3", "123456.000000000021"]
    assert audited(EXACT | {"may-be": ["may-be", "1", "1", "0.000000000009"]}, whole) == Audit()
    assert audited(EXACT | {"may-be": ["may-be", "2", "2", "0.000000000018"]}, whole).doubled == 1
