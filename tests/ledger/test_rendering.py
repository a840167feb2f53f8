"""
The schema for a cluster, from the same files.

No cluster is run here. What is proven: every file has a form for one, ClickHouse's own parser takes all of it, the engine
makes the replicated tables with a coordinator in memory, and rows go through the same tables, unreplicated, as they should.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from itertools import count
from pathlib import Path

import pytest

from otel_llmcost.errors import LedgerRefused, SchemaError
from otel_llmcost.forgetting import Customer, forget
from otel_llmcost.ledger import Ledger, connect, migrations, rendering
from otel_llmcost.ledger.rendering import file_names, read_sql, render
from otel_llmcost.reports.period import month
from otel_llmcost.settings import Settings
from otel_llmcost.verify import plan, rebuild_rollup, verify
from tests.clickhouse_double import ClickHouseDouble
from tests.clickhouse_double_process import literal
from tests.ledger.samples import a_request, adjust, adjusted, ask, store

CLUSTER = "{cluster}"
Shards = tuple[ClickHouseDouble, int]
_numbers = count(1)
_SHARD = "<shard><replica><host>localhost</host><port>9000</port></replica></shard>"
_NODE = """<clickhouse>
<tcp_port>9000</tcp_port>
<remote_servers><main>{shards}</main></remote_servers>
<macros><cluster>main</cluster><shard>1</shard><replica>r1</replica></macros>
{more}
</clickhouse>"""


def alone(sql: str) -> str:
    """The statement without what needs a coordinator: its queue of statements, and replication."""
    sql = re.sub(r" ON CLUSTER '[^']*'", "", sql)
    sql = re.sub(r"Replicated(\w*MergeTree)\('[^']*', '[^']*'(?:, )?", r"\1(", sql)
    times = r"\breplicated_deduplication_window = (\d+), replicated_deduplication_window_seconds = \d+"
    return re.sub(times, r"non_replicated_deduplication_window = \1", sql)


def a_node(folder: Path, shards: int, more: str = "") -> Path:
    """Write the configuration of a node of a cluster, all of whose shards are that node."""
    path = folder / "node.xml"
    path.write_text(_NODE.format(shards=_SHARD * shards, more=more))
    return path


@pytest.fixture(scope="module", params=[1, 2], ids=["one-shard", "two-shards"])
def shards(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    """The server that is all shards of a cluster, and how many."""
    node = a_node(tmp_path_factory.mktemp("node"), request.param)
    with ClickHouseDouble(Path(f":memory:?config-file={node}")) as server:
        yield server, request.param


@pytest.fixture
def cluster(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ClickHouseDouble, Ledger, int]]:
    """A ledger that was applied for that cluster."""
    server, number = shards
    run = Ledger.command
    monkeypatch.setattr(Ledger, "command", lambda ledger, sql, *rest, **named: run(ledger, alone(sql), *rest, **named))
    with connect(server.dsn(f"cluster_{next(_numbers)}")) as ledger:
        migrations.apply(ledger, CLUSTER)
        yield server, ledger, number


@pytest.mark.parametrize("name", file_names())
def test_one_server_gets_the_file(name: str) -> None:
    """
    Without a cluster a file is its statement, byte for byte.
    """
    text = files("otel_llmcost.ledger").joinpath("sql", "schema", f"{name}.sql").read_bytes()

    assert [text] == [each.encode() for each in render(name, database="llmcost")]


def test_every_file_has_a_form_for_a_cluster() -> None:
    """
    Every statement is for all nodes, replicates what it stores, and is ClickHouse's own SQL.
    """
    statements = [sql for name in file_names() for sql in render(name, database="llmcost", cluster=CLUSTER)]
    with connect("chdb://memory") as engine:
        parsed = [
            engine.command(f"SELECT formatQuery({literal(sql)})", what="parse", database=False) for sql in statements
        ]
    for sql, shown in zip(statements, parsed, strict=True):
        assert " ON CLUSTER " in str(shown)
        assert not re.search(r"ENGINE = (?!Replicated|Distributed)", sql)
        assert "non_replicated" not in sql


def test_another_shape_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A file that is neither a table, nor a view, nor an ALTER TABLE is an error, and never applied to one node alone.
    """
    monkeypatch.setattr(rendering, "read_sql", lambda _folder, _name: "-- Remove.\nDROP TABLE llm_requests\n")
    with pytest.raises(SchemaError, match="080_remove has no form for a cluster"):
        render("080_remove", database="llmcost", cluster="main")


