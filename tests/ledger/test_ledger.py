"""An open ledger: what goes in comes out, once; and every refusal says whether to try again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest

from otel_llmcost.errors import (
    LedgerBusy,
    LedgerError,
    LedgerRefused,
    LedgerUnavailable,
    MissingExtra,
    SchemaError,
    UnknownColumn,
)
from otel_llmcost.ledger import Ledger, connect, embedded, migrations
from otel_llmcost.ledger.row import rate_row, request_row
from otel_llmcost.model import Owner
from tests.clickhouse_double import PASSWORD, ClickHouseDouble, Fault
from tests.ledger.samples import MINI, RATE, UNPRICED, a_request, adjust, adjusted, ask, segment, store

COUNTS = "SELECT count(), sum(cost_usd) FROM llm_requests"
ROLLED = "SELECT sum(requests), sum(cost_usd) FROM spend_by_hour"


def test_row_comes_back(ledger: Ledger) -> None:
    """
    A row is stored as it was priced: exact decimals, aware instants, the application's ids, nothing invented.
    """
    store(ledger, [a_request(7)])

    (row,) = ledger.query("explain_requests", {"id": "chatcmpl-7"})

    assert datetime(2026, 11, 18, 11, 6, 40, 123456, UTC) == row["timestamp"]
    assert (Decimal("0.01155"), Decimal("0.01155"), Decimal(0)) == (
        row["cost_usd"],
        row["list_cost_usd"],
        row["audio_cost_usd"],
    )
    assert (f"{7:032x}", f"{7:032x}") == (row["trace_id"], row["request_id"])
    assert (row["input_tokens"], row["audio_input_tokens"]) == (8000, None)


def test_unknown_is_never_zero(ledger: Ledger) -> None:
    """
    Every part of an unknown cost is NULL, not 0.
    """
    store(ledger, [a_request(price=UNPRICED)])

    (row,) = ledger.query("explain_requests", {"id": "chatcmpl-1"})

    assert {None} == {row[name] for name in row if str(name).endswith("_usd")}


def test_own_request_id(ledger: Ledger) -> None:
    """
    The application's request id names its rows; without one, the trace id does.
    """
    store(ledger, [a_request(1, owner=Owner(request_id="order-17")), a_request(2)])

    assert [row["request_id"] for row in ledger.query("explain_requests", {"id": "order-17"})] == ["order-17"]
    assert [f"{2:032x}"] == [row["request_id"] for row in ledger.query("explain_requests", {"id": f"{2:016x}"})]


def test_same_token_stores_once(ledger: Ledger) -> None:
    """
    A segment may be sent any number of times: table and rollups have it once.
    """
    for _ in range(3):
        store(ledger, [a_request(1), a_request(2)], token="same")

    assert ["2", "0.0231"] == ask(ledger, COUNTS) == ask(ledger, ROLLED)


def test_equal_rows_with_other_token_are_stored(ledger: Ledger) -> None:
    """
    Two segments with equal bytes are two segments.
    """
    payload = segment([request_row(a_request())])

    ledger.insert("llm_requests", payload, token="one")
    ledger.insert("llm_requests", payload, token="two")

    assert ["2", "0.0231"] == ask(ledger, COUNTS) == ask(ledger, ROLLED)


def test_has_batch(ledger: Ledger) -> None:
    """
    A segment is found by its id in the table that it went to, and in no other.
    """
    store(ledger, [a_request()], token="segment-9")

    assert ledger.has_batch("llm_requests", "segment-9")
    assert not ledger.has_batch("llm_requests", "segment-8")
    assert not ledger.has_batch("llm_adjustments", "segment-9")


@pytest.mark.parametrize(
    "payload",
    [b'{"team":"a","team":"b"}', b'{"trace_id":', b'{"cost_usd":"a lot"}', b'{"cost_usd":"1234567"}'],
)
def test_bad_row_is_refused_whole(ledger: Ledger, payload: bytes) -> None:
    """
    A row that the table cannot hold refuses its segment, and nothing of it is stored.
    """
    good = segment([request_row(a_request())])

    with pytest.raises(LedgerRefused, match="insert into llm_requests"):
        ledger.insert("llm_requests", good + b"\n" + payload, token="bad")

    assert ask(ledger, COUNTS)[0] == "0"


def test_a_column_of_a_newer_version(ledger: Ledger) -> None:
    """
    Rows with a column that the table lacks are not stored in part, and not called bad: the tables are too old.
    """
    good = segment([request_row(a_request())])

    with pytest.raises(UnknownColumn, match="schema apply"):
        ledger.insert("llm_requests", good + b'\n{"no_such_column":1}', token="newer")

    assert ask(ledger, COUNTS)[0] == "0"


def test_unknown_table(ledger: Ledger) -> None:
    """
    Rows go into the four tables that take rows, and nowhere else.
    """
    with pytest.raises(SchemaError, match="takes no rows"):
        ledger.insert("spend_by_hour", b"{}", token="t")


def test_missing_tables(ledger: Ledger) -> None:
    """
    A ledger without tables says which command makes them.
    """
    ledger.command("DROP TABLE llm_rates", what="drop a table")

    with pytest.raises(SchemaError, match="schema apply"):
        ledger.insert("llm_rates", segment([rate_row(RATE)]), token="t")


class TestServer:
    """What only a network can do."""

    @pytest.fixture
    def server_ledger(self, server: ClickHouseDouble) -> Iterator[Ledger]:
        """A ledger behind HTTP, and no faults left afterwards."""
        with connect(server.dsn(f"faults_{os.urandom(4).hex()}")) as opened:
            migrations.apply(opened)
            yield opened
        server.inject()

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("before", "reset", match="INSERT", times=2),
            Fault("after", "reset", match="INSERT", times=2),
            Fault("before", "status", match="INSERT", value="503"),
            Fault("after", "status", match="INSERT", value="504"),
            Fault("before", "html", match="INSERT"),
            Fault("after", "wrong_query_id", match="INSERT"),
            Fault("before", "redirect", match="INSERT", value="http://127.0.0.1:1/"),
            Fault("before", "exception", match="INSERT", value="Code: 252. DB::Exception: slow down. (TOO_MANY_PARTS)"),
            Fault(
                "before", "exception", match="INSERT", value="Code: 241. DB::Exception: memory. (MEMORY_LIMIT_EXCEEDED)"
            ),
        ],
        ids=lambda fault: f"{fault.phase}-{fault.action}-{fault.value[:9]}",
    )
    def test_retry_is_exact(self, server: ClickHouseDouble, server_ledger: Ledger, fault: Fault) -> None:
        """
        Whatever the network does to an insert, it counts only when ClickHouse said so, and a retry stores it once.
        """
        server.inject(fault)

        with pytest.raises(LedgerUnavailable):
            store(server_ledger, [a_request()], token="t")
        store(server_ledger, [a_request()], token="t")

        assert ["1", "0.01155"] == ask(server_ledger, COUNTS) == ask(server_ledger, ROLLED)

    def test_lost_answer_is_healed_by_the_client(self, server: ClickHouseDouble, server_ledger: Ledger) -> None:
        """
        The client sends again by itself after a lost answer; the token makes that one row.
        """
        server.inject(Fault("after", "reset", match="INSERT", times=1))

        store(server_ledger, [a_request()], token="t")

        assert ["1", "0.01155"] == ask(server_ledger, COUNTS) == ask(server_ledger, ROLLED)

    def test_settings_are_on_the_wire(self, server: ClickHouseDouble, server_ledger: Ledger) -> None:
        """
        What makes an insert exact is said in every insert, because servers' defaults differ by version.
        """
        store(server_ledger, [a_request()], token="the-token")

        sent = [
            each["parameters"] for each in server.statements() if each["sql"].startswith("INSERT INTO llm_requests")
        ]
        assert {
            "insert_deduplication_token": "the-token",
            "insert_deduplicate": "1",
            "deduplicate_blocks_in_dependent_materialized_views": "1",
            "async_insert": "0",
            "input_format_skip_unknown_fields": "0",
        }.items() <= sent[-1].items()
        assert "session_id" not in sent[-1]

    def test_wrong_password(self, server: ClickHouseDouble, caplog: pytest.LogCaptureFixture) -> None:
        """
        A wrong password is final, and neither the error nor a log repeats it.
        """
        dsn = server.dsn().replace(quote(PASSWORD, safe=""), "wr0ng-s3cret")

        with caplog.at_level("DEBUG"), pytest.raises(LedgerRefused, match="Authentication failed") as refusal:
            connect(dsn)

        assert "wr0ng-s3cret" not in f"{refusal.value} {refusal.value.__cause__} {caplog.text}"

    def test_nobody_answers(self, caplog: pytest.LogCaptureFixture) -> None:
        """
        A server that is away is worth a retry, and is told in one line.
        """
        with pytest.raises(LedgerUnavailable, match=r"Connection refused.*its HTTP port \(8123"):
            connect("http://writer:secret@127.0.0.1:1/llmcost")

        assert "Traceback" not in caplog.text

    def test_old_server(self, monkeypatch: pytest.MonkeyPatch, server: ClickHouseDouble) -> None:
        """
        A server whose views would count a repeated insert twice is refused.
        """
        monkeypatch.setattr("otel_llmcost.ledger.server.OLDEST", (99, 1))

        with pytest.raises(LedgerRefused, match="exact rollups need"):
            connect(server.dsn())


class TestEmbedded:
    """What only a folder can do. One process owns it; these tests take turns in processes of their own."""

    def run(self, program: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a program with `folder` as its argument."""
        command = [sys.executable, "-c", program, str(folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def test_folder_is_private_and_stays(self, tmp_path: Path) -> None:
        """
        What one process stored, the next one finds, in a folder that nobody else may read.
        """
        folder = tmp_path / "ledger"
        write = """
import sys
from otel_llmcost.ledger import connect, migrations
from tests.ledger.samples import a_request, store
ledger = connect(f"chdb://{sys.argv[1]}")
migrations.apply(ledger)
store(ledger, [a_request()])
import os; os._exit(0)  # as if killed: nothing is closed
"""
        read = """
import sys
from otel_llmcost.ledger import connect
with connect(f"chdb://{sys.argv[1]}") as ledger:
    print(len(ledger.query("explain_requests", {"id": "chatcmpl-1"})))
"""
        written, found = self.run(write, folder), self.run(read, folder)

        assert (written.returncode, found.stdout) == (0, "1\n"), written.stderr + found.stderr
        assert folder.stat().st_mode & 0o777 == 0o700

    def test_second_owner_is_told_who_owns(self, tmp_path: Path) -> None:
        """
        A second process learns the owner's process id, at once, and without loading an engine.
        """
        lock = embedded.OwnerLock(tmp_path)
        program = """
import sys
from otel_llmcost.errors import LedgerBusy
from otel_llmcost.ledger import connect
try:
    connect(f"chdb://{sys.argv[1]}")
except LedgerBusy as error:
    print(error)
assert "chdb" not in sys.modules
"""
        try:
            second = self.run(program, tmp_path)
        finally:
            lock.release()

        assert f"open in process {os.getpid()}" in second.stdout, second.stderr

    def test_lock_ends_with_its_owner(self, tmp_path: Path) -> None:
        """
        A released folder is free.
        """
        embedded.OwnerLock(tmp_path).release()
        embedded.OwnerLock(tmp_path).release()

        first = embedded.OwnerLock(tmp_path)
        with pytest.raises(LedgerBusy):
            embedded.OwnerLock(tmp_path)
        first.release()

    def test_without_the_engine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Without chdb the error is the pip command.
        """
        monkeypatch.setattr(embedded, "find_spec", lambda _name: None)

        with pytest.raises(MissingExtra, match=r"pip install 'otel-llmcost\[embedded\]'"):
            connect("chdb://memory")

    def test_after_a_fork(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A ledger carried through a fork refuses to work, where the engine would hang for ever.
        """
        with connect("chdb://memory") as ledger:
            monkeypatch.setattr(os, "getpid", lambda: -1)
            with pytest.raises(LedgerError, match="before a fork"):
                ledger.query("batch_exists", {"table": "llm_requests", "batch_id": ""})
            monkeypatch.undo()


def test_adjustments_correct_the_bill(ledger: Ledger) -> None:
    """
    Take back one request and add a better one: charges sum to the better one alone.
    """
    worse, better = a_request(1, price=UNPRICED), a_request(2, price=MINI, owner=Owner(team="growth"))
    store(ledger, [worse])
    adjust(ledger, [adjusted(worse, -1, of=worse), adjusted(better, 1, of=worse)])

    assert ask(ledger, "SELECT sum(sign), sum(sign * cost_usd) FROM llm_charges") == ["1", "0.01155"]
    assert ask(
        ledger, "SELECT team, sum(requests) AS n, sum(cost_usd) FROM spend_by_hour GROUP BY team HAVING n != 0"
    ) == ["growth", "1", "0.01155"]
