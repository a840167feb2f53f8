"""Rows on standard output: aligned text for people, Markdown, CSV and JSON for everything else."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click
import orjson

__all__ = [
    "FORMATS",
    "Column",
    "Number",
    "print_csv",
    "print_facts",
    "print_json",
    "print_markdown",
    "print_table",
    "print_text",
]

FORMATS: Final = ("table", "json", "csv", "markdown")
_GAP: Final = "  "
_NARROWEST: Final = 8
_ENDLESS: Final = 10**6


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table for people."""

    title: str
    right: bool = False
    keep: int = 9
    """On a narrow terminal, columns with the lowest `keep` go first; those with 9 stay."""


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, notes: Sequence[str] = ()) -> None:
    """Print aligned text that fits the terminal, and say which columns do not; when piped, nothing is cut or left out."""
    cleaned = [[_printable(cell) for cell in row] for row in rows]
    kept, widths = _fit(columns, cleaned, _width())
    for row in [[column.title for column in columns], *cleaned]:
        cells = (_cell(row[index], widths[index], columns[index].right) for index in kept)
        click.echo(_GAP.join(cells).rstrip())
    for note in notes:
        print_text(note)
    if left_out := [column.title for index, column in enumerate(columns) if index not in kept]:
        print_text(f"Left out here: {', '.join(left_out)}. A wider terminal, or a pipe, shows all columns.", err=True)


def print_text(text: str, *, err: bool = False) -> None:
    """Print a paragraph, wrapped to the terminal that it goes to: nothing is cut."""
    click.echo(_wrapped(text, _width(err=err)), err=err)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and what is said about each, wrapped to the terminal: nothing is cut."""
    indent = max((len(name) for name, _ in facts), default=0) + len(_GAP)
    for name, text in facts:
        click.echo(_wrapped(text, _width(), name.ljust(indent), " " * indent))


def print_markdown(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, notes: Sequence[str] = ()) -> None:
    """Print a Markdown table."""
    _print_markdown_row([column.title for column in columns])
    _print_markdown_row(["---:" if column.right else "---" for column in columns])
    for row in rows:
        _print_markdown_row([_printable(cell).replace("|", "\\|").replace("<", "&lt;") for cell in row])
    for note in notes:
        click.echo(f"\n{_printable(note)}")


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


def _width(*, err: bool = False) -> int:
    """Give the columns of the terminal; when piped, as many as are wanted."""
    stream = sys.stderr if err else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else _ENDLESS


def _wrapped(text: str, width: int, first: str = "", other: str = "") -> str:
    return click.wrap_text(_printable(text), width, first, other)


def _fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> tuple[list[int], list[int]]:
    """Choose columns and their widths: leave out by `keep`, then shorten the widest text column."""
    widths = [max(len(column.title), *(len(row[index]) for row in rows), 0) for index, column in enumerate(columns)]
    kept = list(range(len(columns)))
    while _total(kept, widths) > width and min(columns[index].keep for index in kept) < Column("").keep:
        kept.remove(min(reversed(kept), key=lambda index: columns[index].keep))
    while (excess := _total(kept, widths) - width) > 0:
        texts = [index for index in kept if not columns[index].right and widths[index] > _NARROWEST]
        if not texts:
            break
        widest = max(texts, key=lambda index: widths[index])
        widths[widest] = max(_NARROWEST, widths[widest] - max(1, excess // len(texts)))
    return kept, widths


def _total(kept: Sequence[int], widths: Sequence[int]) -> int:
    return sum(widths[index] for index in kept) + len(_GAP) * (len(kept) - 1)


def _cell(text: str, width: int, right: bool) -> str:
    short = text if len(text) <= width else text[: width - 1] + "…"
    return short.rjust(width) if right else short.ljust(width)


def _printable(text: str) -> str:
    """Replace what a terminal would obey instead of show."""
    return (
        text
        if text.isprintable()
        else "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    )


def _print_markdown_row(cells: Sequence[str]) -> None:
    click.echo(f"| {' | '.join(cells)} |")


class Number(str):
    """Text that is a number: a negative one is no formula."""

    __slots__ = ()


def _harmless(cell: object) -> object:
    if isinstance(cell, str) and not isinstance(cell, Number) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell
