"""`otel-llmcost schema` with a table of traces, as a user runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from otel_llmcost.cli import cli
from otel_llmcost.ledger import Ledger
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import START_NS, a_request, ask
from tests.otel_traces.conftest import export, new_ledger, new_table, rows_of, stamped

Command = Callable[..., Result]
DAY_NS = 86_400 * 10**9


@pytest.fixture
def ledger(server: ClickHouseDouble) -> Iterator[Ledger]:
    """An empty ledger on the double."""
    with new_ledger(server.dsn()) as opened:
        yield opened


@pytest.fixture
def call(server: ClickHouseDouble, ledger: Ledger) -> Command:
    """Run a command of `schema` against it."""
    dsn = server.dsn(ledger.dsn.database)
    return lambda *arguments: CliRunner().invoke(cli, ["schema", *arguments, "--dsn", dsn])


def test_apply(ledger: Ledger, call: Command, kind: str):
    """
    One command adds the views to a table that is there, whichever way it keeps attributes, and its history, month by month;
    the same command again changes nothing.
    """
    source = new_table(ledger, kind)
    export(
        ledger,
        source,
        kind,
        [stamped(a_request(number, start_unix_ns=START_NS - number * 20 * DAY_NS)) for number in (0, 1, 2)],
    )
    first, second = (call("apply", "--from-otel-traces", str(source), "--backfill") for _ in range(2))
    export(ledger, source, kind, [stamped(a_request(3))])

    assert first.stdout.splitlines() == [
        source.view("llm_requests"),
        source.view("llm_rates"),
        f"3 requests added from {source}",
    ]
    assert "2026-10: 2 requests added\n2026-11: 1 requests added\n" in first.stderr
    assert (second.exit_code, second.stdout.splitlines()[-1]) == (0, f"0 requests added from {source}")
    assert len(rows_of(ledger)) == 4


def test_refusals(call: Command):
    """
    A table that is not there, and a backfill from nowhere, are refused by a sentence.
    """
    absent, nowhere = call("apply", "--from-otel-traces", "otel.nothing"), call("apply", "--backfill")

    assert (absent.exit_code, "there is no table otel.nothing" in absent.output) == (1, True)
    assert (nowhere.exit_code, "--backfill needs --from-otel-traces" in nowhere.output) == (2, True)


@pytest.mark.parametrize("cluster", [(), ("--cluster", "main")], ids=["one server", "cluster"])
def test_show(ledger: Ledger, call: Command, kind: str, cluster: tuple[str, ...]):
    """
    The statements of the views can be printed, without asking any table, and each is one that the engine reads.
    """
    shown = call("show", "--from-otel-traces", "otel.otel_traces", "--attributes", kind, *cluster).stdout
    views = [each for each in shown.split(";\n\n") if "_from_otel__otel_traces" in each]

    assert [each.splitlines()[1].split(" AS")[0] for each in views] == [
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {table}_from_otel__otel_traces{' ON CLUSTER ' + repr('main') if cluster else ''} "
        f"TO {target}"
        for table, target in (
            ("llm_requests", "llm_requests_local" if cluster else "llm_requests"),
            ("llm_rates", "llm_rates"),
        )
    ]
    for statement in views:
        quoted = statement.replace("\\", "\\\\").replace("'", "\\'")
        assert ask(ledger, f"SELECT length(formatQuery('{quoted}')) > 100") == ["1"]
