"""
What this process did, as OpenTelemetry metrics of the application's own MeterProvider: our counters, the journal's
size and age, and the cost and tokens of what was shipped.

Everything is summed in integers and read when a reader collects, so that no span pays for it: cost is added once per
batch that the ledger has acknowledged, in picodollars, and becomes a float when it is read. The ledger is exact; these
are for alerts. Limits: a process that dies between an acknowledgement and the next collection takes that batch's cost with
it; one that died before the acknowledgement may have a batch acknowledged, and added, again; an embedded ledger is shipped by its owner, so its cost is reported there. A sum never falls, as a counter must not:
what adjustments take back is made up for by later charges of the same attributes, and lost when the process ends.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import orjson
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation, get_meter, get_meter_provider

from otel_llmcost.counters import COUNTERS
from otel_llmcost.fence import fenced
from otel_llmcost.journal import Backlog, backlog
from otel_llmcost.model import EXACT, PICO, TOKEN_COUNTS

__all__ = ["COST", "TOKENS", "Metrics", "process_metrics"]

COST: Final = "gen_ai.client.operation.cost"
TOKENS: Final = "otel_llmcost.tokens"
_MAX_SETS: Final = 1500
"""Distinct attribute sets of one metric; OpenTelemetry's SDK keeps 2000."""
_OVERFLOW: Final = {"otel.metric.overflow": True}
"""https://opentelemetry.io/docs/specs/otel/metrics/sdk/#overflow-attribute"""
_TABLES: Final = ("llm_requests", "llm_adjustments")

_OWNED: Final = {
    "service_name": "service.name",
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.response.model",
    "team": "llmcost.team",
}
_COST_COLUMNS: Final = (*_OWNED, "feature", "price_status")
_COST_ATTRIBUTES: Final = (*_OWNED.values(), "llmcost.feature", "llmcost.price_status")
_TOKEN_ATTRIBUTES: Final = (*_OWNED.values(), "gen_ai.token.type")
_TOKEN_TYPES: Final = {column: column.removesuffix("_tokens") for column in TOKEN_COUNTS}
_PLACES: Final = {column: place for place, column in enumerate(_TOKEN_TYPES)}

Values: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Counted:
    """A counter of ours as a metric; `counter` ends with a dot where the rest of its name is an attribute's value."""

    counter: str
    metric: str
    unit: str
    description: str
    attribute: str = ""


_COUNTED: Final = (
    _Counted("requests.", "otel_llmcost.requests", "{request}", "Requests charged.", "llmcost.price_status"),
    _Counted("exporter.rows_refused", "otel_llmcost.rows.refused", "{row}", "Rows that no journal took: lost."),
    _Counted("shipper.rows", "otel_llmcost.rows.shipped", "{row}", "Rows that the ledger acknowledged."),
    _Counted("shipper.refused", "otel_llmcost.rows.quarantined", "{row}", "Rows that the ledger refused."),
    _Counted("shipper.failed", "otel_llmcost.ship.failures", "{attempt}", "Rounds of shipping that will be retried."),
    _Counted("fence.", "otel_llmcost.errors", "{error}", "Errors of ours, kept from your code.", "otel_llmcost.hook"),
)


class Watched(Protocol):
    """A journal whose size and age are reported: an exporter's, until it is closed."""

    journal_dir: Path
    fingerprint: str
    closed: bool


class Metrics:
    """
    Our instruments on one meter provider.

    Args:
        meter_provider: default: the global one, whenever the application sets it.
    """

    def __init__(self, meter_provider: MeterProvider | None = None) -> None:
        self._is_global = meter_provider is None
        self._watched: weakref.WeakSet[Watched] = weakref.WeakSet()
        self.reset()
        self._create(get_meter("otel_llmcost", meter_provider=meter_provider))

    def reset(self) -> None:
        """Begin at 0: at construction, and in a forked child, which has shipped nothing."""
        self._lock = threading.Lock()
        self._cost = _Sums(_COST_ATTRIBUTES)
        self._tokens = _Sums(_TOKEN_ATTRIBUTES)

    def watch(self, journal: Watched) -> None:
        """Report the size and age of an exporter's journal."""
        self._watched.add(journal)

    def add_shipped(self, table: str, payload: bytes) -> None:
        """Add the cost and tokens of lines of JSON that the ledger has acknowledged; nothing while nobody listens."""
        if table not in _TABLES or (self._is_global and _is_silent(get_meter_provider())):
            return
        cost, tokens = _summed(payload)
        with self._lock:
            self._cost.add(cost)
            self._tokens.add(tokens)

    def _create(self, meter: Meter) -> None:
        for counted in _COUNTED:
            observe = partial(_observe_counters, counted)
            meter.create_observable_counter(counted.metric, [_callback(observe)], counted.unit, counted.description)
        cost = "Cost of the requests that were shipped to the ledger."
        meter.create_observable_counter(COST, [_callback(self._observe_cost)], "USD", cost)
        tokens = "Billed tokens of the requests that were shipped to the ledger; the types never overlap."
        meter.create_observable_counter(TOKENS, [_callback(self._observe_tokens)], "{token}", tokens)
        for name, unit, description, read in _GAUGES:
            callback = _callback(partial(self._observe_journals, read))
            meter.create_observable_gauge(name, [callback], unit, description)

    def _observe_cost(self) -> Iterator[Observation]:
        with self._lock:
            shown = self._cost.shown()
        return (Observation(picousd / PICO, attributes) for attributes, picousd in shown)

    def _observe_tokens(self) -> Iterator[Observation]:
        with self._lock:
            shown = self._tokens.shown()
        return (Observation(count, attributes) for attributes, count in shown)

    def _observe_journals(self, read: Callable[[Backlog], float]) -> Iterator[Observation]:
        journals = {(each.fingerprint, each.journal_dir) for each in [*self._watched] if not each.closed}
        for fingerprint, directory in journals:
            yield Observation(read(backlog(directory)), {"otel_llmcost.ledger": fingerprint})


