"""
What every application here does around its own calls: tracing set up as the README says, an owner, and a span above.

It runs in an environment that has the stack and this project without extras. `LIVE_*` says where the simulator and the
ledger are; the arguments are the instrumentors to switch on, `module:Class`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, attributed

__all__ = ["ANTHROPIC_URL", "MESSAGES", "OPENAI_URL", "failing", "provider", "run"]

OPENAI_URL = os.environ["LIVE_OPENAI_URL"]
ANTHROPIC_URL = os.environ["LIVE_ANTHROPIC_URL"]
MESSAGES = [{"role": "user", "content": "Draft a reply."}]

provider = TracerProvider()
provider.add_span_processor(LLMCostSpanProcessor(exporter=ClickHouseSpanExporter(os.environ["LIVE_DSN"])))
trace.set_tracer_provider(provider)
for argument in sys.argv[1:]:
    module, _, name = argument.partition(":")
    getattr(import_module(module), name)().instrument(tracer_provider=provider)


def run(**steps: Callable[[], object]) -> None:
    """Take each step below a span of the application, owned by a feature of its own name."""
    for name, step in steps.items():
        with (
            attributed(team="live", feature=name, customer_id="acme"),
            trace.get_tracer("app").start_as_current_span(name),
        ):
            step()
    provider.shutdown()


def failing(call: Callable[[], object]) -> None:
    """Make a call that the simulator answers with an error."""
    try:
        call()
    except Exception as error:  # each client has its own
        if "429" not in str(error):
            raise
        return
    raise AssertionError("the scripted error did not arrive")
