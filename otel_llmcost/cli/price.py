"""`otel-llmcost price`: one request from flags with its arithmetic, or JSON lines from standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from otel_llmcost.cli._options import table_or_json
from otel_llmcost.cli._output import Column, print_facts, print_table, print_text
from otel_llmcost.model import COUNTS, Price, Priced, Unpriced, Usage, picousd_text
from otel_llmcost.pricing import Pricer
from otel_llmcost.pricing.arithmetic import Line, arithmetic
from otel_llmcost.pricing.instants import read_instant
from otel_llmcost.pricing.json_lines import MAX_LINE_BYTES, as_json, as_text, price_lines
from otel_llmcost.settings import Settings

__all__ = ["price"]

_F = TypeVar("_F", bound=Callable[..., Any])


def _flag(count: str) -> str:
    return "--" + count.removesuffix("_tokens").removesuffix("_calls").replace("_", "-")


def _counts(command: _F) -> _F:
    """Add one option per count: `--cached-input` for `cached_input_tokens`."""
    for count in reversed(COUNTS):
        command = click.option(_flag(count), count, metavar="N", type=click.IntRange(0), help=f"{count}.")(command)
    return command


def _moment(_ctx: click.Context, _param: click.Parameter, text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        return read_instant(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _attributes(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise click.BadParameter(f"{wrong[0]!r}: write KEY=VALUE, as in server.address=eu.api.openai.com")
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}


@click.command(
    epilog="A date is its midnight in UTC; a time needs its offset. Every price is a list price unless a rate card says otherwise."
)
@click.argument("source", required=False, type=click.Choice(["-"]))
@click.option("--provider", help="As your spans write it: openai, anthropic, aws.bedrock, …")
@click.option("--model", help="The model that answered.")
@_counts
@click.option(
    "--at",
    callback=_moment,
    metavar="TIME",
    help="When the request started: 2026-11-01 (midnight UTC) or 2026-11-01T12:00:00Z. Default: now.",
)
@click.option("--service-tier", help="The tier that served it: flex, priority, …")
@click.option("--batch", is_flag=True, help="It went through a batch API.")
@click.option("--speed", help="fast, where the provider sells it.")
@click.option("--region", help="Processing region, where it changes the price: eu, us.")
@click.option("--attribute", "attributes", multiple=True, callback=_attributes, metavar="KEY=VALUE",
              help="A span attribute that changes the price. Repeatable.")  # fmt: skip
@click.option("--rate-card", "cards", multiple=True, type=click.Path(path_type=Path),
              help="Your rate card or contract (YAML). Repeatable; later wins.")  # fmt: skip
@table_or_json
@click.pass_context
def price(ctx: click.Context, /, source: str | None, cards: tuple[Path, ...], format: str, **request: Any) -> None:
    """
    Price one request from flags, or JSON lines from standard input (`price -`).

    \b
    Examples:
      otel-llmcost price --provider openai --model gpt-5.4-mini --input 8000 --output 1200
      otel-llmcost price --provider anthropic --model claude-opus-5 --cache-write-1h 2000 --at 2026-07-28
      otel-llmcost price - < requests.jsonl
    """
    pricer = Pricer.from_files([*Settings.from_env().rate_cards, *cards])
    pricer.wait()
    if source == "-":
        ctx.exit(_stream(pricer, click.open_file("-", "rb")))
    if not request["provider"] or not request["model"]:
        raise click.UsageError("name the --provider and the --model, or give JSON lines with `price -`")
    usage = Usage(**{count: request.pop(count) for count in COUNTS})
    answer = pricer.price(usage=usage, **request)
    if format == "json":
        click.echo(as_text(as_json(answer, usage)))
    else:
        _show(answer, usage)
    ctx.exit(1 if isinstance(answer, Unpriced) else 0)


def _stream(pricer: Pricer, stream: IO[bytes]) -> int:
    failed = False
    for answer in price_lines(pricer, _lines(stream)):
        failed |= "error" in answer
        click.echo(as_text(answer))
    return int(failed)


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Give the lines, each cut just above the size that is refused, so that one line cannot fill the memory."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        whole = line
        while not whole.endswith(b"\n") and (whole := stream.readline(MAX_LINE_BYTES + 1)):
            pass
        yield line


def _show(answer: Price, usage: Usage) -> None:
    if isinstance(answer, Unpriced):
        print_text(f"unpriced: {answer.reason}")
        print_text(answer.detail)
        return
    lines = arithmetic(answer.rate.content, usage)
    total = picousd_text(answer.cost_picousd)
    at_least = "at least " if answer.status == "partial" else ""
    columns = [
        Column("count", whole=True), Column("quantity", right=True), Column("USD", right=True, keep=3), Column("unit", keep=3),
    ]  # fmt: skip
    rows = [*map(_row, lines), ("total", "", "", "", at_least + total)]
    print_table([*columns, Column("subtotal USD", right=True)], rows)
    click.echo("")
    print_facts([(label.ljust(6), text) for label, text in _facts(answer, lines)])


def _row(line: Line) -> tuple[str, str, str, str, str]:
    cost = "unknown" if line.cost_usd is None else format(line.cost_usd, "f")
    return line.count, f"{line.quantity:,}", line.unit_price or "no rate", line.unit if line.unit_price else "", cost


def _facts(answer: Priced, lines: list[Line]) -> Iterator[tuple[str, str]]:
    content: Any = answer.rate.content
    yield "rate", f"{answer.rate.rate_id} ({answer.match_rule})"
    since = answer.rate.effective_from or "launch"
    yield "from", f"{answer.rate.source} {answer.rate.version}, since {since}"
    if content.get("source"):
        checked = f", checked {content['checked']}" if content.get("checked") else ""
        yield "source", f"{content['source']}{checked}"
    if lines and lines[0].tier is not None:
        yield "tier", f"above {lines[0].tier:,} input tokens"
    for key, value in content.get("context", {}).items():
        yield "context", f"{key}={value}"
    for adjustment in content.get("adjustments", ()):
        yield "factor", f"{adjustment['factor']} on {adjustment['counts']}: {adjustment['name']}"
    if content.get("note"):
        yield "note", content["note"]
    if answer.list_cost_picousd != answer.cost_picousd:
        yield "list", f"{picousd_text(answer.list_cost_picousd)} USD before your contract"
    if answer.missing_rates:
        yield "partial", f"{answer.reason}: no rate for {', '.join(answer.missing_rates)}"
    elif answer.reason == "output_unknown":
        yield "partial", "output_unknown: there was reasoning, but not the output that contains it"
