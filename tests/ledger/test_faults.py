"""What is done about each of ClickHouse's errors: the table of codes, beside the engine's own names."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from otel_llmcost.errors import (
    LedgerDenied,
    LedgerError,
    LedgerRefused,
    LedgerUnavailable,
    SchemaError,
    UnknownColumn,
)
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.faults import ACTIONS, Action, translate
from tests.ledger.samples import ask

KINDS: dict[Action, type[LedgerError]] = {
    Action.TRY_AGAIN: LedgerUnavailable,
    Action.WAIT_FOR_TABLES: SchemaError,
    Action.WAIT_FOR_ACCESS: LedgerDenied,
    Action.FIND_BAD_ROWS: LedgerRefused,
}


def raised(code: int | None, words: str = "words") -> LedgerError:
    """
    Give our error for a code of the client's.
    """
    return translate(DatabaseError(f"Code: {code}. DB::Exception: {words}", code=code), "insert into llm_requests")


def test_names_are_the_engines_own(ledger: Ledger) -> None:
    """
    Each code of the table means what the table says that it means.
    """
    codes = ", ".join(map(str, ACTIONS))
    named = ask(ledger, f"SELECT arrayStringConcat(arrayMap(code -> errorCodeToName(code), [{codes}]), ' ')")

    assert [name for name, _ in ACTIONS.values()] == named[0].split()


@pytest.mark.parametrize("code", ACTIONS)
def test_each_code(code: int) -> None:
    """
    A code of the table becomes the error of its action, and that error keeps ClickHouse's words.
    """
    error = raised(code)

    assert type(error) is KINDS[ACTIONS[code][1]]
    assert "could not insert into llm_requests" in str(error)
    assert f"Code: {code}" in str(error)


@pytest.mark.parametrize("code", [27, 41, 72, 117, 130, 407, 9999])
def test_other_codes_are_for_the_rows_to_disprove(code: int) -> None:
    """
    What the table does not name may be a fault of the rows: neither waited for nor denied.
    """
    assert type(raised(code)) is LedgerRefused


def test_a_missing_column_is_no_fault_of_the_rows() -> None:
    """
    Rows with a column that the table lacks wait for the tables, and the error names the command that makes them.
    """
    error = raised(117, "Unknown field found while parsing JSONEachRow format: column_of_tomorrow")

    assert type(error) is UnknownColumn
    assert "schema apply" in str(error)


def test_an_answer_without_a_code_is_not_clickhouses() -> None:
    """
    Whoever answers without ClickHouse's code is worth another try.
    """
    assert type(raised(None)) is LedgerUnavailable
