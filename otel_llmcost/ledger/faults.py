"""
ClickHouse's errors in our words, and what shipping does about each: one table, by code.

Codes: https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final

from otel_llmcost.errors import (
    LedgerDenied,
    LedgerError,
    LedgerRefused,
    LedgerUnavailable,
    SchemaError,
    UnknownColumn,
)

if TYPE_CHECKING:
    from clickhouse_connect.driver.exceptions import Error

__all__ = ["ACTIONS", "DATABASE_MISSING", "Action", "translate"]

DATABASE_MISSING: Final = 81
_INCORRECT_DATA: Final = 117
_COLUMN_MISSING: Final = "Unknown field found"


class Action(Enum):
    """What shipping does when the ledger answers with an error."""

    TRY_AGAIN = "try again after a pause that grows to a minute, or as the server says"
    WAIT_FOR_TABLES = "try again once a minute: tables or columns are missing, and no row is at fault"
    WAIT_FOR_ACCESS = "try again once a minute: this user may not, and no row is at fault"
    FIND_BAD_ROWS = "halve the segment until the bad rows are alone, and set those aside"


def _all(action: Action, codes: Mapping[int, str]) -> dict[int, tuple[str, Action]]:
    return {code: (name, action) for code, name in codes.items()}


ACTIONS: Final[Mapping[int, tuple[str, Action]]] = {
    **_all(
        Action.TRY_AGAIN,
        {
            74: "CANNOT_READ_FROM_FILE_DESCRIPTOR",
            75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
            76: "CANNOT_OPEN_FILE",
            159: "TIMEOUT_EXCEEDED",
            173: "CANNOT_ALLOCATE_MEMORY",
            198: "DNS_ERROR",
            201: "QUOTA_EXCEEDED",
            202: "TOO_MANY_SIMULTANEOUS_QUERIES",
            203: "NO_FREE_CONNECTION",
            209: "SOCKET_TIMEOUT",
            210: "NETWORK_ERROR",
            216: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",  # our own first attempt, still at work
            218: "TABLE_IS_DROPPED",
            225: "NO_ZOOKEEPER",
            236: "ABORTED",  # the server is going down
            241: "MEMORY_LIMIT_EXCEEDED",
            242: "TABLE_IS_READ_ONLY",
            243: "NOT_ENOUGH_SPACE",
            244: "UNEXPECTED_ZOOKEEPER_ERROR",
            252: "TOO_MANY_PARTS",
            254: "NO_ACTIVE_REPLICAS",
            279: "ALL_CONNECTION_TRIES_FAILED",
            285: "TOO_FEW_LIVE_REPLICAS",
            286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
            289: "REPLICA_IS_NOT_IN_QUORUM",
            290: "LIMIT_EXCEEDED",
            319: "UNKNOWN_STATUS_OF_INSERT",
            394: "QUERY_WAS_CANCELLED",
            425: "SYSTEM_ERROR",
            439: "CANNOT_SCHEDULE_TASK",
            473: "DEADLOCK_AVOIDED",
            499: "S3_ERROR",
            519: "NO_REMOTE_SHARD_AVAILABLE",
            700: "USER_SESSION_LIMIT_EXCEEDED",
            733: "TABLE_IS_BEING_RESTARTED",
            735: "QUERY_WAS_CANCELLED_BY_CLIENT",
            745: "SERVER_OVERLOADED",
            749: "TCP_CONNECTION_LIMIT_REACHED",
            999: "KEEPER_EXCEPTION",
            1000: "POCO_EXCEPTION",  # of the server's network and files
            1001: "STD_EXCEPTION",  # of its memory and file system
        },
    ),
    **_all(
        Action.WAIT_FOR_TABLES,
        {
            8: "THERE_IS_NO_COLUMN",
            10: "NOT_FOUND_COLUMN_IN_BLOCK",
            16: "NO_SUCH_COLUMN_IN_TABLE",
            36: "BAD_ARGUMENTS",  # of a column
            47: "UNKNOWN_IDENTIFIER",
            60: "UNKNOWN_TABLE",
            DATABASE_MISSING: "UNKNOWN_DATABASE",
        },
    ),
    **_all(
        Action.WAIT_FOR_ACCESS,
        {
            115: "UNKNOWN_SETTING",
            164: "READONLY",
            192: "UNKNOWN_USER",
            193: "WRONG_PASSWORD",
            194: "REQUIRED_PASSWORD",
            195: "IP_ADDRESS_NOT_ALLOWED",
            291: "DATABASE_ACCESS_DENIED",
            452: "SETTING_CONSTRAINT_VIOLATION",
            497: "ACCESS_DENIED",
            516: "AUTHENTICATION_FAILED",
            720: "USER_EXPIRED",
        },
    ),
}
"""What is done about each code. A code that is not here is taken for a fault of the rows, which is proven before any is
set aside. 117 (INCORRECT_DATA) is one, unless it says that a column is missing."""


def translate(error: Error, what: str) -> LedgerError:
    """
    Give our error for the client's; `what` says what was tried, as in "insert into llm_requests".

    An answer without ClickHouse's code is not ClickHouse's answer: a proxy, a captive portal or no server at all.
    """
    said = _first_line(error)
    if error.code is None:
        return LedgerUnavailable(f"could not {what} now: {said}")
    if error.code == _INCORRECT_DATA and _COLUMN_MISSING in said:
        return UnknownColumn(
            f"could not {what}: {said}. A newer version wrote these rows: run its `otel-llmcost schema apply`"
        )
    _, action = ACTIONS.get(error.code, ("", Action.FIND_BAD_ROWS))
    match action:
        case Action.TRY_AGAIN:
            return LedgerUnavailable(f"could not {what} now: {said}")
        case Action.WAIT_FOR_TABLES:
            return SchemaError(f"could not {what}: {said}. Create the tables with `otel-llmcost schema apply`")
        case Action.WAIT_FOR_ACCESS:
            return LedgerDenied(
                f"could not {what}: {said}. Correct the DSN's user and password, or what that user may do"
            )
        case Action.FIND_BAD_ROWS:
            return LedgerRefused(f"could not {what}: {said}")


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
