"""A processor that remembers owners, and a process whose propagation and context each test has to itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.context.context import Context
from opentelemetry.propagate import get_global_textmap, set_global_textmap

from otel_llmcost.counters import COUNTERS


@pytest.fixture(autouse=True)
def own_propagation() -> Iterator[None]:
    """
    Put back the global propagator and the context, and count from nothing.
    """
    COUNTERS.reset()
    before, token = get_global_textmap(), attach(Context())
    yield
    detach(token)
    set_global_textmap(before)
