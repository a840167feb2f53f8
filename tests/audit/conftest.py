"""What the tests of the auditor share: audits of things in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from otel_llmcost.audit import Audit, Defaults, audit
from otel_llmcost.pricing import Pricer
from otel_llmcost.settings import Settings

AT_NS = 1_793_534_400 * 10**9
"""2026-11-01T12:00:00Z."""

Auditor = Callable[..., Audit]


@pytest.fixture(scope="session")
def pricer() -> Pricer:
    """Published prices, loaded."""
    found = Pricer.default()
    assert found.wait()
    return found


@pytest.fixture(scope="session")
def audited(pricer: Pricer) -> Auditor:
    """Audit texts, bytes or JSON-ready values, each as a file of its own."""

    def run(*held: object, at_unix_ns: int = AT_NS, provider: str = "", model: str = "", settings=None) -> Audit:
        defaults = Defaults(at_unix_ns=at_unix_ns, provider=provider, model=model)
        sources = [(f"file{number}", io.BytesIO(_bytes(each))) for number, each in enumerate(held, start=1)]
        return audit(sources, pricer=pricer, settings=settings or Settings(), defaults=defaults)

    return run


def _bytes(held: object) -> bytes:
    if isinstance(held, bytes):
        return held
    return (held if isinstance(held, str) else json.dumps(held)).encode()
