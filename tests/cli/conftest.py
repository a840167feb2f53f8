"""Two months of a small company's requests, recorded and priced as an application's are, in a ledger behind HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_llmcost import ClickHouseSpanExporter, Settings, Usage, attributed, record_request
from otel_llmcost.cli import cli
from tests.clickhouse_double import ClickHouseDouble

FIRST = datetime(2026, 9, 1, 9, tzinfo=UTC)
DAYS = 61
DRAFT = Usage(input_tokens=8_000, cached_input_tokens=2_000, output_tokens=1_200)
SUMMARY = Usage(input_tokens=8_000, output_tokens=1_200)


def _record_day(exporter: ClickHouseSpanExporter, day: int) -> None:
    at = FIRST + timedelta(days=day)
    is_october = at.month == 10
    for number in range(8 if is_october else 5):
        with attributed(team="support", feature="reply-draft", customer_id="acme" if number % 2 else "globex"):
            record_request(
                provider="openai", model="gpt-5.4-mini", usage=DRAFT, at=at + timedelta(minutes=number),
                response_id=f"resp-{day}-{number}", exporter=exporter,
            )  # fmt: skip
    for number in range(3 if at.weekday() < 5 else 1):
        with attributed(team="docs", feature="summarise", customer_id="initech"):
            record_request(
                provider="anthropic", model="claude-sonnet-4", usage=SUMMARY, at=at + timedelta(hours=1 + number),
                response_id=f"msg-{day}-{number}", status="timeout" if number == 2 and is_october else "success",
                exporter=exporter,
            )  # fmt: skip
    if not is_october:
        with attributed(team="labs", feature="prototype"):
            record_request(
                provider="openai", model="gpt-5.4-nano", usage=SUMMARY, at=at + timedelta(hours=5),
                response_id=f"lab-{day}", exporter=exporter,
            )  # fmt: skip
    if day % 7 == 0:
        record_request(
            provider="openai", model="gpt-5.4-mini", usage=SUMMARY, at=at + timedelta(hours=6),
            response_id=f"nobody-{day}", exporter=exporter,
        )  # fmt: skip
    if day == 58:
        with attributed(team="support", feature="reply-draft", customer_id="acme"):
            record_request(
                provider="openai", model="house-model-7b", usage=SUMMARY, at=at + timedelta(hours=7),
                response_id="house-1", exporter=exporter,
            )  # fmt: skip


@pytest.fixture(scope="session")
def _company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of the ledger that has it all: journaled by the application, shipped by the first command."""
    journal = tmp_path_factory.mktemp("journal")
    with ClickHouseDouble() as server:
        dsn = server.dsn("company")
        settings = Settings(dsn=dsn, journal_dir=journal, ship=False, metrics=False)
        assert CliRunner().invoke(cli, ["schema", "apply", "--dsn", dsn]).exit_code == 0
        exporter = ClickHouseSpanExporter(settings=settings)
        for day in range(DAYS):
            _record_day(exporter, day)
        exporter.shutdown()
        shipped = CliRunner().invoke(
            cli, ["ship", "--once", "--dsn", dsn], env={"OTEL_LLMCOST_JOURNAL_DIR": str(journal)}
        )
        assert shipped.exit_code == 0, shipped.output
        yield dsn


@pytest.fixture
def company(_company: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its DSN, which is also the environment's, as is the journal of nobody."""
    monkeypatch.setenv("OTEL_LLMCOST_DSN", _company)
    monkeypatch.setenv("OTEL_LLMCOST_JOURNAL_DIR", str(tmp_path / "journal"))
    return _company
