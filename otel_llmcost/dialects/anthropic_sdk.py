"""
The spans that Anthropic's SDK (anthropic >= 2) writes itself, on by default: the only standard span with the 1-hour split.

Source: https://github.com/anthropics/anthropic-sdk-python (`anthropic._otel`); seen with 2.12.0. Totals are inclusive,
unlike Anthropic's own `usage`. `count_tokens` calls are free; `tool_runner` spans repeat the requests below them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from otel_llmcost.dialects.form import CONVENTION_NAMES, Form
from otel_llmcost.dialects.semconv import read_form
from otel_llmcost.model import ModelCall, SpanView

__all__ = ["FORM", "SCOPES", "claims", "read"]

SCOPES: Final = ("com.anthropic.sdk", "com.anthropic.claude-platform")
"""The SDKs of any language and for any cloud, and the platform's own server-side spans."""

FORM: Final = Form(
    dialect="anthropic_sdk",
    names={
        **CONVENTION_NAMES,
        "cache_write_5m": ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens",),
        "cache_write_1h": ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
    },
)


def claims(span: SpanView) -> bool:
    """Tell whether the span names a GenAI operation: the scope is known."""
    return "gen_ai.operation.name" in span.attributes


def read(span: SpanView) -> ModelCall | None:
    """Read a native span; None for spans that make no model request."""
    call = read_form(span, FORM)
    if call is not None and span.name.endswith("count_tokens"):
        return replace(call, kind="free")
    return call
