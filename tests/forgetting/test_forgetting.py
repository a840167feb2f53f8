"""A customer is forgotten: nowhere by name, in no total missing, whatever interrupts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from otel_llmcost.cli import cli
from otel_llmcost.errors import LedgerError, ReportError
from otel_llmcost.forgetting import Customer, find, forget
from otel_llmcost.journal import Journal
from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from otel_llmcost.ledger.embedded import OwnerLock
from otel_llmcost.ledger.row import encode_row, outcome_row, request_row
from otel_llmcost.model import Owner, Request
from otel_llmcost.settings import Settings
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import START_NS, a_request, adjust, adjusted, ask, priced, segment, store

MONTH_NS = 31 * 86_400 * 10**9
_numbers = count(1)
TOTALS = (
    "SELECT (SELECT (count(), sum(sign * cost_usd), sum(sign * input_tokens)) FROM llm_charges), "
    "(SELECT (sum(requests), sum(cost_usd), sum(input_tokens)) FROM spend_by_customer_day), "
    "(SELECT (sum(requests), sum(cost_usd)) FROM spend_by_hour), "
    "(SELECT (sum(requests), sum(cost_usd)) FROM spend_by_action_day), (SELECT sum(value_usd) FROM llm_outcomes)"
)
BY_CUSTOMER = (
    "SELECT arraySort(groupArray((customer_id, cost))) FROM "
    "(SELECT customer_id, toString(sum(cost_usd)) AS cost FROM spend_by_customer_day GROUP BY customer_id)"
)


@pytest.fixture(scope="session")
def server() -> Iterator[ClickHouseDouble]:
    """A ClickHouse server."""
    with ClickHouseDouble() as double:
        yield double


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A journal that is empty."""
    return Settings(journal_dir=tmp_path / "journal")