def test_a_join_in_a_rollup_view_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A rollup's view of two tables is an error: of the second, it would read every shard.
    """
    text = read_sql("schema", "011_spend_by_hour_from_requests")
    joined = text.replace("AS r\n", "AS r\nLEFT JOIN llm_rates AS x ON x.rate_id = r.rate_id\n")
    assert joined != text
    monkeypatch.setattr(rendering, "read_sql", lambda _folder, _name: joined)
    with pytest.raises(SchemaError, match="no form for a cluster"):
        render("011_spend_by_hour_from_requests", database="llmcost", cluster="main")


def test_the_engine_makes_replicated_tables(tmp_path: Path) -> None:
    """
    The engine makes every table, replicated and Distributed, twice over; their paths do not collide. Its coordinator in
    memory can do no more than that: views and columns are for the tests below.
    """
    program = """
import os, re, sys, traceback
import chdb
from otel_llmcost.ledger.rendering import file_names, render
try:
    engine = chdb.connect(f":memory:?config-file={sys.argv[1]}")
    engine.query("CREATE DATABASE llmcost")
    engine.query("USE llmcost")
    for name in 2 * file_names():
        for sql in render(name, database="llmcost", cluster="{cluster}"):
            if "CREATE TABLE" in sql:
                engine.query(re.sub(" ON CLUSTER '[^']*'", "", sql))
    print(engine.query("SELECT countIf(engine LIKE 'Replicated%'), countIf(engine = 'Distributed'), count()"
        " FROM system.tables WHERE database = 'llmcost'"))
except BaseException:
    traceback.print_exc()
finally:  # at once: the coordinator in memory does not end in good order
    sys.stdout.flush()
    os._exit(0)
"""
    keeper = "<zookeeper><implementation>testkeeper</implementation></zookeeper>"
    done = subprocess.run(
        [sys.executable, "-c", program, str(a_node(tmp_path, 1, keeper))],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "10,7,17"), done.stderr[-2000:]


def test_rows_go_to_the_shards_own_tables(cluster: tuple[ClickHouseDouble, Ledger, int]) -> None:
    """
    Inserts go to this shard's tables with a quorum, a repeated one is recognised, and reports read all shards.
    """
    server, ledger, shards = cluster
    worse, better = a_request(1), a_request(2)
    for _ in range(2):
        store(ledger, [worse], token="t")
        adjust(ledger, [adjusted(worse, -1, of=worse), adjusted(better, 1, of=worse)], token="t")

    sent = [each for each in server.statements() if each["sql"].startswith("INSERT INTO llm_")]
    assert {"llm_requests_local", "llm_adjustments_local"} == {each["sql"].split()[2] for each in sent}
    assert {"auto"} == {each["parameters"]["insert_quorum"] for each in sent}
    assert [str(shards), str(3 * shards)] == ask(
        ledger, "SELECT (SELECT count() FROM llm_requests), (SELECT count() FROM llm_charges)"
    )
    assert [str(shards)] == ask(ledger, "SELECT sum(requests) FROM spend_by_hour")
    assert ask(ledger, "SELECT sum(requests) FROM spend_by_hour_local") == ["1"]
    assert ledger.has_batch("llm_requests", "t")


def test_verify_asks_all_shards(cluster: tuple[ClickHouseDouble, Ledger, int]) -> None:
    """
    Every question of verify and repair can be asked of a cluster, and rows agree with rollups; both shards being one here,
    each row is found twice, as it should.
    """
    _, ledger, shards = cluster
    store(ledger, [a_request()])
    november = month("2026-11")

    checks = {check.name: check.state for check in verify(ledger, november, pause_seconds=0).checks}
    assert (checks["rollups"], checks["copies"]) == ("ok", "ok" if shards == 1 else "problem")
    assert bool(plan(ledger, november)) == (shards > 1)


def test_what_a_cluster_does_not_have(cluster: tuple[ClickHouseDouble, Ledger, int]) -> None:
    """
    A rollup is not rebuilt through a table that is not its own, and no customer is half forgotten: the sentence says where
    to look.
    """
    _, ledger, _ = cluster
    store(ledger, [a_request()])
    before = ask(ledger, "SELECT count() FROM spend_by_hour_local")
    with pytest.raises(LedgerRefused, match=r"could not build spend_by_hour anew: .* docs/cluster.md"):
        rebuild_rollup(ledger, "spend_by_hour", "202611", settings=Settings())
    with pytest.raises(LedgerRefused, match="could not forget a customer"):
        forget(ledger, Customer("acme", Settings()), Settings())
    assert before == ask(ledger, "SELECT count() FROM spend_by_hour_local")


def test_a_ledger_stays_what_it_was_made_for(cluster: tuple[ClickHouseDouble, Ledger, int]) -> None:
    """
    A cluster's ledger is not continued as one server's.
    """
    _, ledger, _ = cluster
    with pytest.raises(SchemaError, match="was made for a cluster: name it with --cluster"):
        migrations.apply(ledger)
    assert migrations.apply(ledger, CLUSTER) == []


def test_one_server_does_not_become_a_cluster(ledger: Ledger) -> None:
    """
    And one server's is not continued as a cluster's.
    """
    with pytest.raises(SchemaError, match="was made for one server"):
        migrations.apply(ledger, "main")
