"""Settings, sampler and propagators: what loses money without a word is named, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_llmcost.doctor.environment import (
    propagator_findings,
    sampler_findings,
    settings_findings,
    usable_settings,
)
from otel_llmcost.doctor.finding import Finding
from otel_llmcost.settings import Settings


def worst(findings: list[Finding]) -> str:
    """The worst severity among them."""
    return min((finding.severity for finding in findings), key=["problem", "warning", "ok"].index)


def test_every_wrong_setting_is_named(tmp_path: Path) -> None:
    """
    All wrong settings are named at once, each with the variable; the others are used all the same.
    """
    card = tmp_path / "card.yaml"
    card.write_text("rate_card: ours\ncurrency: EUR\n")
    environ = {
        "OTEL_LLMCOST_DSN": "postgres://secret@host",
        "OTEL_LLMCOST_RATE_CARDS": str(card),
        "OTEL_LLMCOST_TRUST_INBOUND": "perhaps",
        "OTEL_LLMCOST_INTERNAL_HOSTS": "https://api.example.com",
        "OTEL_LLMCOST_GATEWAYS": "llm.example.com",
        "OTEL_LLMCOST_BAGGAGE_KEYS": "tenant.id=nobody knows",
        "OTEL_LLMCOST_JOURNAL_MAX_BYTES": "2097152",
    }

    found = {finding.subject: finding for finding in settings_findings(environ)}

    wrong = environ.keys() - {"OTEL_LLMCOST_GATEWAYS", "OTEL_LLMCOST_JOURNAL_MAX_BYTES"}
    assert wrong == found.keys()
    assert {"problem"} == {finding.severity for finding in found.values()}
    assert f"{card}:2" in found["OTEL_LLMCOST_RATE_CARDS"].what
    assert "secret" not in repr(found)
    assert usable_settings(environ) == Settings(gateways=("llm.example.com",), journal_max_bytes=2097152)


def test_a_setting_that_is_none() -> None:
    """
    A misspelled setting is warned about with the nearest real one.
    """
    (finding,) = settings_findings({"OTEL_LLMCOST_RATECARDS": "x"})

    assert (finding.severity, finding.fix) == ("warning", "Did you mean OTEL_LLMCOST_RATE_CARDS?")


def test_native_spans_switched_off() -> None:
    """
    Switching off the only spans that split cache writes by lifetime is warned about.
    """
    assert worst(list(settings_findings({"ANTHROPIC_OPEN_TELEMETRY": "false"}))) == "warning"


@pytest.mark.parametrize(
    ("environ", "severity", "said"),
    [
        ({}, "ok", "in code cannot be seen"),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, "ok", "drops nothing"),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1"}, "ok", "drops nothing"),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
            "warning",
            "drops 90 % of all traces",
        ),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "much"}, "ok", "drops nothing"),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, "warning", "every trace"),
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "warning", "not known here"),
        ({"OTEL_TRACES_SAMPLER": "llmcost", "OTEL_TRACES_SAMPLER_ARG": "0.1"}, "ok", "recorded and charged"),
        ({"OTEL_TRACES_SAMPLER": "always_off", "OTEL_LLMCOST_RECORD_ALL": "true"}, "ok", "RECORD_ALL"),
        ({"OTEL_CONFIG_FILE": "/etc/otel.yaml", "OTEL_TRACES_SAMPLER": "always_off"}, "ok", "/etc/otel.yaml"),
        ({"OTEL_SDK_DISABLED": "true"}, "problem", "no spans"),
    ],
)
def test_samplers(environ: dict[str, str], severity: str, said: str) -> None:
    """
    A sampler that may lose money is warned about; one that cannot is not.
    """
    found = list(sampler_findings(environ, ["litellm"], Settings.from_env(environ)))

    assert severity == worst(found)
    assert said in " ".join(finding.what for finding in found)
    assert severity != "warning" or "known when a span starts: litellm" in found[0].what


@pytest.mark.parametrize(
    ("sampler", "said"),
    [("parentbased_traceidratio", "OTEL_TRACES_SAMPLER=llmcost"), ("traceidratio", "configure()")],
)
def test_a_fix_changes_nothing_that_is_exported(sampler: str, said: str) -> None:
    """
    Our own sampler is named in place of the one that it exports the same as; any other is to be wrapped.
    """
    environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0.1"}

    (finding,) = sampler_findings(environ, ["litellm"], Settings())

    assert said in finding.fix


@pytest.mark.parametrize("sampler", ["llmcost", "parentbased_traceidratio"])
def test_who_needs_record_all(sampler: str) -> None:
    """
    With a sampler that drops, the emitters that are not known at span start are named; the known ones are not.
    """
    environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0.1"}
    scopes = ["acme.agents", "litellm", "ai", "haystack", "pydantic-ai"]

    (finding,) = [
        each for each in sampler_findings(environ, scopes, Settings()) if each.subject == "OTEL_LLMCOST_RECORD_ALL"
    ]

    assert finding.what.startswith("not known at span start by their scope: acme.agents. ")


@pytest.mark.parametrize(
    ("text", "guard", "severity"),
    [
        (None, True, "ok"),
        ("tracecontext,llmcost_baggage", False, "ok"),
        ("tracecontext, baggage", False, "problem"),
        ("tracecontext", True, "warning"),
        ("none", True, "warning"),
        ("tracecontext,baggage,nowhere", True, "problem"),
    ],
)
def test_propagators(text: str | None, guard: bool, severity: str) -> None:
    """
    Owners that stop at the first service, leave to providers, or stop the process are named.
    """
    environ = {} if text is None else {"OTEL_PROPAGATORS": text}

    (finding,) = propagator_findings(environ, Settings(guard_propagation=guard))

    assert severity == finding.severity
