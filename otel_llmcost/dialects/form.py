"""
One form for every emitter: under which attributes it writes what a call is, and the one way to read them into a call.

Emitters differ in names and in what they leave out, not in what a call is. So a dialect is a `Form` (names) and rows of
`EMITTERS` (what its totals mean and hide); only those that write JSON or need a rule of their own have code.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from otel_llmcost.dialects.callsite import (
    CONVENTION_NAMES,
    COST_SOURCE,
    OPENAI_LIFETIME,
    RESENDS,
    Form,
    Kind,
    Known,
    Shape,
    Site,
    hidden,
    id_family,
    shape_of,
    site_of,
)
from otel_llmcost.dialects.emitters import Emitter
from otel_llmcost.dialects.provider_usage import ProviderUsage
from otel_llmcost.dialects.reading import disjoint, read_decimal, read_status, read_text, read_totals
from otel_llmcost.model import Attributes, ModelCall, SpanView, Usage, changer

__all__ = ["CONVENTION_NAMES", "Form", "Kind", "build"]

_SUCCESS: Final[tuple[Literal["success"], str]] = ("success", "")
_completed: Final = changer(
    ModelCall,
    "response_id",
    "usage",
    "invalid_usage",
    "usage_convention",
    "usage_gaps",
    "status",
    "error_type",
    "provider_cost_usd",
    "resend_count",
)


_Count: TypeAlias = tuple[Usage | None, str, tuple[str, ...], tuple[str, ...]]
"""Usage, what the input total meant, counts that are none, and gaps."""


def build(
    span: SpanView,
    form: Form,
    *,
    kind: Kind,
    operation: str,
    raw: ProviderUsage | None = None,
    provider: str = "",
    exclusive: bool = False,
) -> ModelCall:
    """
    Read a span that is known to show a call.

    Args:
        kind: what the call is to a bill.
        raw: the provider's own usage, where the span carries it: exact, so that no other name is read for counts.
        provider: who bills, where the dialect knows it better than the span's attributes.
        exclusive: input leaves cached tokens out, where the span tells it and not its emitter's row.
    """
    attributes = span.attributes
    shape = shape_of(form, attributes)
    response_id = (raw.response_id if raw else "") or read_text(attributes, *form.response_id)
    family = id_family(response_id)
    told = (provider or raw.provider, raw.model, raw.service_tier, family) if raw else (provider, "", "", family)
    site = site_of(span, form, shape, (kind, operation), told)
    status, error_type = read_status(span) if shape.has_error or span.status_code == "error" else _SUCCESS
    count = _count_raw(raw, site.known) if raw else None
    usage, convention, invalid, gaps = count or _count(span, shape, site, exclusive)
    if status != "success" and usage is not None and not any(usage.counts):
        usage = None  # some write zeros on failed calls; nobody counted anything
    call = _completed(
        site.call,
        response_id=response_id,
        usage=usage,
        invalid_usage=invalid,
        usage_convention=convention if usage is not None else "",
        usage_gaps=_span_gaps(usage, convention, gaps, site),
        status=status,
        error_type=error_type,
        provider_cost_usd=_reported_cost(attributes, form, raw) if raw or shape.has_cost else None,
        resend_count=_resends(attributes) if shape.has_resends else 0,
    )
    return replace(call, speed=raw.speed, region=raw.region) if raw and (raw.speed or raw.region) else call


def _count_raw(raw: ProviderUsage, known: Known) -> _Count | None:
    if not raw.usage and not raw.invalid_usage:
        return None
    return raw.usage, "raw", raw.invalid_usage, tuple(gap for gap in raw.gaps if gap in known.billed)


def _count(span: SpanView, shape: Shape, site: Site, exclusive: bool) -> _Count:
    totals, invalid = read_totals(span.attributes, shape.totals)
    known = site.known
    row = known.row
    if row.counted and _streamed(span) and row.counted not in span.attributes:
        totals = {}  # the emitter's own guess: nobody reported usage
    if known.mended:
        _mend(totals, row)
        gaps = hidden(known, totals)
    else:
        gaps = site.gaps_of_whole if len(totals) == len(shape.totals) else hidden(known, totals)
    if row.finish and totals and span.status_code != "error" and row.finish not in span.attributes:
        gaps += ("output",)
    usage, convention, impossible = disjoint(totals, exclusive=exclusive or row.exclusive)
    return usage if totals else None, convention, invalid + impossible, gaps


def _mend(totals: dict[str, int], known: Emitter) -> None:
    for total in known.false_zeros:
        if totals.get(total) == 0:
            del totals[total]
    if known.thoughts == "beside" and "reasoning" in totals:
        totals["thoughts"] = totals.pop("reasoning")
    elif known.thoughts == "total" and "output" in totals and "reasoning" not in totals:
        rest = totals.get("all", 0) - totals.get("input", 0) - totals["output"]
        if rest > 0:
            totals["thoughts"] = rest


def _streamed(span: SpanView) -> bool:
    return span.attributes.get("gen_ai.request.stream") is True


def _span_gaps(usage: Usage | None, convention: str, gaps: tuple[str, ...], site: Site) -> tuple[str, ...]:
    """Give what this one span hides, beyond what its emitter always does."""
    known = site.known
    if site.call.service_tier and "service_tier" in gaps:
        gaps = tuple(gap for gap in gaps if gap != "service_tier")
    extra: tuple[str, ...] = ()
    if usage is not None:
        if usage.cache_write_tokens and known.lifetime and getattr(usage, known.lifetime) is None:
            # OpenAI's own usage leaves the split out where there is only the default; a copy of it leaves it out always.
            extra = () if convention == "raw" and known.lifetime == OPENAI_LIFETIME else ("cache_write_ttl",)
        if usage.output_tokens is None and usage.input_tokens is not None and site.call.operation != "embeddings":
            extra += ("output",)  # an abandoned stream: what was billed for its answer is not known
    if not extra and not site.gaps:
        return gaps
    return gaps + tuple(gap for gap in (*extra, *site.gaps) if gap in known.billed and gap not in gaps)


def _reported_cost(attributes: Attributes, form: Form, raw: ProviderUsage | None) -> Decimal | None:
    if raw and raw.provider_cost_usd is not None:
        return raw.provider_cost_usd
    # semantic-conventions-genai#443: only source=provider is the provider's own amount, and only dollars are ours.
    if COST_SOURCE in attributes:
        given = read_text(attributes, COST_SOURCE), read_text(attributes, "gen_ai.usage.cost.currency")
        if given in (("provider", ""), ("provider", "USD")):
            return read_decimal(attributes, "gen_ai.usage.cost.amount")
    return read_decimal(attributes, *form.cost) or None


def _resends(attributes: Attributes) -> int:
    count = attributes.get(RESENDS)
    return count if type(count) is int and 0 < count < 2**16 else 0
