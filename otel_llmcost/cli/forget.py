"""`otel-llmcost forget`: a customer's id out of the ledger, the totals kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from otel_llmcost.cli._options import asked, dsn_option
from otel_llmcost.cli._output import Column, print_table, print_text
from otel_llmcost.forgetting import Customer, Trace, find, remains
from otel_llmcost.forgetting import forget as forget_customer
from otel_llmcost.reports.money import usd
from otel_llmcost.reports.session import own_ledger
from otel_llmcost.settings import Settings
from otel_llmcost.verify.settling import journal_of

__all__ = ["forget"]


@click.command()
@click.option("--customer", required=True, metavar="ID", help="As your application names it, hashed or not.")
@click.option("--apply", is_flag=True, help="Do it; without this, only show what would change.")
@dsn_option
def forget(customer: str, apply: bool, dsn: str | None) -> None:
    """
    Replace a customer's id by (forgotten), in requests, adjustments, outcomes and reports. No total changes.

    Without --apply nothing is changed. Exit code 3: the id is still somewhere, and the output says where.

    \b
    Examples:
      otel-llmcost forget --customer acme
      otel-llmcost forget --customer acme --apply
    """
    settings = Settings.from_env()
    with asked():
        wanted = Customer(customer, settings)
    with own_ledger(settings, dsn) as ledger:
        found = find(ledger, wanted)
        left = forget_customer(ledger, wanted, settings) if apply else ()
        journal = journal_of(ledger.dsn, settings)
    files = [*remains(journal, wanted)] if journal is not None else []
    _print(found, applied=apply)
    for line in _unfinished(left, files):
        print_text(line, err=True)
    if apply and (left or files):
        raise SystemExit(3)


def _print(found: Sequence[Trace], *, applied: bool) -> None:
    if not found:
        print_text("No row of this ledger names this customer.")
        return
    rows = [
        [trace.table, f"{trace.month[:4]}-{trace.month[4:]}", f"{trace.rows:,}", usd(trace.cost_usd)] for trace in found
    ]
    print_table([Column("Table"), Column("Month"), Column("Rows", right=True), Column("Cost", right=True)], rows)
    if applied:
        print_text("Forgotten: (forgotten) stands in its place, and every total is what it was.")
    else:
        print_text("Nothing was changed. With --apply these become (forgotten), and every total stays what it is.")


def _unfinished(left: Sequence[Trace], files: Sequence[Path]) -> list[str]:
    lines = []
    if left:
        rows = sum(trace.rows for trace in left)
        lines.append(f"{rows} rows that name the customer arrived meanwhile: run this again.")
    if files:
        lines.append(
            f"Files of the journal that name the customer, and are not shipped: {len(files)}, as {files[0]}. Run this again "
            "when they are shipped; what is in quarantine, `otel-llmcost repair --quarantine` ships, or remove it."
        )
    return lines
