"""Who may do what on a server. No engine here has users: what it can do is parse, and refuse as a server does."""

from __future__ import annotations

import re

import pytest

from otel_llmcost.errors import LedgerDenied, LedgerRefused
from otel_llmcost.ledger import Ledger, connect
from otel_llmcost.ledger.access import access_statements, apply_access
from otel_llmcost.ledger.rendering import file_names, read_sql
from tests.clickhouse_double import ClickHouseDouble, Fault
from tests.clickhouse_double_process import literal
from tests.ledger.samples import ask

NO_GRANT = (
    "Code: 497. DB::Exception: writer: Not enough privileges. To execute this query, it's necessary to have the grant "
    "CREATE ROLE ON *.*. (ACCESS_DENIED)"
)


def granted(name: str) -> set[str]:
    """The tables and views that a statement names."""
    return set(re.findall(r"llmcost\.(\w+)", access_statements("llmcost")[name]))


@pytest.mark.parametrize("cluster", ["", "{cluster}"])
def test_clickhouse_parses_every_statement(cluster: str) -> None:
    """
    Every statement is ClickHouse's own SQL, may be repeated, and is for all nodes of a cluster.
    """
    with connect("chdb://memory") as engine:
        for name, sql in access_statements("llmcost", cluster).items():
            shown = str(engine.command(f"SELECT formatQuery({literal(sql)})", what="parse", database=False))
            assert re.search(r"GRANT |IF NOT EXISTS ", shown), name
            assert bool(cluster) == (" ON CLUSTER " in shown), name


def test_in_order(server: ClickHouseDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A server receives the statements in the order of their files: a role before its grants, a policy before its reader.
    """
    run = Ledger.command
    monkeypatch.setattr(Ledger, "command", lambda ledger, sql, **named: run(ledger, f"EXPLAIN AST {sql}", **named))
    with connect(server.dsn("default")) as ledger:
        before = len(server.statements())
        applied = apply_access(ledger)
    received = [each["sql"].removeprefix("EXPLAIN AST ") for each in server.statements()[before:]]

    assert applied == list(file_names("access"))
    assert [sql[:100] for sql in access_statements("default").values()] == [sql[:100] for sql in received]
    kinds = [name for name in applied if name.startswith("03")]
    assert kinds.index("032_team_reads_its_own") < kinds.index("033_team_reader_selects")


def test_a_refusal_names_the_grant(server: ClickHouseDouble) -> None:
    """
    A user that may not make roles is told which grant it lacks, and nothing else is tried.
    """
    with connect(server.dsn("default")) as ledger:
        server.inject(Fault("before", "exception", match="CREATE ROLE", value=NO_GRANT))
        before = len(server.statements())
        with pytest.raises(LedgerDenied, match=r"could not apply 010_writer: .*the grant CREATE ROLE ON \*\.\*"):
            apply_access(ledger)
        assert len(server.statements()) == before + 1
        server.inject()


def test_the_engine_itself_refuses(server: ClickHouseDouble) -> None:
    """
    A server without users of its own refuses too, in one sentence.
    """
    with connect(server.dsn("default")) as ledger, pytest.raises(LedgerDenied, match="could not apply 010_writer"):
        apply_access(ledger)


def test_an_embedded_ledger_has_no_users() -> None:
    """
    Asked for roles, an embedded ledger says what guards it instead.
    """
    with connect("chdb://memory") as ledger, pytest.raises(LedgerRefused, match="which has no users"):
        apply_access(ledger)


def test_every_team_has_a_policy(ledger: Ledger) -> None:
    """
    Every table with a team in it has both policies, in whatever version it came.
    """
    with_team = ask(
        ledger,
        "SELECT arrayStringConcat(groupArray(c.table), ' ') FROM system.columns AS c JOIN system.tables AS t "
        "ON t.database = c.database AND t.name = c.table "
        "WHERE c.database = currentDatabase() AND c.name = 'team' AND t.engine LIKE '%MergeTree'",
    )[0].split()
    assert len(with_team) == 6
    assert set(with_team) == granted("031_everyone_else_reads_all") == granted("032_team_reads_its_own")


def test_a_team_reads_nothing_without_a_policy() -> None:
    """
    Whatever one team's readers may read comes, through any number of views, from tables with a policy; and from rates.
    """
    may = granted("033_team_reader_selects")
    tables = granted("032_team_reads_its_own") | {"llm_rates"}
    for name in file_names():
        view = re.search(r"CREATE VIEW IF NOT EXISTS (\w+) AS", text := read_sql("schema", name))
        if view and view[1] in may:
            assert set(re.findall(r"\bFROM (\w+)", text)) <= may, name
        elif view:
            assert "llm_outcomes" in text, f"{name} could be granted too"
    assert {
        name for name in may if name.startswith(("llm_r", "llm_a", "spend_by_h", "spend_by_c", "spend_by_a", "spend_q"))
    } == tables


def test_a_writer_reads_no_row() -> None:
    """
    A writer may look up a batch, and read no other column.
    """
    texts = " ".join(access_statements("llmcost")[name] for name in ("011_writer_inserts", "012_writer_looks_up"))
    assert set(re.findall(r"SELECT(?!\(batch_id\))", texts)) == set()
    assert {"llm_requests", "llm_adjustments", "llm_rates", "llm_outcomes", "llmcost_repairs"} == granted(
        "011_writer_inserts"
    )
