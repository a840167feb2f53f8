"""Which instrumentations are installed here, and what each hides before any spend has passed through it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import Final

from otel_llmcost.dialects.emitters import emitter
from otel_llmcost.dialects.sellers import sold
from otel_llmcost.doctor.finding import Finding
from otel_llmcost.doctor.remedies import GAPS, remedy

__all__ = ["BLIND", "INSTRUMENTATIONS", "Instrumentation", "installed", "installed_findings", "installed_scopes"]


@dataclass(frozen=True, slots=True)
class Instrumentation:
    """A package that writes GenAI spans: under which scope, and about which provider first of all."""

    package: str
    scope: str
    provider: str
    before: str = ""
    """Only versions before this one."""
    keeps_response: bool = False
    """Its spans hold the provider's own usage, which shows more than its attributes."""


_OTEL: Final = "opentelemetry-instrumentation-"
_SCOPE: Final = "opentelemetry.instrumentation."
_UTIL: Final = "opentelemetry.util.genai.handler"

INSTRUMENTATIONS: Final = (
    Instrumentation(f"{_OTEL}genai-openai", _UTIL, "openai", before="1.1"),
    Instrumentation(f"{_OTEL}genai-openai", f"{_SCOPE}genai.openai", "openai"),
    Instrumentation(f"{_OTEL}openai-v2", _UTIL, "openai"),
    Instrumentation(f"{_OTEL}genai-anthropic", _UTIL, "anthropic", before="1.1"),
    Instrumentation(f"{_OTEL}genai-anthropic", f"{_SCOPE}genai.anthropic", "anthropic"),
    Instrumentation(f"{_OTEL}genai-bedrock", f"{_SCOPE}genai.bedrock", "aws.bedrock"),
    Instrumentation(f"{_OTEL}genai-langchain", f"{_SCOPE}genai.langchain", "openai"),
    Instrumentation(f"{_OTEL}google-genai", f"{_SCOPE}google_genai", "gcp.gemini"),
    Instrumentation(f"{_OTEL}botocore", f"{_SCOPE}botocore.bedrock-runtime", "aws.bedrock"),
    Instrumentation("anthropic", "com.anthropic.sdk.python", "anthropic"),
    # OpenLLMetry, under names like OpenTelemetry's own.
    Instrumentation(f"{_OTEL}openai", f"{_SCOPE}openai.v1", "openai"),
    Instrumentation(f"{_OTEL}openai-agents", f"{_SCOPE}openai_agents", "openai"),
    Instrumentation(f"{_OTEL}anthropic", f"{_SCOPE}anthropic", "anthropic"),
    Instrumentation(f"{_OTEL}langchain", f"{_SCOPE}langchain", "openai"),
    Instrumentation(f"{_OTEL}bedrock", f"{_SCOPE}bedrock", "aws.bedrock"),
    Instrumentation(f"{_OTEL}google-generativeai", f"{_SCOPE}google_generativeai", "gcp.gemini"),
    Instrumentation(f"{_OTEL}vertexai", f"{_SCOPE}vertexai", "gcp.vertex_ai"),
    Instrumentation("pydantic-ai-slim", "pydantic-ai", "openai"),
    Instrumentation("openlit", "openlit.instrumentation.openai", "openai"),
    Instrumentation("strands-agents", "strands.telemetry.tracer", "aws.bedrock"),
    Instrumentation("logfire", "logfire.openai", "openai", keeps_response=True),
    *(
        Instrumentation(
            f"openinference-instrumentation-{name}", f"openinference.instrumentation.{name.replace('-', '_')}", provider,
            keeps_response=name != "litellm",
        )
        for name, provider in (
            ("openai", "openai"), ("anthropic", "anthropic"), ("google-genai", "gcp.gemini"), ("bedrock", "aws.bedrock"),
            ("langchain", "openai"), ("litellm", "openai"), ("openai-agents", "openai"),
        )
    ),
)  # fmt: skip
"""Public: of two rows for one package, the first that its version fits."""

BLIND: Final = (
    (
        f"{_OTEL}genai-openai-agents",
        (f"{_OTEL}genai-openai", f"{_OTEL}openai", f"{_OTEL}openai-v2", "openinference-instrumentation-openai"),
    ),
)
"""Public: (package that writes spans of agents and none of model requests, packages of which one must be beside it)."""


def installed() -> Iterator[tuple[Instrumentation, str]]:
    """Find the instrumentations that this environment has, each with its version."""
    versions = _versions()
    found: set[str] = set()
    for row in INSTRUMENTATIONS:
        version = versions.get(row.package)
        if version is None or row.package in found or (row.before and _ordered(version) >= _ordered(row.before)):
            continue
        if row.package == "anthropic" and _ordered(version) < (2,):
            continue  # it writes no spans of its own yet
        found.add(row.package)
        yield row, version


def installed_scopes() -> list[str]:
    """Give the scopes of the instrumentations that are installed."""
    return [row.scope for row, _ in installed()]


def installed_findings(seen: Collection[str]) -> Iterator[Finding]:
    """Tell what the installed instrumentations hide; those in `seen`, by scope, the ledger has told about already."""
    versions = _versions()
    for package, beside in BLIND:
        if package in versions and versions.keys().isdisjoint(beside):
            yield Finding(
                severity="warning",
                subject=f"{package} {versions[package]}",
                what="writes no spans of model requests: what agents ask for is not charged",
                fix=f"Add {beside[0]}.",
                snippet=f"pip install '{beside[0]}>=1.3b0'",
                link="https://github.com/open-telemetry/opentelemetry-python-genai",
            )
    for row, version in installed():
        if not any(scope.startswith(row.scope) for scope in seen):
            yield _finding(row, version)


def _finding(row: Instrumentation, version: str) -> Finding:
    subject = f"{row.package} {version}"
    if row.keeps_response:
        return Finding(severity="ok", subject=subject, what="its spans keep the provider's own usage")
    known = emitter(row.scope, version, row.provider)
    billed = sold(row.provider, "chat", "")
    gaps = [gap for gap in GAPS if gap in billed and gap in (*known.gaps, *known.always)]
    if not gaps:
        return Finding(severity="ok", subject=subject, what="hides nothing")
    way = remedy(row.scope, row.provider)
    return Finding(
        severity="warning" if any(GAPS[gap].every for gap in gaps) else "ok",
        subject=subject,
        what=f"may hide {', '.join(gaps)} of {row.provider}",
        fix=way.fix,
        snippet=way.command,
        link=way.link,
    )


def _versions() -> dict[str, str]:
    return {_normal(each.name): each.version for each in distributions() if each.name}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
