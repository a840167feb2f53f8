"""The table of models without a whole price, which stands on more than one page."""

from __future__ import annotations

from collections.abc import Sequence

from otel_llmcost.dashboard.tables import Column, Link, Row, Table
from otel_llmcost.dashboard.view import View
from otel_llmcost.reports.gaps import UnpricedRow

__all__ = ["unpriced_table"]


def unpriced_table(view: View, found: Sequence[UnpricedRow]) -> Table:
    """List the models, with the requests and the tokens that no sum of money has."""
    columns = (
        Column("Model", "model", "name"),
        Column("Provider", "provider", keep=3),
        Column("Tier", "tier", keep=3),
        Column("Price", "price_status", "status", keep=4),
        Column("Reason", "reason", "id", keep=4),
        Column("No rate for", "missing_rates", keep=4),
        Column("Requests", "requests", "count"),
        Column("Tokens", "tokens", "count"),
    )
    return Table(
        name="models",
        title="Models without a whole price",
        columns=columns,
        rows=[_row(view, row) for row in found],
        total=("Total", *[None] * 5, sum(row.requests for row in found), sum(row.tokens for row in found)),
        note="what to do about it, above, has a rate card for each",
        empty="Every model of this period has a price.",
    )


def _row(view: View, row: UnpricedRow) -> Row:
    these = {"model": row.model, "provider": row.provider, "price_status": row.price_status, "reason": row.reason}
    return (
        Link(row.model or "(no model)", view.link("/requests", **these)),
        row.provider,
        ", ".join(filter(None, (row.service_tier, "batch" if row.batch else "", row.speed))),
        row.price_status,
        row.reason,
        ", ".join(row.missing_rates),
        row.requests,
        row.tokens,
    )
