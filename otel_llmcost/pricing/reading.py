"""
Reads rate cards and contracts from YAML (docs/rate-cards.md), into the nouns of `card`.

Every error is a `RateCardError` that begins with `file:line` and says what to write instead. Two rates that could both
apply to one request, with nothing to prefer one, are refused: a bill must not depend on the order of lines.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Final, TypeVar

from otel_llmcost.model import COUNTS
from otel_llmcost.pricing import hours as weekly
from otel_llmcost.pricing.card import Backdated, Card, Commitment, Factor, Launch, Match, Rate, Rename, Span, When
from otel_llmcost.pricing.content import CALL_COUNTS, REQUEST, Tier
from otel_llmcost.pricing.context import STANDARD
from otel_llmcost.pricing.yaml_exact import Node, parse, read
from otel_llmcost.providers import normalise_provider

__all__ = ["parse_card", "read_card"]

_T = TypeVar("_T")
_TOP: Final = (
    "rate_card contract corrections currency provider source checked note models discounts uplifts deployments aliases "
    "commitments backdated"
)
_PRICES: Final = "usd_per_million usd_per_call usd_per_thousand_calls usd_per_request tiers free gpu_hour"
_TOKENS: Final = " ".join(name for name in COUNTS if name.endswith("_tokens"))
_SHARED: Final = "provider source checked note"


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What the top of a card says for all its entries."""

    provider: str = ""
    source: str = ""
    checked: str = ""
    note: str = ""

    def over(self, entry: Mapping[str, Node]) -> _Defaults:
        provider = normalise_provider(entry["provider"].text()) if "provider" in entry else self.provider
        given = {name: entry[name].text() for name in ("source", "checked", "note") if name in entry}
        return _Defaults(
            provider, given.get("source", self.source), given.get("checked", self.checked), given.get("note", self.note)
        )


def read_card(path: Path) -> Card:
    """Read a user's rate card or contract."""
    root, content = read(path)
    return _card(root, content, shipped=False)


def parse_card(content: bytes, file: str, *, shipped: bool = False) -> Card:
    """Read a card from its text; `shipped` ones may also correct the published data."""
    return _card(parse(content, file), content, shipped=shipped)


def _card(root: Node, content: bytes, *, shipped: bool) -> Card:
    top = root.mapping(_TOP)
    kinds = [kind for kind in ("rate_card", "contract", "corrections") if kind in top]
    if len(kinds) != 1 or (kinds == ["corrections"] and not shipped):
        raise root.error("say what this is: begin with `rate_card: NAME` or `contract: NAME`")
    kind = kinds[0]
    if "currency" in top and top["currency"].text() != "USD":
        raise top["currency"].error(f"{top['currency'].text()!r} is not read; convert the prices and write USD")
    for name in {"discounts", "commitments"} & top.keys() if kind != "contract" else ():
        raise top[name].error(f"{name!r} belong in a contract; begin the file with `contract: NAME`")
    for name in {"backdated"} & top.keys() if kind != "corrections" else ():
        raise top[name].error(f"{name!r} is only for the shipped corrections; remove it")
    defaults = _Defaults().over(top)
    covered = _each(top, "commitments", lambda node: _commitment(node, defaults))
    models = _each(top, "models", lambda node: _model(node, defaults))
    rates = [rate for found in models for rate in found[0]] + [rate for found in covered for rate in found[1]]
    _refuse_overlaps(rates)
    name = top[kind].text()
    return Card(
        source=name if kind == "corrections" else f"{'card' if kind == 'rate_card' else 'contract'}:{name}",
        version=hashlib.sha256(content).hexdigest()[:12],
        contract=kind == "contract",
        rates=tuple(rates),
        factors=(
            *_each(top, "uplifts", lambda node: _factor(node, defaults, "percent_on")),
            *_each(top, "discounts", lambda node: _factor(node, defaults, "percent_off")),
        ),
        renames=(
            *_each(top, "aliases", lambda node: _rename(node, defaults, "alias")),
            *_each(top, "deployments", lambda node: _rename(node, defaults, "deployment")),
        ),
        commitments=tuple(found[0] for found in covered),
        backdated=_each(top, "backdated", lambda node: _backdated(node, defaults)),
        launches=tuple(launch for found in models for launch in found[1]),
    )


def _each(top: Mapping[str, Node], name: str, make: Callable[[Node], _T]) -> tuple[_T, ...]:
    return tuple(make(node) for node in top[name].items()) if name in top else ()


def _need_provider(node: Node, defaults: _Defaults) -> str:
    if not defaults.provider:
        raise node.error("'provider' is missing; add `provider: openai` here or at the top of the file")
    return defaults.provider


def _match(node: Node) -> Match:
    if not isinstance(node.value, dict):
        return Match(names=tuple(name.lower() for name in node.texts()))
    entry = node.mapping("starts_with regex")
    if len(entry) != 1:
        raise node.error("write a name, a list of names, or one of starts_with and regex")
    if "starts_with" in entry:
        return Match(starts_with=entry["starts_with"].text().lower())
    pattern = entry["regex"].text()
    try:
        re.compile(pattern)
    except re.error as error:
        raise entry["regex"].error(f"{pattern!r} is not a regular expression: {error}") from error
    return Match(regex=pattern)


def _span(entry: Mapping[str, Node]) -> Span:
    start = entry["from"].instant() if "from" in entry else None
    end = entry["to"].instant() if "to" in entry else None
    if start is not None and end is not None and end <= start:
        raise entry["to"].error("`to` is not after `from`; a rate holds from `from` until just before `to`")
    return Span(start, end)


def _when(node: Node) -> When:
    entry = node.mapping("service_tier batch speed region attributes")
    tier, speed = (entry[name].text().lower() if name in entry else "" for name in ("service_tier", "speed"))
    attributes = entry["attributes"].pairs() if "attributes" in entry else {}
    tier = tier.replace("-", "_")
    return When(
        service_tier="" if tier in STANDARD or tier == "batch" else tier,
        batch=tier == "batch" or ("batch" in entry and entry["batch"].boolean()),
        speed="" if speed in STANDARD else speed,
        region=tuple(text.lower() for text in entry["region"].texts()) if "region" in entry else (),
        attributes={key: tuple(text.lower() for text in value.texts()) for key, value in attributes.items()},
    )


def _whens(entry: Mapping[str, Node]) -> tuple[When, ...]:
    if "when" not in entry:
        return ()
    node = entry["when"]
    return tuple(map(_when, node.items())) if isinstance(node.value, list) else (_when(node),)


def _model(node: Node, top: _Defaults) -> tuple[list[Rate], list[Launch]]:
    entry = node.mapping(f"match rates launched {_SHARED}", "match")
    defaults = top.over(entry)
    provider = _need_provider(node, defaults)
    match = _match(entry["match"])
    if "rates" not in entry and "launched" not in entry:
        raise node.error("'rates' is missing; add `rates:` with at least one entry")
    rates = _each(entry, "rates", lambda rate: _rate(rate, defaults, match))
    launched = entry["launched"].instant() if "launched" in entry else None
    return list(rates), [] if launched is None else [Launch(provider=provider, match=match, instant=launched)]


def _rate(node: Node, top: _Defaults, match: Match) -> Rate:
    entry = node.mapping(f"from to when hours {_PRICES} {_SHARED}")
    if "provider" in entry:
        raise entry["provider"].error("write `provider` beside `match`, not in a rate")
    defaults = top.over(entry)
    hours = entry["hours"].texts() if "hours" in entry else ()
    try:
        windows = weekly.windows(hours)
    except ValueError as error:
        raise entry["hours"].error(str(error)) from error
    prices, tiers = _prices(node, entry)
    return Rate(
        provider=top.provider,
        match=match,
        span=_span(entry),
        when=_when(entry["when"]) if "when" in entry else When(),
        hours=windows,
        hours_text=", ".join(hours),
        prices=prices,
        tiers=tiers,
        link=defaults.source,
        checked=defaults.checked,
        note=defaults.note,
        place=f"{node.file}:{node.line}",
    )


def _prices(node: Node, entry: Mapping[str, Node]) -> tuple[dict[str, Fraction], tuple[Tier, ...]]:
    if "free" in entry:
        if not entry["free"].boolean():
            raise entry["free"].error("`free: false` says nothing; remove it, and give the prices")
        if any(name in entry for name in _PRICES.split() if name != "free"):
            raise entry["free"].error("`free: true` stands alone; remove it, or the prices beside it")
        return dict.fromkeys((*COUNTS[:-1], REQUEST), Fraction(0)), ()
    prices = _base(entry)
    if not prices:
        raise node.error("no price here; write `usd_per_million:`, `usd_per_call:`, `gpu_hour:` or `free: true`")
    tiers = [_tier(tier, prices) for tier in entry["tiers"].items()] if "tiers" in entry else []
    if [tier.above for tier in tiers] != sorted({tier.above for tier in tiers}):
        raise entry["tiers"].error("tiers must ascend; sort them by above_total_input_tokens")
    return prices, tuple(tiers)


def _base(entry: Mapping[str, Node]) -> dict[str, Fraction]:
    prices: dict[str, Fraction] = {}
    for key, names, per in (
        ("usd_per_million", _TOKENS, 1),
        ("usd_per_call", " ".join(CALL_COUNTS), 1),
        ("usd_per_thousand_calls", " ".join(CALL_COUNTS), 1000),
    ):
        for name, value in entry[key].mapping(names).items() if key in entry else ():
            if name in prices:
                raise value.error(f"{name!r} has two prices; keep one")
            prices[name] = Fraction(value.number()) / per
    if "usd_per_request" in entry:
        prices[REQUEST] = Fraction(entry["usd_per_request"].number())
    if "gpu_hour" in entry:
        prices |= _gpu_hour(entry["gpu_hour"], prices)
    return prices


def _gpu_hour(node: Node, prices: Mapping[str, Fraction]) -> dict[str, Fraction]:
    entry = node.mapping(f"usd tokens_per_hour {_SHARED}", "usd tokens_per_hour")
    usd = Fraction(entry["usd"].number())
    shares: dict[str, Fraction] = {}
    for name, value in entry["tokens_per_hour"].mapping(_TOKENS).items():
        if not value.whole() or name in prices:
            raise value.error(f"{name!r} needs one price and more than 0 tokens per hour")
        shares[name] = usd * 10**6 / value.whole()
    return shares


def _tier(node: Node, base: Mapping[str, Fraction]) -> Tier:
    entry = node.mapping("above_total_input_tokens usd_per_million usd_per_call", "above_total_input_tokens")
    own = _base({key: value for key, value in entry.items() if key != "above_total_input_tokens"})
    if unknown := sorted(own.keys() - base.keys()):
        raise node.error(f"{unknown[0]!r} has no price below this tier; give it one in the rate itself")
    return Tier(entry["above_total_input_tokens"].whole(), {**base, **own})


def _factor(node: Node, top: _Defaults, key: str) -> Factor:
    entry = node.mapping(f"name match from to when applies_to {key} {_SHARED}", f"name {key}")
    defaults = top.over(entry)
    percent = Fraction(entry[key].number())
    if key == "percent_off" and percent > 100:
        raise entry[key].error("a discount above 100 would pay you; write at most 100")
    counts = entry["applies_to"].text() if "applies_to" in entry else "tokens"
    if counts not in ("tokens", "all"):
        raise entry["applies_to"].error("write `tokens`, or `all` to include calls and request fees")
    sign = -1 if key == "percent_off" else 1
    return Factor(
        kind="discount" if sign < 0 else "uplift",
        name=entry["name"].text(),
        provider=_need_provider(node, defaults),
        match=_match(entry["match"]) if "match" in entry else None,
        span=_span(entry),
        when=_whens(entry),
        factor=1 + sign * percent / 100,
        counts=counts,
        link=defaults.source,
    )


def _rename(node: Node, top: _Defaults, rule: str) -> Rename:
    entry = node.mapping(f"models from to {_SHARED}", "models")
    names = {name.lower(): model.text() for name, model in entry["models"].pairs().items()}
    provider = _need_provider(node, top.over(entry))
    return Rename(rule="alias" if rule == "alias" else "deployment", provider=provider, names=names, span=_span(entry))


def _commitment(node: Node, top: _Defaults) -> tuple[Commitment, list[Rate]]:
    entry = node.mapping(f"name match from to when fixed overage {_SHARED}", "name match fixed from")
    defaults = top.over(entry)
    provider, match, span = _need_provider(node, defaults), _match(entry["match"]), _span(entry)
    fixed = entry["fixed"].mapping("usd every", "usd every")
    every = fixed["every"].text()
    name = entry["name"].text()
    if every not in ("once", "hour", "day", "month"):
        raise fixed["every"].error(f"{every!r} is not read; write once, hour, day or month")
    included = Rate(
        provider=provider,
        match=match,
        span=span,
        when=_when(entry["when"]) if "when" in entry else When(),
        prices=dict.fromkeys((*COUNTS[:-1], REQUEST), Fraction(0)),
        link=defaults.source,
        note=f"included in commitment {name!r}; its fixed part is a row of its own",
        place=f"{node.file}:{node.line}",
    )
    rates = [included]
    if "overage" in entry:
        if "when" not in entry:
            raise entry["overage"].error("an overage needs a `when` that tells which requests are still included")
        prices, tiers = _prices(entry["overage"], entry["overage"].mapping(_PRICES))
        place = f"{node.file}:{entry['overage'].line}"
        rates.append(
            Rate(provider=provider, match=match, span=span, prices=prices, tiers=tiers, note="overage", place=place)
        )
    row = Commitment(
        name=name,
        provider=provider,
        models=", ".join(match.names) or match.starts_with or match.regex,
        span=span,
        usd=fixed["usd"].number(),
        every=every,  # type: ignore[arg-type]  # checked above
    )
    return row, rates


def _backdated(node: Node, top: _Defaults) -> Backdated:
    entry = node.mapping(f"when percent_off from to {_SHARED}", "when percent_off from")
    defaults = top.over(entry)
    return Backdated(
        provider=_need_provider(node, defaults),
        when=_when(entry["when"]),
        factor=1 - Fraction(entry["percent_off"].number()) / 100,
        span=_span(entry),
        link=defaults.source,
    )


def _refuse_overlaps(rates: Iterable[Rate]) -> None:
    for first, second in combinations(rates, 2):
        if (first.provider, first.when) != (second.provider, second.when) or not first.match.meets(second.match):
            continue
        if bool(first.hours) != bool(second.hours) or not first.span.overlaps(second.span):
            continue
        both = [(a, b) for a in first.hours for b in second.hours if a[0] < b[1] and b[0] < a[1]]
        if both or not first.hours:
            file, _, line = second.place.rpartition(":")
            message = f"this rate and the one at line {first.place.rpartition(':')[2]} hold at the same time"
            raise Node("", file, int(line)).error(f"{message}; end one with `to:` or tell them apart with `when:`")
