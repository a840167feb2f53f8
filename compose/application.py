"""
An application in no particular language: GenAI spans of OpenTelemetry as OTLP/JSON, with owners, without prices.

    python application.py http://127.0.0.1:4318/v1/traces
"""

from __future__ import annotations

import json
import random
import secrets
import sys
import time
from typing import Any
from urllib.request import Request, urlopen

OWNERS = (("search", "rerank"), ("search", "answers"), ("support", "reply-draft"), ("growth", "summaries"))
MODELS = (("openai", "gpt-5.4-mini"), ("openai", "gpt-5.4"), ("anthropic", "claude-opus-4-8"))
CUSTOMERS = ("acme", "globex", "initech", "umbrella", "hooli")


def value(held: object) -> dict[str, Any]:
    """Write a value as OTLP/JSON does."""
    return {"intValue": str(held)} if isinstance(held, int) else {"stringValue": held}


def span(chance: random.Random, ended_unix_ns: int) -> dict[str, Any]:
    """One request to a model: a prompt too, which nobody must find in the ledger."""
    team, feature = chance.choice(OWNERS)
    provider, model = chance.choice(MODELS)
    cached = chance.choice((0, 0, 1_024, 4_096))
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.response.id": f"demo-{secrets.token_hex(12)}",
        "gen_ai.usage.input_tokens": cached + chance.randint(200, 8_000),
        "gen_ai.usage.cache_read.input_tokens": cached,
        "gen_ai.usage.output_tokens": chance.randint(20, 1_500),
        "gen_ai.input.messages": "a prompt that stays here",
        "llmcost.team": team,
        "llmcost.feature": feature,
        "llmcost.customer_id": chance.choice(CUSTOMERS),
    }
    return {
        "traceId": secrets.token_hex(16),
        "spanId": secrets.token_hex(8),
        "name": f"chat {model}",
        "kind": 3,
        "startTimeUnixNano": str(ended_unix_ns - chance.randint(200, 9_000) * 1_000_000),
        "endTimeUnixNano": str(ended_unix_ns),
        "attributes": [{"key": key, "value": value(held)} for key, held in attributes.items()],
    }


def body(chance: random.Random, spans: int, ended_unix_ns: int) -> dict[str, Any]:
    """One export of so many requests."""
    resource = {"service.name": "demo", "deployment.environment.name": "production"}
    attributes = [{"key": key, "value": value(held)} for key, held in resource.items()]
    made = [span(chance, ended_unix_ns) for _ in range(spans)]
    scope = {"scope": {"name": "demo"}, "spans": made}
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [scope]}]}


def main(address: str) -> None:
    """Send a few requests each second, until told to stop or until nobody takes them."""
    chance = random.Random()  # noqa: S311  # no secret
    while True:
        sent = json.dumps(body(chance, chance.randint(1, 5), time.time_ns())).encode()
        request = Request(address, sent, {"content-type": "application/json"})  # noqa: S310  # an address of our own
        with urlopen(request, timeout=30) as answer:  # noqa: S310
            answer.read()
        time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1])
