"""
The spans that Anthropic's SDK (anthropic >= 2) writes itself, on by default: the only standard span with the 1-hour split.

Source: https://github.com/anthropics/anthropic-sdk-python (`anthropic._otel`); seen with 2.12.0. Totals are inclusive,
unlike Anthropic's own `usage`. `count_tokens` calls are free; `tool_runner` spans repeat the requests below them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from otel_llmcost.dialects.reading import Names
from otel_llmcost.dialects.semconv import NAMES as SEMCONV_NAMES
from otel_llmcost.dialects.semconv import read_named
from otel_llmcost.model import ModelCall, SpanView

__all__ = ["NAMES", "claims", "read"]

NAMES: Final[Names] = {
    **SEMCONV_NAMES,
    "cache_write_1h": ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
}


def claims(span: SpanView) -> bool:
    """Tell whether one of Anthropic's SDKs wrote the span, in any language and for any cloud."""
    return span.scope_name.startswith("com.anthropic.sdk")


def read(span: SpanView) -> ModelCall | None:
    """Read a native span; None for spans that make no model request."""
    call = read_named(span, dialect="anthropic_sdk", names=NAMES)
    if call is not None and span.name.endswith("count_tokens"):
        return replace(call, kind="free")
    return call
