"""Two services in two processes: whose request it is travels with the HTTP request between them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import orjson
import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost import LLMCostSpanProcessor, attributed
from otel_llmcost.journal import waiting
from otel_llmcost.ledger.dsn import parse_dsn
from otel_llmcost.settings import Settings

SERVICE = Path(__file__).parent / "service.py"


def second_service(dsn: str, **variables: str) -> subprocess.Popen[str]:
    """Start the second service; its first line of output is its port."""
    return subprocess.Popen(
        [sys.executable, SERVICE, dsn], env=os.environ | variables, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(("trusts", "owned"), [("true", ("support", "acme")), ("false", ("(unattributed)",) * 2)])
def test_the_owner_set_in_the_first_is_on_the_request_of_the_second(tmp_path, trusts, owned):
    """
    The first says whose request it is; the second, which trusts its callers, makes the model call and stores that owner.
    """
    dsn = f"chdb://{tmp_path}/ledger"
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(LLMCostSpanProcessor())  # it guards what leaves the process: 127.0.0.1 is internal
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        with second_service(dsn, OTEL_LLMCOST_TRUST_INBOUND=trusts) as service:
            assert service.stdout is not None
            port = int(service.stdout.readline())
            with attributed(team="support", customer_id="acme"):
                assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text == "ok"
    finally:
        instrumentor.uninstrument()
    assert service.returncode == 0
    parsed = parse_dsn(dsn)
    requests = []
    for segment in waiting(parsed.journal_dir(Settings(dsn=dsn)), parsed.fingerprint):
        if segment.table == "llm_requests":
            requests += [orjson.loads(line) for line in segment.payload().splitlines()]
        segment.release()
    (row,) = requests

    assert row["cost_usd"] == "0.01155"
    assert tuple(row[name] for name in ("team", "customer_id")) == owned
