"""
The oracle of every fault test: what the ledger holds, span by span and in whole picodollars, beside what it should.

It asks in SQL of its own and over HTTP of its own, and adds up in Python's integers: nothing of the product judges the
product. It sums and groups, so that it may be asked at any moment, also while parts are being merged.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import Request, urlopen

__all__ = ["ROLLUPS", "Ask", "Audit", "audit", "over_http"]

ROLLUPS = ("spend_by_hour", "spend_by_customer_day", "spend_by_action_day")
Ask = Callable[[str], list[list[str]]]
"""Runs a SELECT, gives its rows as text."""

_SPANS = """
SELECT span_id, sum(rows), sum(sign), sum(usd) FROM
(
    SELECT span_id, 1 AS rows, 1 AS sign, ifNull(cost_usd, 0) AS usd FROM llm_requests
    UNION ALL
    SELECT span_id, 0 AS rows, sign, sign * ifNull(cost_usd, 0) AS usd FROM llm_adjustments
)
GROUP BY span_id
"""
_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What is wrong with a ledger; `Audit()` if nothing is."""

    lost: int = 0
    """Spans that should be charged and are not."""
    doubled: int = 0
    """Spans with more than one row, or charged more than once."""
    ghosts: int = 0
    """Spans that are charged and should not be."""
    mispriced: int = 0
    """Spans that are charged once, at another cost."""
    rows_minus_want: int = 0
    """Picodollars of rows and adjustments, less what they should be."""
    rollups_minus_want: tuple[tuple[str, int, int], ...] = ()
    """The rollups that are off, with their requests and picodollars less what they should be."""


def audit(ask: Ask, want: Mapping[str, int], *, possible: Mapping[str, int] | None = None) -> Audit:
    """
    Compare a ledger with the picodollars of each span, by its id in hex.

    `possible` names spans that may be there or not: they ended, but their process was killed before it could say so.
    """
    charged = {span: (int(rows), int(signs), _picodollars(usd)) for span, rows, signs, usd in ask(_SPANS)}
    there = {span: cost for span, cost in (possible or {}).items() if charged.get(span, (0, 0, 0))[1]}
    all_wanted = {**want, **there}
    nothing = (0, 0, 0)
    found = [(charged.get(span, nothing), cost) for span, cost in all_wanted.items()]
    cost, requests = sum(all_wanted.values()), len(all_wanted)
    return Audit(
        lost=sum(signs < 1 for (_, signs, _), _ in found),
        doubled=sum(rows > 1 or signs > 1 for rows, signs, _ in charged.values()),
        ghosts=sum(signs != 0 for span, (_, signs, _) in charged.items() if span not in all_wanted),
        mispriced=sum(signs == 1 and paid != cost for (_, signs, paid), cost in found),
        rows_minus_want=sum(paid for _, _, paid in charged.values()) - cost,
        rollups_minus_want=tuple(_off(ask, requests, cost)),
    )


def _off(ask: Ask, requests: int, cost: int) -> Iterable[tuple[str, int, int]]:
    for rollup in ROLLUPS:
        [[counted, usd]] = ask(f"SELECT sum(requests), sum(cost_usd) FROM {rollup}")  # noqa: S608  # a name of ours
        if (int(counted), _picodollars(usd)) != (requests, cost):
            yield rollup, int(counted) - requests, _picodollars(usd) - cost


def _picodollars(usd: str) -> int:
    return int(Decimal(usd).scaleb(12, _EXACT))


def over_http(dsn: str) -> Ask:
    """Ask a server; raises `OSError` if the answer is not 200."""
    place = urlsplit(dsn)
    user = f"{unquote(place.username or '')}:{unquote(place.password or '')}"
    url = f"http://{place.hostname}:{place.port}/?{urlencode({'database': place.path.strip('/')})}"
    headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}

    def ask(sql: str) -> list[list[str]]:
        with urlopen(Request(url, f"{sql} FORMAT TSV".encode(), headers, method="POST"), timeout=60) as answer:
            return [line.split("\t") for line in answer.read().decode().splitlines()]

    return ask
