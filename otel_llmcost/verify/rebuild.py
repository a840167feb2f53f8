"""
One month of one rollup, built anew from its rows and adjustments, and put in the place of the old one in one step.

It is filled by the SELECTs of the rollup's own views, as the database has them: what a view adds to the next insert and
what a rebuild makes can never be two things. Interrupted anywhere, the rollup is whole, old or new, and running it again
completes it. Limits: rows that other machines insert in the second between are lost to the rollup; that is looked for
and the month built again, up to three times.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from string import Template
from typing import Final

from otel_llmcost.errors import LedgerError, ReportError, SchemaError
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.connection import read_sql
from otel_llmcost.reports.period import Period
from otel_llmcost.settings import Settings
from otel_llmcost.verify.rollups import ROLLUPS, compare, days_of
from otel_llmcost.verify.settling import settle

__all__ = ["rebuild_rollup"]

_TRIES: Final = 3
_ROWS_AT_ONCE: Final = 2_000_000
"""What one insert reads at the most: a server's answer is waited for ten seconds."""
_ABANDONED_SECONDS: Final = 86_400
"""A table that a rebuild made on a server so long ago is nobody's any more."""


def rebuild_rollup(
    ledger: Ledger, rollup: str, month: str, *, settings: Settings | None = None, pause_seconds: float = 1.0
) -> None:
    """
    Build a month (`YYYYMM`) of a rollup anew from the rows; the journal is shipped before.

    Raises `ReportError` (no such rollup or month) and `LedgerError`: a segment of that month is sent and not
    acknowledged, or rows kept arriving and the month still differs; then run it again.

    Args:
        settings: where the journal is; default: the environment's.
        pause_seconds: how long rows that are just arriving are waited for, before they count as a difference.
    """
    if rollup not in ROLLUPS:
        raise ReportError(f"{rollup!r} is no rollup: there are {', '.join(ROLLUPS)}")
    if not re.fullmatch(r"[0-9]{6}", month):
        raise ReportError(f"{month!r} is not a month: write it as 202610")
    ledger.refuse_on_cluster(f"build {rollup} anew")
    settings, days = settings or Settings.from_env(), days_of(month)
    for _ in range(_TRIES):
        settle(ledger, month, settings)
        _build(ledger, rollup, month, days)
        settle(
            ledger, month, settings
        )  # what was sent meanwhile is in the rows; acknowledged now, it cannot come again
        if all(each.agrees for each in compare(ledger, days, (rollup,), pause_seconds=pause_seconds)):
            return
    raise LedgerError(
        f"{rollup} of {month} was built anew {_TRIES} times, and still differs from its rows: they keep arriving. "
        "Run this again when less is written, or when the shippers of other machines are stopped"
    )


def _build(ledger: Ledger, rollup: str, month: str, days: Period) -> None:
    with _twin(ledger, rollup) as rebuild:
        _fill(ledger, rollup, rebuild, days)
        (made,) = ledger.query("rebuild_cells", {"rebuild": rebuild})
        # Not a single cell: an empty twin has no such partition, and newer engines refuse to replace with what is not there.
        names = {"rebuild": rebuild, "rollup": rollup, "month": month}
        _do(ledger, "rebuild_replace" if made["cells"] else "rebuild_empty", names)


@contextmanager
def _twin(ledger: Ledger, rollup: str) -> Iterator[str]:
    """Give an empty twin of a rollup, of our own: someone else may build one at the same time. Dead ones are removed."""
    own_engine = ledger.dsn.kind == "chdb"  # nobody else can be at it
    idle_seconds = 0 if own_engine else _ABANDONED_SECONDS
    for dead in ledger.query("rebuild_abandoned", {"rebuild": f"{rollup}_rebuild", "idle_seconds": idle_seconds}):
        _do(ledger, "rebuild_drop", {"rebuild": str(dead["name"])})
    rebuild = f"{rollup}_rebuild_{secrets.token_hex(4)}"
    _do(ledger, "rebuild_create", {"rebuild": rebuild, "rollup": rollup})
    yield rebuild
    _do(ledger, "rebuild_drop", {"rebuild": rebuild})


def _fill(ledger: Ledger, rollup: str, rebuild: str, days: Period) -> None:
    views = ledger.query("rollup_views", {"database": ledger.dsn.database, "rollup": rollup})
    if len(views) != 2:
        raise SchemaError(
            f"{rollup} has {len(views)} of its two views, {rollup}_from_requests and {rollup}_from_adjustments: "
            "`otel-llmcost schema status` tells what is missing"
        )
    pieces = max(1, math.ceil(_charges(ledger, days) / _ROWS_AT_ONCE))
    step = timedelta(days=max(1, math.ceil((days.until - days.since).days / pieces)))
    for view in views:
        own = view["columns"]
        columns = ", ".join(map(str, own)) if isinstance(own, list | tuple) else ""
        names = {"rebuild": rebuild, "columns": columns, "select": str(view["as_select"]), "instant": ROLLUPS[rollup]}
        since = days.since
        while since < days.until:
            until = min(since + step, days.until)
            _do(ledger, "rebuild_fill", names, {"since": since, "until": until})
            since = until


def _charges(ledger: Ledger, days: Period) -> int:
    (row,) = ledger.query("rebuild_size", {"since": days.since, "until": days.until})
    return int(str(row["charges"]))


def _do(ledger: Ledger, step: str, names: dict[str, str], days: dict[str, object] | None = None) -> None:
    """Take one step. `names` are identifiers of ours and a view's own SELECT: no engine binds them in such statements."""
    ledger.command(Template(read_sql("queries", step)).substitute(names), days, what=f"take the step {step}")
