"""Tables as data: what a page shows and what its CSV holds are made of the same rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from otel_llmcost.dashboard.charts import Spark
from otel_llmcost.dashboard.wording import Delta, Money
from otel_llmcost.reports.money import exact_usd

__all__ = ["Cell", "Column", "Kind", "Link", "Linked", "Row", "Table", "to_csv"]

Kind: TypeAlias = Literal[
    "name",
    "text",
    "id",
    "status",
    "instant",
    "money",
    "exact",
    "price",
    "count",
    "percent",
    "bar",
    "change",
    "trend",
    "date",
]
_ONLY_SEEN: Final[frozenset[Kind]] = frozenset({"bar", "trend"})
"""Kinds that repeat as a picture what another column says in figures: no CSV has them."""


@dataclass(frozen=True, slots=True)
class Link:
    """Words that lead somewhere; `series` is the colour of a chart's part that they name."""

    text: str
    href: str
    series: str = ""


@dataclass(frozen=True, slots=True)
class Linked:
    """A figure or an instant that leads somewhere: it looks, and is written to CSV, as its column says."""

    value: int | datetime | Money
    href: str


Cell: TypeAlias = str | int | Decimal | datetime | Money | Delta | Spark | Link | Linked | None


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column. `kind` says how a cell looks, and what it is in CSV.

    name, text, date, id, status: `str` or `Link`; instant: `datetime`; money: `Money`, rounded on the page; exact: `Money`,
    every digit; price: exact text of US dollars, `0.075` or `4/9`; count: `int`; percent, bar: `Decimal` share of 1 or
    None; change: `Delta`; trend: `Spark`.
    """

    title: str
    name: str
    """Its name in CSV: the measure's own."""
    kind: Kind = "text"
    keep: int = 9
    """On a narrow screen columns with less than 5 are left out; their figures are in the CSV and on a wide screen."""

    @property
    def is_number(self) -> bool:
        """Whether figures stand below each other."""
        return self.kind in ("money", "exact", "price", "count", "percent", "change")


Row: TypeAlias = Sequence[Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells, in the order of `columns`, and a total below them."""

    name: str
    """Its name in the URL of its CSV, unique on its page."""
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    total: Row | None = None
    note: str = ""
    """A sentence beside the title: what a click does, what is left out."""
    empty: str = "Nothing in this period."
    """What to say, and to do, where there are no rows."""
    has_csv: bool = True
    """Whether its page can be asked for again: not one that answers a form."""


def to_csv(table: Table) -> str:
    """Write a table as CSV: exact values, no total, and no cell that a spreadsheet would run as a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    places = [place for place, column in enumerate(table.columns) if column.kind not in _ONLY_SEEN]
    writer.writerow([_harmless(table.columns[place].name) for place in places])
    writer.writerows([[_plain(row[place]) for place in places] for row in table.rows])
    return text.getvalue()


def _plain(cell: Cell) -> object:
    match cell:
        case Money():
            return "" if cell.usd is None else exact_usd(cell.usd)
        case Delta():
            return "" if cell.share is None else f"{cell.share:.6f}"
        case Decimal():
            return exact_usd(cell)
        case datetime():
            return cell.isoformat(timespec="microseconds").replace("+00:00", "Z")
        case Link():
            return _harmless(cell.text)
        case Linked():
            return _plain(cell.value)
        case str():
            return _harmless(cell)
        case _:
            return cell


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
