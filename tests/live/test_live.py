"""
The stacks that people run, each in its own process and environment, against the provider simulator over loopback.

`make test-live` sets the environments up and names them in `LLMCOST_LIVE`; `make test` needs none and runs none. What
the simulator was told to answer is the truth; the journal must say the same, and say what an emitter does not show.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson
import pytest

from otel_llmcost import ClickHouseSpanExporter
from otel_llmcost.demo.simulator import Reply, Simulator
from otel_llmcost.journal import waiting
from otel_llmcost.model import COUNTS, ModelCall, Priced, Usage, picousd_text
from otel_llmcost.pricing import Pricer

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
ENVIRONMENTS: Final = os.environ.get("LLMCOST_LIVE", "").split()
if not ENVIRONMENTS:
    pytest.skip("make test-live runs them", allow_module_level=True)

Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A client or framework with the instrumentations of it that are switched on together."""

    environment: str
    """Folder `.venv-live/<environment>`, made from `requirements/live/<environment>.txt`."""
    application: str
    instrumentors: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables."""
    hides: frozenset[str] = frozenset()
    """Counts that it may not show: then they are in their whole, and a gap says so."""
    one_parent: bool = True
    """False where each try has an agent's span of its own above it: then they are no tries at one piece of work."""


OPENAI = {"environment": "clients", "application": "with_openai"}
ANTHROPIC = {"environment": "clients", "application": "with_anthropic"}
LANGCHAIN = {"environment": "frameworks", "application": "with_langchain"}
LITELLM = {
    "environment": "litellm",
    "application": "with_litellm",
    "instrumentors": ("opentelemetry.instrumentation.threading:ThreadingInstrumentor",),
}

STACKS: Final = {
    "openai, official": Stack(
        **OPENAI, instrumentors=("opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",)
    ),
    "openai, OpenLLMetry": Stack(
        **OPENAI,
        instrumentors=("opentelemetry.instrumentation.openai:OpenAIInstrumentor",),
        hides=frozenset({"cache_write_tokens", "reasoning_tokens"}),
    ),
    "openai, OpenInference": Stack(
        **OPENAI, instrumentors=("openinference.instrumentation.openai:OpenAIInstrumentor",)
    ),
    "anthropic, native and official": Stack(
        **ANTHROPIC, instrumentors=("opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",)
    ),
    "anthropic, native and OpenInference": Stack(
        **ANTHROPIC, instrumentors=("openinference.instrumentation.anthropic:AnthropicInstrumentor",)
    ),
    "langchain over openai, official": Stack(
        **LANGCHAIN,
        instrumentors=(
            "opentelemetry.instrumentation.genai.langchain:LangChainInstrumentor",
            "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
        ),
    ),
    "langchain over openai, OpenInference": Stack(
        **LANGCHAIN,
        instrumentors=(
            "openinference.instrumentation.langchain:LangChainInstrumentor",
            "openinference.instrumentation.openai:OpenAIInstrumentor",
        ),
    ),
    "pydantic-ai": Stack(environment="frameworks", application="with_pydantic_ai", one_parent=False),
    "pydantic-ai over openai, official": Stack(
        environment="frameworks",
        application="with_pydantic_ai",
        one_parent=False,
        instrumentors=("opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",),
    ),
    "litellm": Stack(**LITELLM),
    "litellm, a span for each request": Stack(**LITELLM, settings={"USE_OTEL_LITELLM_REQUEST_SPAN": "true"}),
}

_CHAT: Final = Usage(
    input_tokens=8_000, cached_input_tokens=2_000, cache_write_tokens=500, output_tokens=1_200, reasoning_tokens=300
)
_CLAUDE: Final = Usage(
    input_tokens=900,
    cached_input_tokens=4_000,
    cache_write_tokens=6_000,
    cache_write_1h_tokens=2_000,
    output_tokens=700,
)
_STREAM: Final = Usage(input_tokens=3_100, cached_input_tokens=1_400, output_tokens=420, reasoning_tokens=128)
_OTHER: Final = replace(_STREAM, output_tokens=421)
_AGAIN: Final = Usage(input_tokens=611, output_tokens=77)
_LIMITED: Final = Reply(status=429, retry_after=0.01)