@pytest.fixture(params=["embedded", "server"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger with two customers in two months, in either engine."""
    dsn = "chdb://memory" if request.param == "embedded" else request.getfixturevalue("server").dsn()
    with connect(replace(parse_dsn(dsn), database=f"forgotten_{next(_numbers)}")) as opened:
        migrations.apply(opened)
        fill(opened)
        yield opened


def charges(months: int = 2) -> list[Request]:
    """Forty requests of three customers, in so many months; one names acme under a key of its own."""
    return [
        a_request(
            number,
            price=priced(number * 10**9 + 7),
            owner=Owner(
                team="search",
                customer_id=("acme", "globex", "acme's")[number % 3],
                action="reply",
                extra={"account": "acme", "tier": "gold"} if number == 1 else {},
            ),
            start_unix_ns=START_NS - (number % months) * MONTH_NS,
        )
        for number in range(1, 41)
    ]


def fill(ledger: Ledger, months: int = 2) -> None:
    """Store the charges, a correction that moves one of acme's to globex, and an outcome of each."""
    all_ = charges(months)
    store(ledger, all_)
    moved = replace(all_[2], owner=Owner(team="search", customer_id="globex"))
    adjust(ledger, [adjusted(all_[2], -1, of=all_[2]), adjusted(moved, 1, of=all_[2])])
    outcomes = [
        outcome_row(start_unix_ns=START_NS, action="reply", action_id="a", value_usd=Decimal(3), customer_id=name)
        for name in ("acme", "globex")
    ]
    ledger.insert("llm_outcomes", segment(outcomes), token="outcomes")


def named(ledger: Ledger) -> list[tuple[str, str, int]]:
    """Where acme is."""
    return [(each.table, each.month, each.rows) for each in find(ledger, Customer("acme", Settings()))]


def test_finds_every_place(ledger: Ledger) -> None:
    """
    A dry run names each table and month with its rows and their exact cost, extra owner keys included.
    """
    assert named(ledger) == [
        ("llm_adjustments", "202611", 0 + 1)
        if charges()[2].span.start_unix_ns == START_NS
        else ("llm_adjustments", "202610", 1),
        ("llm_outcomes", "202611", 1),
        ("llm_requests", "202610", 8),
        ("llm_requests", "202611", 6),
        ("spend_by_customer_day", "202610", 2),
        ("spend_by_customer_day", "202611", 1),
    ]


def test_forgets_and_keeps_every_total(ledger: Ledger, settings: Settings) -> None:
    """
    Afterwards no table names the customer, every total is what it was to the picodollar, and others are untouched.
    """
    before, customers = ask(ledger, TOTALS), ask(ledger, BY_CUSTOMER)[0]
    assert forget(ledger, Customer("acme", settings), settings) == ()

    assert named(ledger) == []
    assert ask(ledger, TOTALS) == before
    assert ask(ledger, BY_CUSTOMER)[0] == customers.replace("('acme',", "('(forgotten)',")
    assert ask(ledger, "SELECT countIf(customer_id = 'acme\\'s') FROM llm_requests") == ["13"]
    extra = ask(ledger, "SELECT toString(any(owner_extra)) FROM llm_requests WHERE notEmpty(owner_extra)")[0]
    assert extra.replace("\\", "") == "{'account':'(forgotten)','tier':'gold'}"


def test_outcomes_that_were_stored_as_given(ledger: Ledger, settings: Settings) -> None:
    """
    An outcome whose customer was never cleaned is the same customer's, and is forgotten with the rest; others are not.
    """
    given = (" acme", "acme\t", "ac\u200bme", "a\u202ecme\u0085", "ac me")
    rows = [
        outcome_row(start_unix_ns=START_NS, action="reply", action_id="a", value_usd=Decimal(3), customer_id=name)
        for name in given
    ]
    ledger.insert("llm_outcomes", segment(rows), token="given")

    assert ("llm_outcomes", "202611", len(given)) in named(ledger)
    assert forget(ledger, Customer("acme", settings), settings) == ()
    left = ask(ledger, "SELECT arrayStringConcat(arraySort(groupUniqArray(customer_id)), '|') FROM llm_outcomes")
    assert left == ["(forgotten)|ac me|globex"]


def test_twice_is_once(ledger: Ledger, settings: Settings) -> None:
    """
    Forgetting again, or somebody who was never there, changes nothing.
    """
    forget(ledger, Customer("acme", settings), settings)
    before = ask(ledger, TOTALS), ask(ledger, BY_CUSTOMER)
    assert forget(ledger, Customer("acme", settings), settings) == ()
    assert forget(ledger, Customer("nobody", settings), settings) == ()

    assert (ask(ledger, TOTALS), ask(ledger, BY_CUSTOMER)) == before


def test_the_engine_keeps_no_id(ledger: Ledger, settings: Settings) -> None:
    """
    What an engine remembers of the change is a salted hash, never the id.
    """
    forget(ledger, Customer("acme", settings), settings)

    (commands,) = ask(
        ledger, "SELECT toString(groupArray(command)) FROM system.mutations WHERE database = currentDatabase()"
    )
    assert "SHA256" in commands
    assert "acme" not in commands


@pytest.mark.slow
def test_interrupted_at_every_step() -> None:
    """
    Fault 94: ended between any two statements that change something, the rows keep their totals, and the next run
    completes it.
    """
    settings = Settings(journal_dir=Path("/nonexistent"))
    for survived in count():
        with connect(replace(parse_dsn("chdb://memory"), database=f"forgotten_{next(_numbers)}")) as ledger:
            migrations.apply(ledger)
            fill(ledger, months=1)
            before = ask(ledger, TOTALS)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(ledger, "command", _Interrupted(ledger.command, survived))
                with suppress(KeyboardInterrupt):
                    forget(ledger, Customer("acme", settings), settings)
                    break
            assert ask(ledger, TOTALS)[0] == before[0]
            assert forget(ledger, Customer("acme", settings), settings) == ()
            assert ask(ledger, TOTALS) == before
            assert "'acme'," not in ask(ledger, BY_CUSTOMER)[0]
    assert survived >= 8, "three changes of rows and the steps of a rebuild"


class _Interrupted:
    """Ends before the statement after the first `survived` ones."""

    def __init__(self, run: Callable[..., object], survived: int) -> None:
        self._run, self._left = run, survived

    def __call__(self, *arguments: object, **options: object) -> object:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return self._run(*arguments, **options)


@pytest.mark.parametrize("word", ["", "(unattributed)", "(forgotten)", "\u200b"])
def test_words_of_ours_are_no_customers(word: str) -> None:
    """
    What stands where a customer is missing cannot be forgotten.
    """
    with pytest.raises(ReportError, match="no customer's id"):
        Customer(word, Settings())


def test_a_hashed_customer_is_forgotten_by_the_plain_id(ledger: Ledger, settings: Settings, tmp_path: Path) -> None:
    """
    With a key, rows from before it and from after it are found alike.
    """
    key = tmp_path / "key"
    key.write_text("k" * 32)
    key.chmod(0o600)
    hashing = replace(settings, hash_key_file=key)
    (hashed,) = Customer("acme", hashing).ids - {"acme"}
    store(ledger, [a_request(900, owner=Owner(customer_id=hashed))], token="hashed")
    assert forget(ledger, Customer("acme", hashing), hashing) == ()

    assert hashed not in ask(ledger, "SELECT toString(groupUniqArray(customer_id)) FROM llm_requests")[0]
    assert find(ledger, Customer("acme", hashing)) == ()


def test_an_engine_that_cannot_change_rows_says_so(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A change that the engine cannot finish is an error with the engine's reason, not an endless wait.
    """
    query = ledger.query

    def failing(name: str, parameters: dict[str, object] | None = None) -> list[dict[str, object]]:
        if name == "forget_unfinished":
            return [{"table": "llm_requests", "reason": "Code: 243. Cannot reserve 1.00 MiB", "parts": 1}]
        return query(name, parameters)

    monkeypatch.setattr(ledger, "query", failing)
    with pytest.raises(LedgerError, match="llm_requests cannot be changed: Code: 243"):
        forget(ledger, Customer("acme", settings), settings)


# ---------------------------------------------------------------- the command


def run(*words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli, ["forget", *words])


@pytest.fixture
def dsn(server: ClickHouseDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A filled ledger on a server, with a journal that has one more request of acme's to ship."""
    monkeypatch.setenv("OTEL_LLMCOST_JOURNAL_DIR", str(tmp_path / "journal"))
    dsn = server.dsn(f"forgotten_{next(_numbers)}")
    with connect(dsn) as opened:
        migrations.apply(opened)
        fill(opened)
    return dsn


def write(dsn: str, *, table: str = "llm_requests") -> Journal:
    """Journal one request of acme's; the segment is open."""
    journal = Journal(parse_dsn(dsn).journal_dir(Settings.from_env()), ledger=parse_dsn(dsn).fingerprint)
    journal.append(table, "202611", encode_row(request_row(a_request(77, owner=Owner(customer_id="acme")))))
    return journal


def test_a_dry_run_changes_nothing(dsn: str) -> None:
    """
    Without --apply the command ships, shows what would change, and changes nothing.
    """
    write(dsn).close()
    result = run("--customer", "acme", "--dsn", dsn)

    assert result.exit_code == 0
    assert "llm_requests           2026-11     7" in result.output
    assert "Nothing was changed. With --apply" in result.output
    with connect(dsn) as ledger:
        assert ask(ledger, "SELECT count() FROM llm_requests WHERE customer_id = 'acme'") == ["14"]


def test_apply_forgets(dsn: str) -> None:
    """
    With --apply what waited in the journal is forgotten too, and the next question finds nobody.
    """
    write(dsn).close()
    result = run("--customer", "acme", "--apply", "--dsn", dsn)
    assert (result.exit_code, result.output.splitlines()[-1]) == (
        0,
        "Forgotten: (forgotten) stands in its place, and every total is what it was.",
    )

    assert run("--customer", "acme", "--dsn", dsn).output == "No row of this ledger names this customer.\n"


def test_what_nobody_shipped_is_reported(dsn: str) -> None:
    """
    A segment that another process holds, or that is in quarantine, is named, and the exit code says that work is left.
    """
    journal = write(dsn)
    result = run("--customer", "acme", "--apply", "--dsn", dsn)
    journal.close()

    assert result.exit_code == 3
    assert "Files of the journal that name the customer, and are not shipped: 1" in result.output


def test_wrong_usage(dsn: str) -> None:
    """
    A word of ours is wrong usage, exit code 2.
    """
    result = run("--customer", "(unattributed)", "--dsn", dsn)

    assert (result.exit_code, "no customer's id" in result.output) == (2, True)


def test_a_ledger_with_another_owner_is_left_alone(tmp_path: Path) -> None:
    """
    An embedded ledger that another process owns is not changed: the sentence names the process that must end.
    """
    owner = OwnerLock(tmp_path / "ledger")
    result = run("--customer", "acme", "--apply", "--dsn", f"chdb://{tmp_path / 'ledger'}")
    owner.release()

    assert result.exit_code == 1
    assert f"is open in process {os.getpid()}" in result.output


@pytest.mark.slow
def test_an_embedded_ledger_keeps_no_byte(tmp_path: Path) -> None:
    """
    After the command, no file of an embedded ledger has the id in it: replaced files are removed at once.
    """
    folder = tmp_path / "ledger"
    journal = Journal(folder / "journal", ledger=parse_dsn(f"chdb://{folder}").fingerprint)
    for number in range(10):
        row = request_row(a_request(number, owner=Owner(team="t", customer_id=f"forget-me-{number % 2}")))
        journal.append("llm_requests", "202611", encode_row(row))
    journal.close()

    def command(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "otel_llmcost", *words, "--dsn", f"chdb://{folder}"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OTEL_LLMCOST_DSN": ""},
        ).stdout

    before = command("report", "--by", "team", "--since", "2026-11-01", "--format", "json")
    assert "Forgotten" in command("forget", "--customer", "forget-me-0", "--apply")
    assert command("report", "--by", "team", "--since", "2026-11-01", "--format", "json") == before
    holding = [file for file in folder.rglob("*") if file.is_file() and b"forget-me-0" in file.read_bytes()]
    assert holding == []
    assert any(b"forget-me-1" in file.read_bytes() for file in folder.rglob("*") if file.is_file())
