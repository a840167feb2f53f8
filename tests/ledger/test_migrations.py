"""The schema: applied once, in order, finished after an interruption, never edited behind a database's back."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.resources import files

import pytest
from click.testing import CliRunner

from otel_llmcost.cli import cli
from otel_llmcost.errors import LedgerRefused, SchemaError
from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from otel_llmcost.ledger.connection import ROLLED_UP, TABLES, read_sql
from otel_llmcost.model import COMPONENTS, COUNTS
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import a_request, ask, store

MINIMUM = [
    "timestamp",
    "provider",
    "model",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "request_id",
    "team",
    "feature",
    "customer_id",
    "environment",
    "status",
    "cost_usd",
]


@pytest.fixture
def empty() -> Iterator[Ledger]:
    """A ledger without a database."""
    with connect(replace(parse_dsn("chdb://memory"), database="test_migrations")) as opened:
        yield opened
        opened.command("DROP DATABASE IF EXISTS test_migrations", what="clean up", database=False)


def test_apply_once(empty: Ledger) -> None:
    """
    The first run applies every file, the second none.
    """
    pending = [each.name for each in migrations.status(empty)]

    assert pending == migrations.apply(empty)
    assert migrations.apply(empty) == []
    assert {"applied"} == {each.state for each in migrations.status(empty)}


def test_interrupted_after_every_statement(empty: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A run that breaks after any statement, between a statement and its record too, is finished by the next.
    """
    run, done = Ledger.command, set[str]()

    def break_after_each(ledger: Ledger, sql: str, *rest: object, **options: object) -> object:
        answer = run(ledger, sql, *rest, **options)  # type: ignore[arg-type]
        what = str(options["what"])
        if what.startswith(("apply", "record", "create")) and what not in done:
            done.add(what)
            raise LedgerRefused("pulled the plug")
        return answer

    monkeypatch.setattr(Ledger, "command", break_after_each)
    pending = 1
    while pending:
        with suppress(LedgerRefused):
            migrations.apply(empty)
            pending = 0
    monkeypatch.undo()

    assert len(done) == 1 + 2 * len(migrations.status(empty))
    assert {"applied"} == {each.state for each in migrations.status(empty)}
    store(empty, [a_request()])
    assert ask(empty, "SELECT sum(requests) FROM spend_by_hour") == ["1"]


def test_ten_processes_of_which_some_are_killed() -> None:
    """
    Fault 98: ten processes make the tables of an empty server at once, and kill -9 ends some of them anywhere: those that
    live succeed, and one more run has nothing to complain about.
    """
    chance = random.Random(98)
    with ClickHouseDouble() as server:
        command = [sys.executable, "-m", "otel_llmcost", "schema", "apply", "--dsn", server.dsn()]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(10)]
        while not any("CREATE TABLE" in each["sql"] for each in server.statements()):
            time.sleep(0.01)
        for victim in workers[:4]:
            time.sleep(chance.uniform(0.0, 0.2))
            victim.kill()
        said = [worker.communicate(timeout=120)[1].decode() for worker in workers]
        assert [worker.returncode for worker in workers[4:]] == [0] * 6, said
        with connect(server.dsn()) as ledger:
            migrations.apply(ledger)
            assert {"applied"} == {each.state for each in migrations.status(ledger)}
            store(ledger, [a_request()])
            assert ask(ledger, "SELECT sum(requests) FROM spend_by_hour") == ["1"]


def test_what_schema_show_prints_is_what_apply_does() -> None:
    """
    The script that `schema show` prints, run by hand, leaves nothing for `schema apply` to do.
    """
    shown = CliRunner().invoke(cli, ["schema", "show", "--dsn", "http://127.0.0.1/test_by_hand"])
    statements = shown.output.rstrip().removesuffix(";").split(";\n\n")

    with connect(replace(parse_dsn("chdb://memory"), database="test_by_hand")) as ledger:
        for sql in statements:
            ledger.command(sql, what="run a script", database="CREATE DATABASE" not in sql)
        assert migrations.apply(ledger) == []
        ledger.command("DROP DATABASE test_by_hand", what="clean up", database=False)


def test_edit_is_refused(empty: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A file that changed after it was applied stops everything, because the database no longer says what it says.
    """
    migrations.apply(empty)
    sha256 = migrations._sha256
    monkeypatch.setattr(migrations, "_sha256", lambda name: "other" if name == "001_llm_requests" else sha256(name))

    with pytest.raises(SchemaError, match="001_llm_requests changed after it was applied"):
        migrations.apply(empty)


def test_newer_database(empty: Ledger) -> None:
    """
    A file that only a newer version knows is shown, and is no error.
    """
    migrations.apply(empty)
    empty.command(read_sql("queries", "record_migration"), {"name": "999_later", "sha256": "x"}, what="record")

    assert (migrations.status(empty)[-1].name, migrations.status(empty)[-1].state) == ("999_later", "unknown")
    assert migrations.apply(empty) == []


def test_columns(ledger: Ledger) -> None:
    """
    The table has the minimum schema's own names, every count, and the cost of every component.
    """
    (names,) = ask(
        ledger,
        "SELECT arrayStringConcat(groupArray(name), ' ') FROM system.columns "
        "WHERE database = currentDatabase() AND table = 'llm_requests'",
    )

    assert {*MINIMUM, *COUNTS, *(f"{component}_cost_usd" for component in COMPONENTS), "batch_id"} <= set(names.split())


def test_every_block_is_remembered(ledger: Ledger) -> None:
    """
    Every table behind an insert remembers tokens: one without a window would count a repeated segment twice.
    """
    forgetful = ask(
        ledger,
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' "
        "AND name NOT LIKE 'llmcost_%' AND create_table_query NOT LIKE '%non_replicated_deduplication_window = 100000%'",
    )

    assert forgetful == ["0"]


def test_a_batch_is_marked_for_repair(ledger: Ledger) -> None:
    """
    A batch whose rollups are in doubt is written down with its month and reason.
    """
    for table in ROLLED_UP:
        ledger.mark_for_repair(table, "202611", "some-batch", "found_by_lookup")
    marks = ask(
        ledger,
        "SELECT groupArray(concat(table, ' ', month, ' ', batch_id, ' ', reason)) FROM "
        "(SELECT * FROM llmcost_repairs FINAL WHERE repaired_at = 0 AND marked_at > now() - 60 ORDER BY table)",
    )
    assert "llm_requests 202611 some-batch found_by_lookup" in marks[0]
    assert marks[0].count("some-batch") == len(ROLLED_UP)


def test_every_table_has_batch_id(ledger: Ledger) -> None:
    """
    Every table that takes rows can be asked for a segment.
    """
    assert [False] * len(TABLES) == [ledger.has_batch(table, "none") for table in TABLES]


@pytest.mark.parametrize("folder", ["schema", "queries", "access"])
def test_one_statement_with_a_sentence(folder: str) -> None:
    """
    SQL files begin with a sentence and hold one statement.
    """
    for file in files("otel_llmcost.ledger").joinpath("sql", folder).iterdir():
        text = file.read_text("utf-8")
        assert text.startswith("-- "), file.name
        assert ";" not in "".join(line for line in text.splitlines() if not line.startswith("--")), file.name