_ENDS: Final[Mapping[str, tuple[Reply, ...]]] = {
    "retried": (_LIMITED, Reply(usage=_AGAIN)),
    "resent": (_LIMITED, Reply(usage=replace(_AGAIN, output_tokens=78))),
}
_FRAMEWORK: Final[Mapping[str, tuple[Reply, ...]]] = {
    "plain": (Reply(usage=_CHAT),),
    "stream": (Reply(usage=_STREAM),),
    **_ENDS,
}
SCRIPTS: Final[Mapping[str, Mapping[str, tuple[Reply, ...]]]] = {
    "with_openai": {
        "plain": (Reply(usage=_CHAT),),
        "stream": (Reply(usage=_STREAM),),
        "response": (Reply(usage=_OTHER),),
        "response_stream": (Reply(usage=replace(_STREAM, output_tokens=422)),),
        "embedding": (Reply(usage=Usage(input_tokens=512)),),
        **_ENDS,
    },
    "with_anthropic": {
        "plain": (Reply(usage=_CLAUDE),),
        "stream": (Reply(usage=_STREAM),),
        "event_stream": (Reply(usage=_OTHER),),
        **_ENDS,
    },
    "with_langchain": _FRAMEWORK,
    "with_pydantic_ai": _FRAMEWORK,
    "with_litellm": _FRAMEWORK,
}
"""What the simulator answers at each step of an application, in the order of its steps."""

_PARTS: Final[Mapping[str, tuple[str | None, str]]] = {
    "cache_write_1h_tokens": ("cache_write_tokens", "cache_write_ttl"),
    "cached_input_tokens": ("input_tokens", "cached_input"),
    "cache_write_tokens": ("input_tokens", "cache_write"),
    "reasoning_tokens": (None, "reasoning"),
}
"""Count -> where its tokens are when an emitter does not show it, and the gap that says so."""

_KNOWN: Final[Mapping[str, str]] = {
    "litellm": "both tries are written on the application's one span, and the first one's error.type stays there",
}
"""Stack -> what of its failures and retries is known to be wrong."""


def _bill(directory: Path) -> list[Row]:
    """Give the charges in a journal, adjustments applied, in the order of their requests."""
    exporter = ClickHouseSpanExporter(f"chdb://{directory}")
    lines: dict[str, list[Row]] = {"llm_requests": [], "llm_adjustments": []}
    for segment in waiting(exporter.journal_dir, exporter.fingerprint):
        with segment:
            lines.setdefault(segment.table, []).extend(map(orjson.loads, segment.payload().splitlines()))
    exporter.shutdown()
    charges: dict[tuple[object, object], Row] = {}
    for row in lines["llm_requests"] + lines["llm_adjustments"]:
        key = row["trace_id"], row["span_id"]
        if row.get("sign", 1) == 1:
            assert key not in charges, "charged twice"
            charges[key] = row
        else:
            del charges[key]
    return sorted(charges.values(), key=lambda row: str(row["timestamp"]))


def _shown(usage: Usage, row: Row, hides: frozenset[str]) -> tuple[dict[str, int], set[str]]:
    """Give the counts that a row must have, and its gaps: what is hidden is in its whole."""
    counts = {name: count for name, count in zip(COUNTS, usage.counts, strict=True) if count}
    gaps: set[str] = set()
    for name, (whole, gap) in _PARTS.items():
        if name in hides and name in counts and not row.get(name):
            hidden = counts.pop(name)
            gaps.add(gap)
            if whole is not None:
                counts[whole] = counts.get(whole, 0) + hidden
    return counts, gaps