_GAUGES: Final[tuple[tuple[str, str, str, Callable[[Backlog], float]], ...]] = (
    ("otel_llmcost.journal.size", "By", "Bytes that wait in the journal's folder.", lambda found: found.bytes),
    (
        "otel_llmcost.journal.age",
        "s",
        "Since the last write of its oldest segment.",
        lambda found: found.oldest_seconds,
    ),
    ("otel_llmcost.journal.quarantined", "{file}", "Files in its quarantine.", lambda found: found.quarantined),
)


class _Sums:
    """Integers by attribute values, each shown as a sum that never falls. The caller holds a lock."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._sums: dict[Values, int] = {}
        self._shown: dict[Values, int] = {}

    def add(self, changes: Mapping[Values, int]) -> None:
        for values, change in changes.items():
            kept = values if values in self._sums or len(self._sums) < _MAX_SETS else ()
            self._sums[kept] = self._sums.get(kept, 0) + change

    def shown(self) -> list[tuple[Mapping[str, str | bool], int]]:
        for values, total in self._sums.items():
            self._shown[values] = max(total, self._shown.get(values, 0))
        return [(self._attributes(values), shown) for values, shown in self._shown.items()]

    def _attributes(self, values: Values) -> Mapping[str, str | bool]:
        if not values:
            return _OVERFLOW
        return {name: value for name, value in zip(self._names, values, strict=True) if value}


def _callback(observe: Callable[[], Iterable[Observation]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """Give a callback for the reader's thread, with our fence around it."""

    def observed(_options: CallbackOptions) -> Iterable[Observation]:
        return _observed(observe)

    return observed


_NOTHING: Final[tuple[Observation, ...]] = ()


@fenced("metrics", otherwise=_NOTHING)
def _observed(observe: Callable[[], Iterable[Observation]]) -> tuple[Observation, ...]:
    return tuple(observe())


def _observe_counters(counted: _Counted) -> Iterator[Observation]:
    if not counted.attribute:
        yield Observation(COUNTERS[counted.counter])
        return
    for name, count in COUNTERS.snapshot().items():
        if name.startswith(counted.counter):
            yield Observation(count, {counted.attribute: name.removeprefix(counted.counter)})


def _summed(payload: bytes) -> tuple[Counter[Values], Counter[Values]]:
    """Sum the cost in picodollars and the tokens of each type, by attribute values: one look-up for each row."""
    cost: Counter[Values] = Counter()
    counts: defaultdict[Values, list[int]] = defaultdict(lambda: [0] * len(_TOKEN_TYPES))
    for line in payload.splitlines():
        row = orjson.loads(line)
        values = tuple([row.get(column) or "" for column in _COST_COLUMNS])
        sign = row.get("sign", 1)
        if (cost_usd := row.get("cost_usd")) is not None:
            cost[values] += sign * int(EXACT.multiply(Decimal(cost_usd), PICO))
        sums = counts[values]
        for column in _TOKEN_TYPES.keys() & row.keys():
            sums[_PLACES[column]] += sign * (row[column] or 0)
    tokens: Counter[Values] = Counter()
    for values, sums in counts.items():
        for kind, count in zip(_TOKEN_TYPES.values(), sums, strict=True):
            if count:
                tokens[(*values[: len(_OWNED)], kind)] += count
    return cost, tokens


def _is_silent(provider: MeterProvider) -> bool:
    """Tell a provider of the API alone, which drops everything, from one of an SDK."""
    return type(provider).__module__.startswith("opentelemetry.metrics")


_process: Metrics | None = None
_making = threading.Lock()


def process_metrics() -> Metrics:
    """Give the instruments of this process: one set, however many exporters there are."""
    global _process
    with _making:
        if _process is None:
            _process = Metrics()
        return _process


def _after_fork_in_child() -> None:
    if _process is not None:
        _process.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
