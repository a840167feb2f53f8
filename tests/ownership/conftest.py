"""Each test starts outside every block and with all counters at 0."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.context.context import Context

from otel_llmcost.counters import COUNTERS


@pytest.fixture(autouse=True)
def empty_context() -> Iterator[None]:
    """
    Begin with the root context, and put back what was there.
    """
    COUNTERS.reset()
    token = attach(Context())
    yield
    detach(token)
