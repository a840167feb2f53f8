"""
What each business action costs, and what it earns: the unit economics of features that call models.

Costs are exact and sum to `spend`. Executions are an estimate within about 1 %, because the rollup keeps a sketch of
their ids, which only grows: a correction lowers costs exactly, and not this count. Values are those that were recorded
in `llm_outcomes`; where nobody recorded one there is none, and no margin, because nothing is not zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, cast

from otel_llmcost.ledger import Answers
from otel_llmcost.model import EXACT, NONE
from otel_llmcost.reports.daily import Daily
from otel_llmcost.reports.dimensions import column_of, filter_parameters
from otel_llmcost.reports.money import ratio, sum_usd
from otel_llmcost.reports.period import Period

__all__ = ["ActionCost", "MarginReport", "Value", "margin"]

_ROLLUP_HAS: Final = frozenset({"action", "team", "feature", "environment"})
_MEASURES: Final = ("requests", "partial_requests", "unpriced_requests", "actions", "cost_usd")
_VALUES_HAVE: Final = frozenset({"action", "customer_id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What executions were recorded to be worth."""

    outcomes: int
    """How many were recorded; fewer than executions where only some are."""
    value_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCost:
    """What one business action cost in some time, and was worth."""

    requests: int = 0
    partial_requests: int = 0
    unpriced_requests: int = 0
    actions: int = 0
    """How many executions there were, estimated; 0 where no request says which one it was for."""
    cost_usd: Decimal = Decimal(0)
    value: Value | None = None
    """None where nobody recorded any."""

    @property
    def is_lower_bound(self) -> bool:
        """Whether the true cost may be higher, and so the true margin lower."""
        return self.partial_requests > 0 or self.unpriced_requests > 0

    @property
    def unit(self) -> Literal["action", "request"]:
        """What `unit_cost_usd` is the cost of: an execution where they are known, else a request."""
        return "action" if self.actions else "request"

    @property
    def unit_cost_usd(self) -> Decimal | None:
        """The cost of one unit, to 12 decimals; None of nothing. An estimate where the unit is an action."""
        return ratio(self.cost_usd, self.actions or self.requests)

    @property
    def margin_usd(self) -> Decimal | None:
        """Recorded value less cost; None where no value was recorded."""
        return None if self.value is None else EXACT.subtract(self.value.value_usd, self.cost_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginReport:
    """
    Business actions of a period, most costly first. The rows sum to `total`, and its cost and requests to `spend`.

    The key of a row is the action, or `(none)` for requests that belong to none. An execution over midnight is in two
    days, and once in the whole.
    """

    period: Period
    where: Mapping[str, str]
    rows: tuple[Daily[ActionCost], ...]
    has_values: bool
    """False where a filter was asked for that values do not have: then every `value` is None, whatever was recorded."""
    source: str
    """The table that answered."""

    @property
    def total(self) -> ActionCost:
        """All actions together, those without a value included: see `valued` for the margin."""
        return _sum(row.whole for row in self.rows)

    @property
    def named(self) -> ActionCost:
        """All that belongs to an action, together."""
        return _sum(row.whole for row in self.rows if row.key != NONE)

    @property
    def valued(self) -> ActionCost:
        """The actions that have a value: the only ones whose costs may be set against values."""
        return _sum(row.whole for row in self.rows if row.whole.value is not None)


def margin(ledger: Answers, *, period: Period, where: Mapping[str, str] | None = None) -> MarginReport:
    """
    Give what each business action cost, and was worth, in `period`.

    Values know an action and a customer, and no team or model: filtered by those, costs are given without values.
    Raises `ReportError` for a filter that does not exist, and `LedgerError`.
    """
    filters = where or {}
    columns = {column_of(name): value for name, value in filters.items()}
    is_rolled_up = _ROLLUP_HAS.issuperset(columns)
    bound = {"since": period.since, "until": period.until, **filter_parameters(filters)}
    found = ledger.query("margin" if is_rolled_up else "margin_by_request", bound)
    has_values = _VALUES_HAVE.issuperset(columns)
    values = _values(ledger, period, columns) if has_values else {}
    return MarginReport(
        period=period,
        where=dict(filters),
        rows=_rows(found, values),
        has_values=has_values,
        source="spend_by_action_day" if is_rolled_up else "llm_charges",
    )


def _values(ledger: Answers, period: Period, columns: Mapping[str, str]) -> dict[str, dict[date, Value]]:
    """Give the values by action and day; `columns` are filters."""
    bound = {"since": period.since, "until": period.until, **{name: columns.get(name) for name in _VALUES_HAVE}}
    values: dict[str, dict[date, Value]] = {}
    for row in cast("list[dict[str, Any]]", ledger.query("margin_values", bound)):
        value = Value(outcomes=row["outcomes"], value_usd=row["value_usd"])
        values.setdefault(row["action"], {})[row["day"]] = value
    return values


def _rows(
    found: Iterable[Mapping[str, object]], values: Mapping[str, Mapping[date, Value]]
) -> tuple[Daily[ActionCost], ...]:
    wholes: dict[str, ActionCost] = {}
    days: dict[str, dict[date, ActionCost]] = {}
    for row in cast("Iterable[Mapping[str, Any]]", found):
        cost = ActionCost(**{name: row[name] for name in _MEASURES})
        if row["is_whole"]:
            wholes[row["action"]] = cost
        else:
            days.setdefault(row["action"], {})[row["day"]] = cost
    rows = [
        _row(action, wholes.get(action, ActionCost()), days.get(action, {}), values.get(action, {}))
        for action in wholes.keys() | values.keys()
    ]
    return tuple(sorted(filter(_is_there, rows), key=lambda row: (row.whole.cost_usd.copy_negate(), row.key)))


def _row(
    action: str, whole: ActionCost, costs: Mapping[date, ActionCost], values: Mapping[date, Value]
) -> Daily[ActionCost]:
    return Daily(
        key=action,
        whole=replace(whole, value=_sum_values(values.values())),
        days=tuple(
            (day, replace(costs.get(day, ActionCost()), value=values.get(day)))
            for day in sorted(costs.keys() | values.keys())
        ),
    )


def _is_there(row: Daily[ActionCost]) -> bool:
    """Tell whether anything is left of an action after its corrections."""
    return bool(row.whole.requests or row.whole.cost_usd or row.whole.value)


def _sum(costs: Iterable[ActionCost]) -> ActionCost:
    each = tuple(costs)
    return ActionCost(
        requests=sum(one.requests for one in each),
        partial_requests=sum(one.partial_requests for one in each),
        unpriced_requests=sum(one.unpriced_requests for one in each),
        actions=sum(one.actions for one in each),
        cost_usd=sum_usd(one.cost_usd for one in each),
        value=_sum_values(one.value for one in each if one.value is not None),
    )


def _sum_values(values: Iterable[Value]) -> Value | None:
    each = tuple(values)
    if not each:
        return None
    return Value(outcomes=sum(one.outcomes for one in each), value_usd=sum_usd(one.value_usd for one in each))
