"""verify beside shippers: what is on its way is no difference, what stays away is."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from otel_llmcost.ledger import Ledger
from otel_llmcost.verify import compare, days_of
from tests.verify.conftest import run

NOVEMBER = days_of("202611")
pytestmark = pytest.mark.parametrize("ledger", ["embedded"], indirect=True)


class Busy:
    """A ledger in which, whenever it is asked, another insert is in the rows and not yet in the hours."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.asked = 0

    def query(self, name: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """Let the last insert arrive and the next one begin; then answer."""
        self.asked += 1
        for hour, requests in ((self.asked - 1, 1), (self.asked, -1)):
            if hour:
                run(
                    self.ledger,
                    f"INSERT INTO spend_by_hour (hour, requests) VALUES ('2026-11-18 {hour:02d}:00:00', {requests})",  # noqa: S608
                )
        return self.ledger.query(name, parameters)


def agreeing(ledger: Ledger | Busy) -> list[bool]:
    """Whether the hours of November agree."""
    return [each.agrees for each in compare(ledger, NOVEMBER, ["spend_by_hour"], pause_seconds=0)]


def test_rows_that_never_cease_to_arrive(ledger: Ledger) -> None:
    """
    A rollup that is behind its rows at every look, by other rows each time, is as it should be.
    """
    busy = Busy(ledger)

    assert (agreeing(busy), busy.asked > 2) == ([True], True)


def test_damage_under_rows_that_arrive(ledger: Ledger) -> None:
    """
    What is lost for good is told, however much arrives beside it.
    """
    run(ledger, "ALTER TABLE spend_by_hour DELETE WHERE team = 'search'")

    assert agreeing(Busy(ledger)) == [False]


def test_damage_outside_the_period(ledger: Ledger) -> None:
    """
    A day that is damaged and not asked for makes no difference.
    """
    run(ledger, "ALTER TABLE spend_by_hour DELETE WHERE toDayOfMonth(hour) = 18")
    before = type(NOVEMBER)(NOVEMBER.since, NOVEMBER.since.replace(day=18))

    assert (
        [each.agrees for each in compare(ledger, before, ["spend_by_hour"], pause_seconds=0)],
        agreeing(ledger),
    ) == (
        [True],
        [False],
    )
