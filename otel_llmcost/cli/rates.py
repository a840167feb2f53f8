"""`otel-llmcost rates`: lists and explains rates; `rates check` validates rate cards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from textwrap import wrap
from typing import Any

import click

from otel_llmcost.cli._options import table_or_json
from otel_llmcost.cli._output import terminal_width
from otel_llmcost.cli.price import _moment
from otel_llmcost.errors import RateCardError
from otel_llmcost.pricing import Pricer
from otel_llmcost.pricing.listing import RateRow
from otel_llmcost.settings import Settings

__all__ = ["rates"]

_WIDEST = 80
_CALLS = ("web_search_calls", "file_search_calls", "code_execution_calls")


@click.group(invoke_without_command=True)
@click.option("--provider", help="As your spans write it; any spelling.")
@click.option("--model", help="A model name; with --provider exactly as a span would carry it, else a part of one.")
@click.option(
    "--at",
    callback=_moment,
    metavar="TIME",
    help="What was in force then: 2026-11-01, or a time with its offset. Default: now.",
)
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="Show at most so many."
)
@click.option("--rate-card", "cards", multiple=True, type=click.Path(path_type=Path),
              help="Your rate card or contract (YAML). Repeatable; later wins.")  # fmt: skip
@table_or_json
@click.pass_context
def rates(
    ctx: click.Context,
    provider: str | None,
    model: str | None,
    at: datetime,
    limit: int,
    cards: tuple[Path, ...],
    format: str,
) -> None:
    """
    List and explain rates; check a rate card.

    \b
    Examples:
      otel-llmcost rates --provider openai --model gpt-5.4-mini-2026-03-17
      otel-llmcost rates --model opus --at 2026-08-01
      otel-llmcost rates check our-contract.yaml
    """
    if ctx.invoked_subcommand:
        return
    if not provider and not model:
        raise click.UsageError("name a --provider or a --model, or use `rates check FILE`")
    pricer = Pricer.from_files([*Settings.from_env().rate_cards, *cards])
    pricer.wait()
    found = pricer.rates(provider, model, at)
    for row in found[:limit]:
        click.echo(json.dumps(_as_json(row), ensure_ascii=False) if format == "json" else "\n".join(_block(row)))
    if len(found) > limit:
        click.echo(f"{len(found) - limit} more: narrow it with --provider and --model, or raise --limit", err=True)
    if not found:
        click.echo("nothing matches; `rates --provider NAME` lists what a provider has", err=True)
    ctx.exit(0 if any(row.rate for row in found) else 1)


@rates.command(short_help="Validate rate cards and contracts.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """
    Validate rate cards and contracts: exit 0, or 1 with file and line of each first error.

    \b
    Examples:
      otel-llmcost rates check contract.yaml
      otel-llmcost rates check prices/*.yaml
    """
    from otel_llmcost.pricing.reading import read_card

    failed = False
    for file in files:
        try:
            card = read_card(file)
        except RateCardError as error:
            failed = True
            click.echo(str(error), err=True)
        else:
            click.echo(
                f"{file}: ok, {card.source} {card.version}, {_counted(len(card.rates), 'rate')}, "
                f"{_counted(len(card.factors), 'discount or uplift', 'discounts and uplifts')}"
            )
    ctx.exit(int(failed))


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _as_json(row: RateRow) -> dict[str, object]:
    known = {"provider": row.provider, "model": row.model, "context": row.context}
    if row.rate is None:
        return {**known, "rate_id": None, "reason": row.reason, "detail": row.detail}
    rate = row.rate
    return {
        **known,
        "match_rule": row.match_rule,
        "rate_id": rate.rate_id,
        "source": rate.source,
        "version": rate.version,
        "effective_from": rate.effective_from,
        "effective_to": rate.effective_to,
        "content": dict(rate.content),
    }


def _block(row: RateRow) -> Iterator[str]:
    yield f"{row.provider} {row.model} ({row.context})"
    if row.rate is None:
        yield from _wrapped(f"unpriced: {row.reason}. {row.detail}")
        yield ""
        return
    content: Any = row.rate.content
    yield from _prices(content["prices"], "")
    for tier in content.get("tiers", ()):
        yield from _prices(tier["prices"], f"above {tier['above_total_input_tokens']:,} input tokens: ")
    for adjustment in content.get("adjustments", ()):
        yield f"  times {adjustment['factor']} on {adjustment['counts']}: {adjustment['name']}"
    if content.get("hours"):
        yield f"  hours: {content['hours']}"
    until = f" until {row.rate.effective_to}" if row.rate.effective_to else ""
    yield from _wrapped(f"{row.rate.source} {row.rate.version}, since {row.rate.effective_from or 'launch'}{until}")
    yield from _wrapped(f"{row.rate.rate_id} (match: {row.match_rule})")
    if content.get("source"):
        yield f"  {content['source']}"
    if content.get("note"):
        yield from _wrapped(content["note"])
    yield ""


def _wrapped(text: str) -> list[str]:
    width = min(terminal_width() or _WIDEST, _WIDEST)
    return wrap(
        text, width, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _prices(prices: dict[str, str], label: str) -> Iterator[str]:
    tokens = [f"{name.removesuffix('_tokens')} {text}" for name, text in prices.items() if name.endswith("_tokens")]
    calls = [f"{name.removesuffix('_calls')} {text}" for name, text in prices.items() if name in _CALLS]
    for words, unit in ((tokens, "USD per 1M tokens"), (calls, "USD per call")):
        if words:
            yield from _wrapped(f"{label}{', '.join(words)} {unit}")
    if "request" in prices:
        yield f"  {label}request {prices['request']} USD per request"