def _cost(row: Row, counts: Mapping[str, int]) -> str | None:
    """Give the cost of these counts at the row's own provider, model, tier and instant."""
    call = ModelCall(
        dialect="",
        kind="request",
        operation=str(row["operation"]),
        provider=str(row["provider"]),
        model=str(row["model"]),
        request_model=str(row.get("request_model", "")),
        service_tier=str(row.get("service_tier", "")),
        usage=Usage(**counts),
    )
    started = datetime.fromisoformat(str(row["timestamp"])).replace(tzinfo=UTC)
    price = Pricer.default().price_call(call, int(started.timestamp()) * 10**9)
    return picousd_text(price.cost_picousd) if isinstance(price, Priced) else None


@dataclass(frozen=True, slots=True)
class Run:
    """What a stack's application did."""

    name: str
    stack: Stack
    rows: Mapping[str, list[Row]]
    """Charges by step."""


@pytest.fixture(
    name="run", scope="module", params=[name for name, stack in STACKS.items() if stack.environment in ENVIRONMENTS]
)
def _run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """
    Run a stack's application once against the simulator, and read its journal.
    """
    name: str = request.param
    stack, folder = STACKS[name], tmp_path_factory.mktemp("ledger")
    python = ROOT / ".venv-live" / stack.environment / "bin" / "python"
    steps = SCRIPTS[stack.application]
    with Simulator() as simulator:
        for replies in steps.values():
            simulator.script(*replies)
        done = subprocess.run(
            [python, HERE / "applications" / f"{stack.application}.py", *stack.instrumentors],
            env={
                "PATH": os.environ["PATH"],
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                **stack.settings,
                "LIVE_DSN": f"chdb://{folder}",
                "LIVE_OPENAI_URL": simulator.openai_base_url,
                "LIVE_ANTHROPIC_URL": simulator.anthropic_base_url,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        asked = len(simulator.requests)
    assert done.returncode == 0, done.stderr
    assert "otel-llmcost" not in done.stderr, done.stderr
    assert asked == sum(map(len, steps.values()))
    rows: dict[str, list[Row]] = {}
    for row in _bill(folder):
        rows.setdefault(str(row["feature"]), []).append(row)
    return Run(name, stack, rows)


def test_every_answer_is_charged_once_and_exactly(run: Run) -> None:
    """
    Each request that the provider answered is one charge, with the counts that it answered and their cost, to the last
    digit; what an instrumentation hides is named.
    """
    steps = SCRIPTS[run.stack.application]
    assert set(run.rows) == set(steps)
    for step, replies in steps.items():
        (row,) = (row for row in run.rows[step] if row["price_status"] != "unpriced")
        usage = replies[-1].usage
        assert isinstance(usage, Usage)
        counts, gaps = _shown(usage, row, run.stack.hides)
        assert (step, counts) == (step, {name: row[name] for name in COUNTS if row.get(name)})
        assert gaps <= set(row.get("usage_gaps", ()))  # type: ignore[call-overload]
        assert (row["price_status"], row["cost_usd"]) == ("priced", _cost(row, counts))


def test_every_row_is_owned(run: Run) -> None:
    """
    The owner that the application named is on every row, streams and failures too.
    """
    for step, rows in run.rows.items():
        for row in rows:
            assert (row["team"], row["feature"], row["customer_id"]) == ("live", step, "acme")


def test_a_failure_is_a_row_without_a_cost_and_its_successor_a_retry(run: Run, request: pytest.FixtureRequest) -> None:
    """
    A failed request is one row of unknown cost, and the next one is its retry; what a client resends by itself is one.
    """
    if reason := _KNOWN.get(run.name):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    failed, again = run.rows["retried"]
    assert (failed["status"], failed["price_status"], failed["reason"]) == ("error", "unpriced", "no_usage")
    assert "cost_usd" not in failed
    kinds = [row.get("attempt_kind", "initial") for row in (failed, again)]
    assert kinds == ["initial", "retry" if run.stack.one_parent else "initial"]
    assert len(run.rows.get("resent", [failed])) == 1
