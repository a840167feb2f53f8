"""Pages that were just made are shown again for as long as that is worth it."""

from __future__ import annotations

import pytest

from otel_llmcost.dashboard.memory import Memory
from otel_llmcost.dashboard.page import Page


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _page_in(clock: _Clock, seconds: float, title: str) -> Page:
    clock.now += seconds
    return Page(title=title, template="")


@pytest.mark.parametrize(("seconds", "kept"), [(0.01, 0.2), (1.0, 20.0), (30.0, 60.0)])
def test_a_page_is_kept_in_proportion_to_its_cost(seconds: float, kept: float) -> None:
    """Twenty times what it took, and never longer than a minute."""
    clock = _Clock()
    memory = Memory(clock)
    memory.page("a", lambda: _page_in(clock, seconds, "first"))
    clock.now += kept * 0.99
    assert memory.page("a", lambda: _page_in(clock, seconds, "second")).title == "first"
    clock.now += kept * 0.02
    assert memory.page("a", lambda: _page_in(clock, seconds, "third")).title == "third"


def test_another_page_is_another() -> None:
    """What one address shows is never shown at another."""
    clock = _Clock()
    memory = Memory(clock)
    assert [memory.page(key, lambda key=key: _page_in(clock, 1, key)).title for key in "ab"] == ["a", "b"]


def test_a_page_that_failed_is_made_again() -> None:
    """A ledger that was down for a moment is not down for a minute."""
    clock = _Clock()
    memory = Memory(clock)

    def fail() -> Page:
        clock.now += 10
        raise RuntimeError

    with pytest.raises(RuntimeError):
        memory.page("a", fail)
    assert memory.page("a", lambda: _page_in(clock, 1, "again")).title == "again"


def test_old_pages_make_room() -> None:
    """Memory is bounded: the oldest of more than 64 pages is made again."""
    clock = _Clock()
    memory = Memory(clock)
    for number in range(65):
        memory.page(number, lambda: _page_in(clock, 1, "first"))
    assert memory.page(64, lambda: _page_in(clock, 1, "again")).title == "first"
    assert memory.page(0, lambda: _page_in(clock, 1, "again")).title == "again"
