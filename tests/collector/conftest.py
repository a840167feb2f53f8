"""What tests of the Collector share: sinks behind it, and an agent before a gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collector.binary import collector_binary
from tests.collector.processes import Sink


@pytest.fixture(autouse=True)
def _built() -> None:
    collector_binary()


@pytest.fixture
def receiver() -> Iterator[Sink]:
    """In the place of the receiver of the cost branch."""
    sink = Sink()
    yield sink
    sink.close()


@pytest.fixture
def backend() -> Iterator[Sink]:
    """In the place of a tracing backend, behind the sampling."""
    sink = Sink()
    yield sink
    sink.close()
