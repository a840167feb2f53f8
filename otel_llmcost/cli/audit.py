"""`otel-llmcost audit`: what a trace or a response costs, request by request, without a ledger."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Final

import click

from otel_llmcost.audit import Audit, AuditedRequest, Defaults
from otel_llmcost.audit import audit as run_audit
from otel_llmcost.audit.sentences import facts, usd, why
from otel_llmcost.cli._options import table_or_json
from otel_llmcost.cli._output import Column, print_facts, print_json, print_table
from otel_llmcost.model import Priced, Usage
from otel_llmcost.pricing import Pricer
from otel_llmcost.pricing.arithmetic import arithmetic
from otel_llmcost.pricing.instants import read_instant
from otel_llmcost.settings import Settings

__all__ = ["audit"]


def _moment(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int:
    if text is None:
        return time.time_ns()
    try:
        moment = read_instant(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not 2000 <= moment.year < 2100:
        raise click.BadParameter(f"{text!r} is not within 2000 to 2099")
    return int(moment.timestamp()) * 10**9


@click.command(epilog="Limits: 64 MiB for one line or document, 1,000,000 spans in all. Exit code 1: something could "
               "not be read; the rest is audited.")  # fmt: skip
@click.argument("files", nargs=-1, required=True, metavar="FILE...",
                type=click.Path(exists=True, dir_okay=False, allow_dash=True))  # fmt: skip
@table_or_json
@click.option("--explain", is_flag=True, help="In the table form: the arithmetic of every request.")
@click.option("--rate-card", "cards", multiple=True, type=click.Path(path_type=Path),
              help="Your rate card or contract (YAML). Repeatable; later wins.")  # fmt: skip
@click.option(
    "--at", callback=_moment, metavar="TIME", help="When responses that carry no time were made. Default: now."
)
@click.option("--provider", default="", help="Who answered, for responses: others copy OpenAI's form.")
@click.option("--model", default="", help="The model, for responses that do not name it (Bedrock Converse).")
@click.pass_context
def audit(
    ctx: click.Context, files: tuple[str, ...], format: str, explain: bool, cards: tuple[Path, ...],
    at: int, provider: str, model: str,
) -> None:  # fmt: skip
    """
    Price a trace or raw responses offline: each request once, why, and what could not be known.

    FILE is OTLP/JSON (whole requests, one a line, or a part cut out of one), or response bodies of OpenAI, Anthropic,
    Gemini or Bedrock (one, an array, one a line, or a batch's output); `-` is standard input. No content is printed.

    \b
    Examples:
      otel-llmcost audit trace.json --explain
      pbpaste | otel-llmcost audit -
      otel-llmcost audit batch_output.jsonl --format json
    """
    settings = Settings.from_env()
    pricer = Pricer.from_files([*settings.rate_cards, *cards])
    pricer.wait()
    defaults = Defaults(at_unix_ns=at, provider=provider, model=model)
    found = run_audit(_sources(files), pricer=pricer, settings=settings, defaults=defaults)
    if format == "json":
        print_json(found.as_json())
    else:
        _print(found, explain)
    for problem in found.problems:
        click.echo(problem, err=True)
    ctx.exit(1 if found.problems else 0)


def _name(path: str) -> str:
    return "<stdin>" if path == "-" else click.format_filename(path)


def _sources(paths: Iterable[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Open one file after another, each once."""
    for path in dict.fromkeys(paths):
        try:
            stream = click.open_file(path, "rb")
        except OSError as error:
            raise click.FileError(_name(path), error.strerror or str(error)) from error
        with stream:
            yield _name(path), stream


def _print(found: Audit, explain: bool) -> None:
    if found.requests:
        columns = [column for column in _COLUMNS if column.always or any(map(column.cell, found.requests))]
        rows = [[column.cell(each) for column in columns] for each in found.requests]
        print_table([Column(each.title, each.right, each.keep) for each in columns], rows)
        click.echo()
    if explain:
        for each in found.requests:
            _explain(each)
    print_facts(list(facts(found)))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A column of the table: `counts` are added up, anything else is a key of the row."""

    title: str
    keep: int = 9
    right: bool = False
    always: bool = False
    counts: tuple[str, ...] = ()
    key: str = ""

    def cell(self, each: AuditedRequest) -> str:
        """Give the text; "" where there is nothing to say, so that a column without any text is left out."""
        if self.counts:
            known = [count for name in self.counts if isinstance(count := each.row[name], int)]
            return f"{sum(known):,}" if sum(known) or (known and self.always) else "?" if self.always else ""
        if self.key:
            value = str(each.row[self.key] or "")
            return "" if value in _ORDINARY else value
        return _CELLS[self.title](each)


_ORDINARY: Final = ("(unattributed)", "(none)", "initial", "success")
_COLUMNS: Final = (
    _Shown("#", right=True, always=True),
    _Shown("Time (UTC)", keep=3, always=True),
    _Shown("Provider", keep=4, key="provider"),
    _Shown("Model", always=True, key="model"),
    _Shown("Team", keep=2, key="team"),
    _Shown("Feature", keep=2, key="feature"),
    _Shown("Customer", keep=2, key="customer_id"),
    _Shown("Input", 9, True, True, ("input_tokens",)),
    _Shown("Cached", 7, True, counts=("cached_input_tokens",)),
    _Shown("Written", 7, True, counts=("cache_write_tokens", "cache_write_1h_tokens", "cache_write_12h_tokens")),
    _Shown("Output", 9, True, True, ("output_tokens",)),
    _Shown("Audio", 6, True, counts=("audio_input_tokens", "cached_audio_input_tokens", "audio_output_tokens")),
    _Shown("Images", 6, True, counts=("image_input_tokens", "image_output_tokens")),
    _Shown("Calls", 6, True, counts=("web_search_calls", "file_search_calls", "code_execution_calls")),
    _Shown("Tier", keep=2, key="service_tier"),
    _Shown("Status", keep=5, key="status"),
    _Shown("Attempt", keep=5, key="attempt_kind"),
    _Shown("Cost", right=True, always=True),
)
_CELLS: Final = {
    "#": lambda each: str(each.number),
    "Time (UTC)": lambda each: _instant(each)[:19],
    "Cost": lambda each: _cost(each),
}


def _instant(each: AuditedRequest) -> str:
    return str(each.row["timestamp"]).replace("T", " ").removesuffix("Z")


def _cost(each: AuditedRequest) -> str:
    if each.cost_usd is None:
        return "no usage" if each.cost_status == "failed_no_usage" else "not known"
    return usd(each.cost_usd, at_least=each.cost_status == "partial")


def _explain(each: AuditedRequest) -> None:
    row, price = each.row, each.request.price
    names = " ".join(str(row[name]) for name in ("provider", "model", "operation") if row[name])
    print_facts([(f"#{each.number}", f"{names}, {_instant(each)[:19]} UTC, {row['response_id'] or row['span_id']}")])
    if isinstance(price, Priced) and each.cost_usd is not None:
        print_table(
            _ARITHMETIC, [*_lines(price, each.request.call.usage or Usage()), ["  total", "", "", "", _cost(each)]]
        )
        since = f"since {price.rate.effective_from}" if price.rate.effective_from else "since launch"
        source = str(price.rate.content.get("source") or "")
        rate = ", ".join(filter(None, (price.rate.rate_id, f"{price.rate.source} {price.rate.version}", since, source)))
        print_facts([("  rate", rate)])
    else:
        print_facts([("  none", why(each))])
    click.echo()


_ARITHMETIC: Final = [
    Column("  Count", whole=True), Column("Quantity", right=True), Column("Price", right=True, keep=3), Column("Unit", keep=3),
    Column("Cost", right=True),
]  # fmt: skip


def _lines(price: Priced, usage: Usage) -> Iterator[list[str]]:
    for line in arithmetic(price.rate.content, usage):
        unit = line.unit.removesuffix(" tokens") + (f", above {line.tier:,} of input" if line.tier is not None else "")
        cost = "not known" if line.cost_usd is None else usd(line.cost_usd)
        yield [
            f"  {line.count}", f"{line.quantity:,}", _unit_price(line.unit_price),
            unit if line.unit_price else "", cost,
        ]  # fmt: skip


def _unit_price(text: str | None) -> str:
    if text is None:
        return "no rate"
    return f"${text}" if "/" in text else usd(Decimal(text))
