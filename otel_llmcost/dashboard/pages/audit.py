"""
A pasted trace or response, priced: each request once, every count of it, and what could not be known. Nothing is stored.

The same code as `otel-llmcost audit`, which is for larger files.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from otel_llmcost.audit import Audit, AuditedRequest, Defaults
from otel_llmcost.audit import audit as run_audit
from otel_llmcost.audit.sentences import REASONS, Hints, facts, why
from otel_llmcost.dashboard.page import Asked, Page
from otel_llmcost.dashboard.pages.request import arithmetic_table
from otel_llmcost.dashboard.tables import Column, Row, Table
from otel_llmcost.dashboard.wording import Money
from otel_llmcost.errors import ReportError
from otel_llmcost.model import Priced, Usage
from otel_llmcost.pricing import arithmetic

__all__ = ["FORM_BYTES", "build"]

_MOST_BYTES: Final = 8 << 20
FORM_BYTES: Final = 3 * _MOST_BYTES + 4096
"""A form writes one byte as three at most."""
_SHOWN_AGAIN: Final = 64 << 10
"""Characters: what is longer is not sent back."""
_ROWS: Final = 200
_WORKED_OUT: Final = 20
_LONGEST_NAME: Final = 80
_HINTS: Final = Hints(time="the time of this page", model="the field Model", problems="below")
EXAMPLE: Final = """{
  "id": "chatcmpl-example",
  "object": "chat.completion",
  "created": 1793534400,
  "model": "gpt-5.4-mini-2026-03-17",
  "usage": {
    "prompt_tokens": 10000,
    "prompt_tokens_details": {"cached_tokens": 2000},
    "completion_tokens": 1200
  }
}
"""


@dataclass(frozen=True, slots=True)
class Worked:
    """One request worked out: its table, or why there is none."""

    title: str
    table: str
    why: str


def build(asked: Asked) -> Page:
    """Build the form, and below it the audit of what it sent."""
    sent = {name: asked.parts.get(name, "") for name in ("text", "provider", "model")}
    is_example = not asked.parts and asked.view.word("example", ("0", "1"), "0") == "1"
    form = {
        "shown": EXAMPLE if is_example else sent["text"] if len(sent["text"]) <= _SHOWN_AGAIN else "",
        "provider": sent["provider"][:_LONGEST_NAME],
        "model": sent["model"][:_LONGEST_NAME],
        "most": f"{_MOST_BYTES >> 20} MiB",
        "facts": (),
        "worked": (),
        "more": 0,
        "is_audited": False,
    }
    if not sent["text"].strip():
        return Page(title="Audit", template="audit.html", context=form)
    found = _audit(asked, sent)
    worked = tuple(_worked(each) for each in found.requests[:_WORKED_OUT])
    form |= {
        "is_audited": True,
        "facts": tuple(facts(found, _HINTS)),
        "worked": tuple(each for each, _ in worked),
        "more": max(0, len(found.requests) - _WORKED_OUT),
    }
    tables = (*_tables(found), *(table for _, table in worked if table))
    return Page(title="Audit", template="audit.html", context=form, tables=tables)


def _audit(asked: Asked, sent: dict[str, str]) -> Audit:
    data = sent["text"].encode("utf-8", "replace")
    if len(data) > _MOST_BYTES:
        raise ReportError(
            f"that is more than {_MOST_BYTES >> 20} MiB: `otel-llmcost audit FILE` takes files of any size"
        )
    pricer = asked.house.pricer()
    pricer.wait()
    defaults = Defaults(
        at_unix_ns=int(asked.now.timestamp()) * 10**9, provider=sent["provider"].strip(), model=sent["model"].strip()
    )
    return run_audit([("line", io.BytesIO(data))], pricer=pricer, settings=asked.house.settings, defaults=defaults)


def _worked(each: AuditedRequest) -> tuple[Worked, Table | None]:
    row, price = each.row, each.request.price
    names = " ".join(_short(row[name]) for name in ("provider", "model", "operation") if row[name])
    title, name = f"#{each.number} {names}", f"request-{each.number}"
    if not isinstance(price, Priced) or each.cost_usd is None:
        return Worked(title, "", why(each, _HINTS)), None
    since = f"since {price.rate.effective_from}" if price.rate.effective_from else "since launch"
    source = str(price.rate.content.get("source") or "")
    rate = ", ".join(filter(None, (f"{price.rate.source} {price.rate.version}", since, source)))
    lines = arithmetic(price.rate.content, each.request.call.usage or Usage())
    return Worked(title, name, ""), arithmetic_table(
        lines, _money(each), name=name, title=title, note=rate, has_csv=False
    )


def _tables(found: Audit) -> Iterator[Table]:
    columns = (
        Column("#", "number", "count"),
        Column("Time (UTC)", "timestamp", "instant", keep=3),
        Column("Provider", "provider", keep=4),
        Column("Model", "model"),
        Column("Fresh in", "input_tokens", "count", keep=4),
        Column("Cached", "cached_input_tokens", "count", keep=3),
        Column("Written", "cache_write_tokens", "count", keep=3),
        Column("Out", "output_tokens", "count", keep=4),
        Column("Status", "status", "status", keep=4),
        Column("Cost", "cost_usd", "exact"),
        Column("Response", "response_id", "id", keep=2),
    )
    totals = found.totals
    total = Money(totals.cost_usd, totals.is_lower_bound)
    if found.requests:
        yield Table(
            name="requests",
            title="Requests, each once",
            columns=columns,
            rows=[_request(each) for each in found.requests[:_ROWS]],
            total=(None, None, None, "Total", *((None,) * 5), total, None),
            note=_first(len(found.requests)),
            has_csv=False,
        )
    if found.duplicates:
        yield Table(
            name="duplicates",
            title="Not charged again",
            columns=(
                Column("Span", "span_id", "id"),
                Column("Charged as", "of_span_id", "id"),
                Column("Why", "reason"),
            ),
            rows=[
                (each.span[1], each.of[1] if each.of else "not in this text", REASONS.get(each.reason, each.reason))
                for each in found.duplicates[:_ROWS]
            ],
            note=_first(len(found.duplicates)),
            has_csv=False,
        )
    if found.problems:
        yield Table(
            name="problems",
            title="Could not be read",
            columns=(Column("Line", "line", "count"), Column("Problem", "text")),
            rows=[(each.line, _short(each.text, 400)) for each in found.problems[:_ROWS]],
            note=_first(len(found.problems)),
            has_csv=False,
        )


def _request(each: AuditedRequest) -> Row:
    row = each.row
    written = [row[name] for name in ("cache_write_tokens", "cache_write_1h_tokens", "cache_write_12h_tokens")]
    known = [count for count in written if isinstance(count, int)]
    return (
        each.number,
        datetime.fromisoformat(str(row["timestamp"])),
        _short(row["provider"]),
        _short(row["model"]),
        *(_count(row[name]) for name in ("input_tokens", "cached_input_tokens")),
        sum(known) if known else None,
        _count(row["output_tokens"]),
        str(row["status"] or "success"),
        _money(each),
        _short(row["response_id"]),
    )


def _money(each: AuditedRequest) -> Money:
    return Money(each.cost_usd, each.cost_status == "partial", is_unit=True)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _short(value: object, longest: int = _LONGEST_NAME) -> str:
    """Cut a name that somebody pasted, so that it cannot push the rest off the page."""
    text = str(value or "")
    return text if len(text) <= longest else f"{text[:longest]}…"


def _first(rows: int) -> str:
    return f"the first {_ROWS} of {rows:,}" if rows > _ROWS else ""
