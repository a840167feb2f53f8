"""What every fault test starts with: counters at 0, and a fence that hides nothing."""

from __future__ import annotations

import pytest

import otel_llmcost.fence
from otel_llmcost.counters import COUNTERS


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count from 0 in every test, and let no error hide behind the fence."""
    COUNTERS.reset()
    monkeypatch.setattr(otel_llmcost.fence, "RERAISE", True)
