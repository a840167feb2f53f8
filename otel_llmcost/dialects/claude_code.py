"""
Claude Code's own traces (beta): one `claude_code.llm_request` span per request, with flat attributes.

Source: https://code.claude.com/docs/en/monitoring-usage (traces); not run here. Counts are Anthropic's: input is fresh
only. `attempt` counts the client's own tries at one request; `request_id` is no response id, so nothing links by it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from otel_llmcost.dialects.form import Form, build
from otel_llmcost.model import ModelCall, SpanView

__all__ = ["FORM", "NAME", "claims", "read"]

NAME: Final = "claude_code.llm_request"
FORM: Final = Form(
    dialect="claude_code",
    names={
        "input": ("input_tokens",),
        "output": ("output_tokens",),
        "cached": ("cache_read_tokens",),
        "cache_write": ("cache_creation_tokens",),
    },
    request_model=("gen_ai.request.model", "model"),
    response_model=("gen_ai.response.model", "model"),
    response_id=(),
    cost=("cost_usd",),
)
_MOST_ATTEMPTS: Final = 1000


def claims(span: SpanView) -> bool:
    """Tell whether Claude Code wrote the span."""
    return span.name == NAME


def read(span: SpanView) -> ModelCall:
    """Read one request of Claude Code."""
    call = build(span, FORM, kind="request", operation="chat", exclusive=True)
    attempt = span.attributes.get("attempt")
    if type(attempt) is int and 1 < attempt < _MOST_ATTEMPTS:
        call = replace(call, resend_count=attempt - 1)
    if span.attributes.get("success") is False and call.status == "success":
        call = replace(call, status="error")
    return call
