"""Text for terminals: as wide as it says, writable in any encoding, and bars that tell what was spent."""

from __future__ import annotations

import io
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.cli._output import Column, fit_table
from otel_llmcost.cli._text import cell_width, cut, printable, spark, write_whatever_comes

SIGNS = "≥ $1.20 … × ▁▂▃▄▅▆▇█"


@given(text=st.text(), width=st.integers(1, 40))
def test_what_is_cut_fits(text: str, width: int) -> None:
    """
    A cut text is never wider than it may be, begins as the whole one, and is the whole one if that fits.
    """
    short = cut(printable(text), width)

    assert cell_width(short) <= width
    assert short == printable(text) if cell_width(printable(text)) <= width else printable(text).startswith(short[:-1])


@pytest.mark.parametrize(("text", "width"), [("team", 4), ("名前", 4), ("e\N{COMBINING ACUTE ACCENT}", 1)])
def test_wide_characters_need_two_columns(text: str, width: int) -> None:
    """
    Width is counted in columns of a terminal, not in characters.
    """
    assert cell_width(text) == width


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_takes_any_text(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where the output is not UTF-8, our signs have look-alikes of the same width, and a name is shown by its codes.
    """
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    write_whatever_comes()
    print(SIGNS, "名前")  # noqa: T201  # what click.echo does
    sys.stdout.flush()

    assert written.getvalue().decode(encoding).strip() == f"{printable(SIGNS)} {printable('名前')}"
    assert len(printable(SIGNS)) == len(SIGNS)
    if encoding == "ascii":
        assert printable(SIGNS) == "> $1.20 ~ x _.,:;=+#"
        assert printable("名") == "\\u540d"


def test_bars_are_as_high_as_what_was_spent() -> None:
    """
    The most costly has the highest bar, what cost anything has one, and nothing has none.
    """
    assert spark([Decimal(0), Decimal("0.000000000001"), Decimal(50), Decimal(100), Decimal(-3)]) == " ▁▅█ "
    assert spark([Decimal(0)]) == " "
    assert spark([]) == ""


@given(
    rows=st.lists(st.tuples(st.text(max_size=60), st.text("0123456789", max_size=9), st.text(max_size=30)), max_size=5),
    width=st.integers(45, 120),
)
def test_a_table_fits_and_keeps_what_is_whole(rows: list[tuple[str, str, str]], width: int) -> None:
    """
    No line is wider than the terminal, columns stand under their titles, and a whole column is never cut.
    """
    columns = [Column("Team"), Column("Cost", right=True), Column("Note", keep=3), Column("Span ID", whole=True)]
    lines, left_out = fit_table(columns, [[*row, "4d7eaaf6323a1a38"] for row in rows], width)

    assert max(map(cell_width, lines)) <= width
    assert all(line.endswith("4d7eaaf6323a1a38") for line in lines[1:])
    assert left_out in ([], ["Note"])


def test_one_long_name_leaves_nothing_out() -> None:
    """
    A long name is shortened before a column is left out for it.
    """
    columns = [Column("Customer"), Column("Cost", right=True), Column("Requests", right=True, keep=5)]
    lines, left_out = fit_table(columns, [["x" * 500, "$1.20", "7"], ["acme", "$0.30", "2"]], 60)

    assert not left_out
    assert [len(line) for line in lines] == [60, 60, 60]
