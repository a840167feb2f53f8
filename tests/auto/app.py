"""An application that knows nothing of us: one chat with OpenAI's client, inside a request of its own."""

from __future__ import annotations

import sys
from typing import Any

import openai
from opentelemetry import trace

MESSAGES: Any = [{"role": "user", "content": "hi"}]

with trace.get_tracer("app").start_as_current_span("GET /"):
    for _ in range(int(sys.argv[2])):
        openai.OpenAI(base_url=sys.argv[1], api_key="any").chat.completions.create(
            model="gpt-5.4-mini", messages=MESSAGES
        )
