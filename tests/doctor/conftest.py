"""A ledger behind HTTP with something to find in it, and an environment without settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.model import PICO, Owner, Request, Unpriced, Usage
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import MINI, a_request, adjust, adjusted, priced, store

DATABASE = "doctor"
HANDLER = "opentelemetry.util.genai.handler"
NATIVE = "com.anthropic.sdk.python"


def shown_by(request: Request, scope: str, provider: str, *gaps: str) -> Request:
    """Give the request as an instrumentation showed it."""
    return replace(
        request,
        span=replace(request.span, scope_name=scope),
        call=replace(request.call, usage_gaps=gaps, provider=provider),
    )


def charges() -> list[Request]:
    """An exact request, two that hide something, one without usage, one cancelled, one failed, two without a price."""
    nobody = Owner(environment="production")
    silent = Unpriced(reason="no_usage")
    unknown = Unpriced(reason="unknown_model")
    return [
        shown_by(a_request(1, price=priced(5 * PICO)), "opentelemetry.instrumentation.genai.openai", "openai"),
        shown_by(a_request(2, price=priced(3 * PICO), service="web"), HANDLER, "openai", "cached_input", "tool_calls"),
        shown_by(a_request(3, price=priced(2 * PICO), owner=nobody, service="checkout"), NATIVE, "anthropic", "region"),
        shown_by(a_request(4, price=silent, usage=None), HANDLER, "openai", "cached_input"),
        shown_by(a_request(5, price=silent, usage=None, status="cancelled"), HANDLER, "openai", "cached_input"),
        shown_by(a_request(6, price=silent, usage=None, status="error"), HANDLER, "openai", "cached_input"),
        a_request(7, price=unknown, model="gpt-x"),
        a_request(8, price=unknown, model="gpt-x", usage=Usage(input_tokens=10, web_search_calls=2)),
    ]


BILL = Decimal(10)


@pytest.fixture(scope="session")
def server() -> Iterator[ClickHouseDouble]:
    """One double of a ClickHouse server."""
    with ClickHouseDouble() as double:
        yield double


@pytest.fixture(scope="session")
def ledger(server: ClickHouseDouble) -> Iterator[Ledger]:
    """Those charges, and one that was taken back."""
    gone = shown_by(a_request(9, price=MINI), HANDLER, "openai", "cached_input")
    with connect(server.dsn(DATABASE)) as opened:
        migrations.apply(opened)
        store(opened, [*charges(), gone])
        adjust(opened, [adjusted(gone, -1, of=gone)])
        yield opened


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of ours or OpenTelemetry's, and an empty state directory."""
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("ANTHROPIC_OPEN_TELEMETRY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def dsn(server: ClickHouseDouble, ledger: Ledger) -> str:
    """The DSN of that ledger."""
    return server.dsn(ledger.dsn.database)
