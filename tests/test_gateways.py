"""LLM gateways: who charges a request that passes one."""

from __future__ import annotations

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost import LLMCostSpanProcessor, Settings
from tests.test_processor import CALL

TO_GATEWAY = CALL | {"server.address": "llm.example.net"}


def spans_of(settings: Settings, *calls: dict) -> list[dict]:
    """Make nested model calls, the first outermost, and give their attributes, innermost first."""
    seen, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(settings=settings))
    provider.add_span_processor(SimpleSpanProcessor(seen))
    nest(provider, list(calls))
    return [dict(span.attributes) for span in seen.get_finished_spans()]


def nest(provider: TracerProvider, calls: list[dict]) -> None:
    """Make one call's span around the others'."""
    if calls:
        with provider.get_tracer(f"scope {len(calls)}").start_as_current_span("chat", attributes=calls[0]):
            nest(provider, calls[1:])


def test_a_request_to_a_listed_gateway_is_the_gateways_to_charge():
    """
    The client's span of a request to a listed gateway gets no cost, whatever its name's case.
    """
    settings = Settings(gateways=("LLM.example.net".lower(),))
    (client,) = spans_of(settings, TO_GATEWAY | {"server.address": "LLM.Example.net"})

    assert "llmcost.cost_usd" not in client


def test_other_hosts_are_charged_here():
    """
    A host that only ends like a gateway's name is no gateway.
    """
    (client,) = spans_of(Settings(gateways=("example.net", ".llm.example.org")), TO_GATEWAY)

    assert client["llmcost.cost_usd"] == "0.01155"


def test_one_meter_that_sees_client_and_gateway_charges_once():
    """
    Without the setting, the gateway's own request below the client's carries the charge.
    """
    provider_call, client = spans_of(Settings(), TO_GATEWAY, CALL | {"server.address": "api.openai.com"})

    assert provider_call["llmcost.cost_usd"] == "0.01155"
    assert "llmcost.cost_usd" not in client
