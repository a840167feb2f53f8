"""
ClickHouse's errors in our words: worth a retry, not worth one, or tables that are missing.

Codes: https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_llmcost.errors import LedgerError, LedgerRefused, LedgerUnavailable, SchemaError

if TYPE_CHECKING:
    from clickhouse_connect.driver.exceptions import Error

__all__ = ["DATABASE_MISSING", "translate"]

DATABASE_MISSING: Final = 81
_SCHEMA: Final = frozenset({8, 10, 16, 36, 47, 60, DATABASE_MISSING})
"""THERE_IS_NO_COLUMN, NOT_FOUND_COLUMN_IN_BLOCK, NO_SUCH_COLUMN_IN_TABLE, BAD_ARGUMENTS of a column, UNKNOWN_IDENTIFIER,
UNKNOWN_TABLE, UNKNOWN_DATABASE."""
_RETRY: Final = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        216,  # QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING: our own first attempt, still at work
        225,  # NO_ZOOKEEPER
        236,  # ABORTED: the server is going down
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        999,  # KEEPER_EXCEPTION
    }
)


def translate(error: Error, what: str) -> LedgerError:
    """
    Give our error for the client's; `what` says what was tried, as in "insert into llm_requests".

    An answer without ClickHouse's code is not ClickHouse's answer: a proxy, a captive portal or no server at all.
    """
    if error.code is None or error.code in _RETRY:
        return LedgerUnavailable(f"could not {what} now: {_first_line(error)}")
    if error.code in _SCHEMA:
        return SchemaError(
            f"could not {what}: {_first_line(error)}. Create the tables with `otel-llmcost schema apply`"
        )
    return LedgerRefused(f"could not {what}: {_first_line(error)}")


def _first_line(error: Error) -> str:
    """Say it in one line: ClickHouse's own words, or the lowest cause where nobody answered ("Connection refused")."""
    if error.code is None and error.__cause__ is not None:
        return _lowest(error.__cause__)
    words = str(error).rpartition("server response: ")[2] if error.code else str(error)
    return words.strip().partition("\n")[0].rstrip(".")


def _lowest(error: BaseException) -> str:
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return f"{type(error).__name__}: {error}"
