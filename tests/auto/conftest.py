"""What a processor does to the whole process is undone after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.propagate import get_global_textmap, set_global_textmap


@pytest.fixture(autouse=True)
def own_propagation() -> Iterator[None]:
    """
    Put back the global propagator, which every processor guards.
    """
    before = get_global_textmap()
    yield
    set_global_textmap(before)
