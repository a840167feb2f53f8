"""`otel-llmcost doctor`: what makes the bill wrong or incomplete, each finding with its fix."""

from __future__ import annotations

from dataclasses import asdict

import click

from otel_llmcost.cli._options import asked, dsn_option, table_or_json
from otel_llmcost.cli._output import Column, print_facts, print_json, print_table
from otel_llmcost.doctor import Examination, Finding, examine
from otel_llmcost.reports.gaps import GapReport
from otel_llmcost.reports.money import exact_usd, share, usd
from otel_llmcost.reports.period import period

__all__ = ["doctor"]


@click.command()
@click.option("--since", metavar="DATE|30d", default="30d", show_default=True, help="Spend from this UTC day on.")
@table_or_json
@dsn_option
@click.pass_context
def doctor(ctx: click.Context, since: str, format: str, dsn: str | None) -> None:
    """
    What makes the bill wrong or incomplete, each finding with its fix. Exit code 3: a problem was found.

    Run it where, and with the environment that, the application runs; without a ledger it looks at that alone.

    \b
    Examples:
      otel-llmcost doctor
      otel-llmcost doctor --since 7d --format json
    """
    with asked():
        found = examine(period(since), dsn=dsn)
    (_print_json if format == "json" else _print_text)(found)
    ctx.exit(3 if found.count("problem") else 0)


def _print_text(found: Examination) -> None:
    if found.gaps and found.gaps.rows:
        _print_gaps(found.gaps)
    for finding in found.findings:
        _print_finding(finding)
    counts = [(found.count("problem"), "problem"), (found.count("warning"), "warning")]
    said = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)
    click.echo(f"\n{said}, {found.count('ok')} ok")


_BLANK = " " * len("problem")


def _print_finding(finding: Finding) -> None:
    _print_fact(finding.severity.ljust(len(_BLANK)), f"{finding.subject}: {finding.what}")
    if finding.severity == "ok":
        return
    if finding.fix:
        _print_fact(_BLANK, f"Fix: {finding.fix}")
    for line in finding.snippet.splitlines():
        click.echo(f"{_BLANK}  {line}")  # never wrapped: it is to be copied
    if finding.link:
        _print_fact(_BLANK, f"See {finding.link}")


def _print_fact(name: str, text: str) -> None:
    print_facts([(name, text)])


def _print_gaps(gaps: GapReport) -> None:
    click.echo(f"LLM cost by usage gap, {gaps.period}")
    total = gaps.total_usd
    hiding = [
        [
            row.scope_name or row.dialect,
            row.provider,
            ", ".join(row.gaps) or "(nothing)",
            usd(row.cost_usd) if row.costed_requests or row.cost_usd else "not known",
            share(row.cost_usd, total),
            f"{row.requests:,}",
        ]
        for row in gaps.rows
    ]
    whole = ["Total", "", "", usd(total), share(total, total), f"{sum(row.requests for row in gaps.rows):,}"]
    print_table(_TABLE, [*hiding, whole])
    click.echo()


_TABLE = [
    Column("Instrumentation"),
    Column("Provider", keep=5),
    Column("May hide"),
    Column("Cost", right=True),
    Column("Share", right=True, keep=4),
    Column("Requests", right=True, keep=3),
]


def _print_json(found: Examination) -> None:
    print_json(
        {
            "problems": found.count("problem"),
            "warnings": found.count("warning"),
            "findings": [asdict(finding) for finding in found.findings],
            "usage_gaps": _json(found.gaps) if found.gaps else None,
        }
    )


def _json(gaps: GapReport) -> dict[str, object]:
    return {
        "period": {"since": gaps.period.since, "until": gaps.period.until, "timezone": "UTC"},
        "total_usd": exact_usd(gaps.total_usd),
        "complete_usd": exact_usd(gaps.complete_usd),
        "rows": [asdict(row) | {"cost_usd": exact_usd(row.cost_usd)} for row in gaps.rows],
        "by_gap": [
            asdict(each) | {"cost_usd": exact_usd(each.cost_usd), "share": share(each.cost_usd, gaps.total_usd)}
            for each in gaps.by_gap()
        ],
    }
