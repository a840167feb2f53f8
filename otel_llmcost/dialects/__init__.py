"""
Dialects: how each instrumentation writes a model call on a span, read into one `ModelCall`.

One small module per family; the order below is the order of asking, the most specific first. The gate is what kind of
span it is, never "it has tokens": agents, tools and retrievals repeat or carry usage that is not theirs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from otel_llmcost.dialects import (
    anthropic_sdk,
    claude_code,
    haystack,
    litellm,
    logfire,
    openinference,
    openlit,
    openllmetry,
    semconv,
    vercel_legacy,
)
from otel_llmcost.dialects.forms import FORMS
from otel_llmcost.model import Attributes, ModelCall, SpanView

__all__ = ["DIALECTS", "GATE_KEYS", "Dialect", "is_genai", "read"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One family: `claims` is cheap and decides who reads; `read` gives None for spans that make no model request."""

    name: str
    claims: Callable[[SpanView], bool]
    read: Callable[[SpanView], ModelCall | None]
    scopes: tuple[str, ...] = ("",)
    """Beginnings of the scope names that it is asked about."""


DIALECTS: Final = (
    # What an emitter's own scope decides: a processor may have put other families' attributes on its spans.
    Dialect("anthropic_sdk", anthropic_sdk.claims, anthropic_sdk.read, anthropic_sdk.SCOPES),
    Dialect("logfire", logfire.claims, logfire.read, logfire.SCOPES),
    Dialect("openlit", openlit.claims, openlit.read, openlit.SCOPES),
    Dialect("openllmetry", openllmetry.claims, openllmetry.read, openllmetry.SCOPES),
    *(
        Dialect(form.dialect, semconv.claims, functools.partial(semconv.read_form, form=form), scopes)
        for scopes, form in FORMS
    ),
    # What a span of any scope says about itself.
    Dialect("litellm", litellm.claims, litellm.read),
    Dialect("openinference", openinference.claims, openinference.read),
    Dialect("vercel_legacy", vercel_legacy.claims, vercel_legacy.read),
    Dialect("haystack", haystack.claims, haystack.read),
    Dialect("claude_code", claude_code.claims, claude_code.read),
    Dialect("semconv", semconv.claims, semconv.read),
    Dialect("openllmetry", openllmetry.claims, openllmetry.read),
)

GATE_KEYS: Final = frozenset(
    {
        "gen_ai.operation.name",
        "gen_ai.system",
        "openinference.span.kind",
        "ai.operationId",
        "llm.request.type",
        "haystack.component.type",
        "span.type",
    }
)
"""A span without any of these attributes is no model call in any dialect: the fast exit of every hook."""

_SCOPE_CHARACTERS: Final = 128


def is_genai(attributes: Attributes) -> bool:
    """Tell in a fraction of a microsecond whether a span can be a model call at all."""
    return not attributes.keys().isdisjoint(GATE_KEYS)


def read(span: SpanView) -> ModelCall | None:
    """Read a span with the first dialect that claims it; None when it shows no model request."""
    for dialect in _asked(span.scope_name[:_SCOPE_CHARACTERS]):
        if dialect.claims(span):
            return dialect.read(span)
    return None


@functools.lru_cache(maxsize=1024)
def _asked(scope: str) -> tuple[Dialect, ...]:
    return tuple(dialect for dialect in DIALECTS if scope.startswith(dialect.scopes))
