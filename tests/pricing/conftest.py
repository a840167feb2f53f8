"""Every test here prices: the data is loaded first, however slow the machine is."""

from __future__ import annotations

import pytest

from otel_llmcost.pricing import Pricer


@pytest.fixture(autouse=True, scope="session")
def loaded_prices() -> None:
    """Wait for the published prices."""
    assert Pricer.default().wait()
