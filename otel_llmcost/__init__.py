"""Know what every LLM request cost and who should own it, from the OpenTelemetry spans you already have."""

from otel_llmcost.auto import configure
from otel_llmcost.errors import LLMCostError
from otel_llmcost.exporter import ClickHouseSpanExporter
from otel_llmcost.model import Priced, Unpriced, Usage
from otel_llmcost.ownership import attributed
from otel_llmcost.pricing import Pricer
from otel_llmcost.processor import LLMCostSpanProcessor
from otel_llmcost.recording import record_outcome, record_request
from otel_llmcost.settings import Settings

__all__ = [
    "ClickHouseSpanExporter",
    "LLMCostError",
    "LLMCostSpanProcessor",
    "Priced",
    "Pricer",
    "Settings",
    "Unpriced",
    "Usage",
    "attributed",
    "configure",
    "record_outcome",
    "record_request",
]
