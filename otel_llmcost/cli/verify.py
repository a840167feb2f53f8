"""`otel-llmcost verify`: do the numbers agree."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

import click

from otel_llmcost.cli._options import asked, dsn_option, table_or_json
from otel_llmcost.cli._output import print_facts, print_json
from otel_llmcost.ledger import Dsn, parse_dsn
from otel_llmcost.reports.period import Period
from otel_llmcost.reports.period import month as month_of
from otel_llmcost.reports.period import period as period_of
from otel_llmcost.reports.session import open_ledger
from otel_llmcost.settings import Settings
from otel_llmcost.verify import EVER, Check, Verification, journal_of
from otel_llmcost.verify import verify as check_ledger

__all__ = ["charge_period", "charge_period_options", "verify"]


def charge_period_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add `--since`, `--until` and `--month`, whose default is every month that there is."""
    command = click.option("--month", metavar="2026-10", help="One month, instead of --since and --until.")(command)
    command = click.option("--until", metavar="DATE", help="Up to this UTC day, not included.")(command)
    text = "From this UTC day, or so many days with today; default: everything."
    return click.option("--since", metavar="DATE|30d", help=text)(command)


def charge_period(since: str | None, until: str | None, month: str | None) -> Period:
    """Read those options; a wrong one is a wrong usage."""
    if month and (since or until):
        raise click.UsageError("--month is a period of its own: leave out --since and --until, or --month")
    with asked():
        if month:
            return month_of(month)
        return period_of(since or str(EVER.since), until) if since or until else EVER


@click.command()
@charge_period_options
@table_or_json
@dsn_option
@click.pass_context
def verify(
    ctx: click.Context, since: str | None, until: str | None, month: str | None, format: str, dsn: str | None
) -> None:
    """
    Whether rows + adjustments = rollups, nothing was charged twice, and nothing is left behind. Exit code 3: something is
    off; each finding says what to do.

    It reads only, and works while `otel-llmcost serve` runs. The journal that is looked at is this machine's.

    \b
    Examples:
      otel-llmcost verify
      otel-llmcost verify --month 2026-10 --format json
    """
    chosen = charge_period(since, until, month)
    settings = Settings.from_env()
    place = parse_dsn(dsn or settings.ledger_dsn())
    with open_ledger(settings, dsn) as ledger:
        found = check_ledger(ledger, chosen, journal=journal_of(place, settings), fingerprint=place.fingerprint)
    if format == "json":
        _print_json(found, chosen, place)
    else:
        for check in found.checks:
            _print(check)
        click.echo(f"\n{found.problems} problem{'' if found.problems == 1 else 's'}, {len(found.checks)} checks")
    ctx.exit(3 if found.problems else 0)


def _print(check: Check) -> None:
    print_facts([(check.state.ljust(len("problem")), f"{check.name}: {check.what}")])
    if check.fix:
        print_facts([(" " * len("problem"), f"Fix: {check.fix}")])


def _print_json(found: Verification, chosen: Period, place: Dsn) -> None:
    print_json(
        {
            "ledger": str(place),
            "period": {"since": chosen.since, "until": chosen.until, "timezone": "UTC"},
            "problems": found.problems,
            "checks": [cast("dict[str, object]", asdict(check)) for check in found.checks],
        }
    )
