"""Installed instrumentations: their gaps are told before any money is spent through them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from otel_llmcost.dialects import read
from otel_llmcost.dialects.emitters import emitter
from otel_llmcost.doctor import installed as module
from otel_llmcost.doctor.installed import INSTRUMENTATIONS, installed, installed_findings
from tests import captures

OTEL = "opentelemetry-instrumentation-"


def have(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """Let these packages, and no others, be installed."""
    found = [SimpleNamespace(name=name, version=version) for name, version in versions.items()]
    monkeypatch.setattr(module, "distributions", lambda: found)


@pytest.mark.parametrize(
    ("version", "scope"),
    [("1.0b0", "opentelemetry.util.genai.handler"), ("1.3b0", "opentelemetry.instrumentation.genai.openai")],
)
def test_versions(monkeypatch: pytest.MonkeyPatch, version: str, scope: str) -> None:
    """
    What a package hides depends on its version, however its name is spelled.
    """
    have(monkeypatch, **{"OpenTelemetry_Instrumentation.GenAI_OpenAI": version})

    assert [(row.scope, found) for row, found in installed()] == [(scope, version)]


def test_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What hides cached tokens is warned about with its remedy; what hides extras alone, or nothing, is not.
    """
    have(
        monkeypatch,
        **{f"{OTEL}openai-v2": "2.4b0", "anthropic": "2.12.0", "openinference-instrumentation-openai": "0.1.66"},
    )

    found = {finding.subject: finding for finding in installed_findings(seen=())}

    assert found[f"{OTEL}openai-v2 2.4b0"].severity == "warning"
    assert "cached_input" in found[f"{OTEL}openai-v2 2.4b0"].what
    assert "genai-openai>=1.3b0" in found[f"{OTEL}openai-v2 2.4b0"].snippet
    assert found["anthropic 2.12.0"].severity == "ok"
    assert "own usage" in found["openinference-instrumentation-openai 0.1.66"].what


def test_the_ledger_knows_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An instrumentation that spend has passed through already is not named twice; an old client is none.
    """
    have(monkeypatch, **{f"{OTEL}openai-v2": "2.4b0", "anthropic": "0.125.0"})

    assert not list(installed_findings(seen=["opentelemetry.util.genai.handler"]))


@pytest.mark.parametrize(("beside", "said"), [("", 1), (f"{OTEL}genai-openai", 0)])
def test_agents_without_their_requests(monkeypatch: pytest.MonkeyPatch, beside: str, said: int) -> None:
    """
    A package that writes no model requests is warned about, unless another one beside it does.
    """
    have(monkeypatch, **{f"{OTEL}genai-openai-agents": "1.3b0"} | ({beside: "1.3b0"} if beside else {}))

    found = [each for each in installed_findings(seen=()) if "no spans of model requests" in each.what]

    assert said == len(found)


@pytest.mark.parametrize("row", INSTRUMENTATIONS, ids=lambda row: f"{row.package}{row.before}")
def test_recorded_spans_hide_no_more(row) -> None:
    """
    No recorded span of a package hides more than is said of the package.
    """
    known = emitter(row.scope, row.before or "99", row.provider)
    said = {*known.gaps, *known.always, "cache_write_ttl", "output"}
    for name in captures.names(""):
        for span in captures.views(captures.load(name)):
            if span.scope_name.startswith(row.scope) and (call := read(span)) and call.provider == row.provider:
                assert row.keeps_response or not call.usage or set(call.usage_gaps) <= said, name
