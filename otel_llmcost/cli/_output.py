"""Rows on standard output: aligned text for people, Markdown, CSV and JSON for everything else."""

from __future__ import annotations

import csv
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click
import orjson

from otel_llmcost.cli._text import cell_width, cut, printable

__all__ = [
    "FORMATS",
    "Column",
    "Number",
    "fit_table",
    "print_csv",
    "print_facts",
    "print_json",
    "print_markdown",
    "print_table",
    "print_text",
    "terminal_width",
    "wrapped",
]

FORMATS: Final = ("table", "json", "csv", "markdown")
_GAP: Final = "  "
_NARROWEST: Final = 8
_LONG: Final = 24
"""A text column may be as wide before a column is left out for it."""
_ENDLESS: Final = 10**6


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table for people."""

    title: str
    right: bool = False
    keep: int = 9
    """On a narrow terminal, columns with the lowest `keep` go first; those with 9 stay, and those with 0 go without a word."""
    whole: bool = False
    """Never shortened: half of an id is none."""


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, notes: Sequence[str] = ()) -> None:
    """Print aligned text that fits the terminal, and say which columns do not; when piped, nothing is cut or left out."""
    lines, left_out = fit_table(columns, rows, terminal_width() or _ENDLESS)
    for line in lines:
        click.echo(line)
    for note in notes:
        print_text(note)
    if left_out:
        print_text(f"Left out here: {', '.join(left_out)}. A wider terminal, or a pipe, shows all columns.", err=True)


def fit_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> tuple[list[str], list[str]]:
    """Align a table in so many columns of a terminal; give its lines, and the titles of what there is no room for."""
    cleaned = [[printable(cell) for cell in row] for row in rows]
    kept, widths = _fit(columns, cleaned, width)
    lines = []
    for row in [[column.title for column in columns], *cleaned]:
        cells = (_cell(row[index], widths[index], columns[index].right) for index in kept)
        lines.append(_GAP.join(cells).rstrip())
    return lines, [column.title for index, column in enumerate(columns) if index not in kept and column.keep]


def print_text(text: str, *, err: bool = False) -> None:
    """Print a paragraph, wrapped to the terminal that it goes to: nothing is cut."""
    click.echo(wrapped(text, err=err), err=err)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and what is said about each, wrapped to the terminal: nothing is cut."""
    indent = max((len(name) for name, _ in facts), default=0) + len(_GAP)
    for name, text in facts:
        click.echo(wrapped(text, first=name.ljust(indent), other=" " * indent))


def print_markdown(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, notes: Sequence[str] = ()) -> None:
    """Print a Markdown table."""
    _print_markdown_row([column.title for column in columns])
    _print_markdown_row(["---:" if column.right else "---" for column in columns])
    for row in rows:
        _print_markdown_row([printable(cell).replace("|", "\\|").replace("<", "&lt;") for cell in row])
    for note in notes:
        click.echo(f"\n{printable(note)}")


def print_csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """
    Print CSV in which no text is a formula to a spreadsheet; numbers stay numbers.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[_harmless(cell) for cell in row] for row in rows])


def print_json(content: object) -> None:
    """Print JSON, indented."""
    click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())


def terminal_width(*, err: bool = False) -> int | None:
    """Give the columns of the terminal that is written to; None when piped, which is as wide as is wanted."""
    stream = sys.stderr if err else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else None


def wrapped(text: str, *, first: str = "", other: str = "", err: bool = False) -> str:
    """Wrap between words alone: an id or an address stays whole, so that it can be copied."""
    lines = textwrap.wrap(
        printable(text),
        terminal_width(err=err) or _ENDLESS,
        initial_indent=first,
        subsequent_indent=other,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines) if lines else first.rstrip()


def _fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> tuple[list[int], list[int]]:
    """Choose columns and their widths: long text a little shorter, columns left out by `keep`, then the widest text cut."""
    wanted = [
        max(cell_width(column.title), *(cell_width(row[index]) for row in rows), 0)
        for index, column in enumerate(columns)
    ]
    widths, kept = list(wanted), list(range(len(columns)))
    texts = [index for index in kept if not (columns[index].right or columns[index].whole)]
    if _total(kept, widths) > width:
        for index in texts:
            widths[index] = min(widths[index], max(_LONG, cell_width(columns[index].title)))
    while _total(kept, widths) > width and min(columns[index].keep for index in kept) < Column("").keep:
        kept.remove(min(reversed(kept), key=lambda index: columns[index].keep))
    texts = [index for index in texts if index in kept]
    for index in texts:
        widths[index] = min(wanted[index], widths[index] + max(0, width - _total(kept, widths)))
    while (excess := _total(kept, widths) - width) > 0:
        long = [index for index in texts if widths[index] > _NARROWEST]
        if not long:
            break
        widest = max(long, key=lambda index: widths[index])
        widths[widest] = max(_NARROWEST, widths[widest] - max(1, excess // len(long)))
    return kept, widths


def _total(kept: Sequence[int], widths: Sequence[int]) -> int:
    return sum(widths[index] for index in kept) + len(_GAP) * (len(kept) - 1)


def _cell(text: str, width: int, right: bool) -> str:
    short = cut(text, width)
    blank = " " * (width - cell_width(short))
    return blank + short if right else short + blank


def _print_markdown_row(cells: Sequence[str]) -> None:
    click.echo(f"| {' | '.join(cells)} |")


class Number(str):
    """Text that is a number: a negative one is no formula."""

    __slots__ = ()


def _harmless(cell: object) -> object:
    if isinstance(cell, str) and not isinstance(cell, Number) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell
