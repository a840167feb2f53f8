"""
Dialects: how each instrumentation writes a model call on a span, read into one `ModelCall`.

One small module per family; the order below is the order of asking, the most specific first. The gate is what kind of
span it is, never "it has tokens": agents, tools and retrievals repeat or carry usage that is not theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from otel_llmcost.dialects import anthropic_sdk, semconv
from otel_llmcost.model import Attributes, ModelCall, SpanView

__all__ = ["DIALECTS", "GATE_KEYS", "Dialect", "is_genai", "read"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One family: `claims` is cheap and decides who reads; `read` gives None for spans that make no model request."""

    name: str
    claims: Callable[[SpanView], bool]
    read: Callable[[SpanView], ModelCall | None]


DIALECTS: Final = (
    Dialect("anthropic_sdk", anthropic_sdk.claims, anthropic_sdk.read),
    Dialect("semconv", semconv.claims, semconv.read),
)

GATE_KEYS: Final = frozenset({"gen_ai.operation.name"})
"""A span without any of these attributes is no model call in any dialect: the fast exit of every hook."""


def is_genai(attributes: Attributes) -> bool:
    """Tell in a fraction of a microsecond whether a span can be a model call at all."""
    return not GATE_KEYS.isdisjoint(attributes)


def read(span: SpanView) -> ModelCall | None:
    """Read a span with the first dialect that claims it; None when it shows no model request."""
    for dialect in DIALECTS:
        if dialect.claims(span):
            return dialect.read(span)
    return None
