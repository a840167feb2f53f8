"""`otel-llmcost repair`: put right what `verify` finds."""

from __future__ import annotations

from pathlib import Path

import click

from otel_llmcost.cli._options import dsn_option
from otel_llmcost.cli.verify import charge_period, charge_period_options
from otel_llmcost.errors import JournalError
from otel_llmcost.ledger import Ledger
from otel_llmcost.reports.session import own_ledger
from otel_llmcost.settings import Settings
from otel_llmcost.shipper import ship_once
from otel_llmcost.verify import carry_out, journal_of, plan, steps
from otel_llmcost.verify.quarantine import quarantined, return_to_journal

__all__ = ["repair"]


@click.command()
@charge_period_options
@click.option("--apply", is_flag=True, help="Do it; without this, only what would be done is shown.")
@click.option("--quarantine", is_flag=True, help="Send the segments in quarantine again, too.")
@dsn_option
@click.pass_context
def repair(
    ctx: click.Context,
    since: str | None,
    until: str | None,
    month: str | None,
    apply: bool,
    quarantine: bool,
    dsn: str | None,
) -> None:
    """
    Take back what was charged twice, price requests that ended before the prices were loaded, both by adjustments, and
    build rollups that differ anew from their rows.

    Nothing is changed without --apply; no row is ever edited or removed. Interrupted, it is run again. An embedded ledger
    must not be in use meanwhile: stop `otel-llmcost serve`. Exit code 3 without --apply: there is something to do.

    \b
    Examples:
      otel-llmcost repair
      otel-llmcost repair --month 2026-10 --apply
      otel-llmcost repair --quarantine --apply
    """
    chosen, settings = charge_period(since, until, month), Settings.from_env()
    with own_ledger(settings, dsn) as ledger:
        journal = journal_of(ledger.dsn, settings) if quarantine else None
        waits = _resend(ledger, journal, apply=apply) if journal is not None else 0
        planned = plan(ledger, chosen)
        for line in steps(planned):
            click.echo(line)
        if apply:
            for line in carry_out(ledger, planned, settings=settings):
                click.echo(line)
    if not planned and not waits:
        click.echo("Nothing to repair")
    elif not apply:
        click.echo("Nothing was changed: add --apply to do this", err=True)
        ctx.exit(3)


def _resend(ledger: Ledger, journal: Path, *, apply: bool) -> int:
    """Send what is in quarantine again, or say what would be sent; give how many segments that is."""
    found = quarantined(journal)
    for each in found:
        fate = (
            "send again"
            if each.home
            else "cannot be sent again, no row in it can be read; remove it when you have read its .reason:"
        )
        click.echo(f"{fate} {each.path.name} ({each.reason or 'no reason was kept'})")
    waits = sum(each.home is not None for each in found)
    if not apply or not waits:
        return waits
    try:
        returned = return_to_journal(journal)
    except OSError as error:
        raise JournalError(f"a segment could not be moved from quarantine to {journal}: {error.strerror}") from error
    shipped = ship_once(ledger, journal, fingerprint=ledger.dsn.fingerprint)
    click.echo(f"sent again: {len(returned)} segments, {shipped.rows} rows stored, {shipped.refused} refused again")
    if shipped.stopped is not None:
        click.echo(f"segments that wait: {shipped.left}: {shipped.stopped}", err=True)
    for each in quarantined(journal):
        if each.home is not None:
            click.echo(f"in quarantine: {each.path.name} ({each.reason or 'no reason was kept'})")
    return waits
