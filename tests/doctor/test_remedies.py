"""The public tables: no gap without its effect, no instrumentation with gaps without a remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_llmcost.dialects.emitters import ALL_GAPS, EMITTERS, emitter
from otel_llmcost.doctor import GAPS, REMEDIES, remedy
from otel_llmcost.doctor.installed import INSTRUMENTATIONS

DOCS = Path(__file__).parents[2] / "docs" / "usage-gaps.md"
LISTED = [row for row in EMITTERS if row.scope and (row.gaps or row.always)]
PACKAGE = re.compile(r"(?:opentelemetry|openinference)-instrumentation-[a-z0-9-]*[a-z0-9]")


def test_every_gap_has_its_effect() -> None:
    """
    Every gap that a row may name is explained, and no other; the docs say the same.
    """
    assert {*ALL_GAPS, "cache_write_ttl", "output"} == GAPS.keys()
    for name, gap in GAPS.items():
        assert f"| `{name}` | {gap.effect} |" in DOCS.read_text()


@pytest.mark.parametrize("row", LISTED, ids=lambda row: f"{row.scope}-{row.provider}")
def test_every_instrumentation_with_gaps_has_a_remedy(row) -> None:
    """
    Each listed instrumentation that hides money has a remedy of its own, not the one for strangers.
    """
    way = remedy(row.scope, row.provider)

    assert way.scope
    assert way.fix.endswith(".")
    assert way.link.startswith("https://")


@pytest.mark.parametrize("row", REMEDIES, ids=lambda row: f"{row.scope}-{row.provider}")
def test_every_remedy_is_given(row) -> None:
    """
    No remedy is hidden behind another.
    """
    assert remedy(row.scope, row.provider) is row


def test_strangers_have_a_remedy() -> None:
    """
    An instrumentation that nobody listed has a remedy too.
    """
    assert remedy("com.example.unheard-of", "x_ai").fix


@pytest.mark.parametrize("row", REMEDIES, ids=lambda row: f"{row.scope}-{row.provider}")
def test_remedies_name_packages_that_are_known(row) -> None:
    """
    Every package that a remedy names is one whose own gaps are known; what is to be installed is named in words too.
    """
    known = {each.package for each in INSTRUMENTATIONS}

    assert set(PACKAGE.findall(row.fix + row.command)) <= known
    assert set(PACKAGE.findall(row.command)) <= set(PACKAGE.findall(row.fix))


@pytest.mark.parametrize("row", LISTED, ids=lambda row: f"{row.scope}-{row.provider}")
def test_a_remedy_hides_less(row) -> None:
    """
    OpenTelemetry's instrumentation of OpenAI is never named to those who see as much already.
    """
    if row.provider in ("", "openai") and "genai-openai>=1.3b0" in remedy(row.scope, "openai").install:
        better = emitter("opentelemetry.instrumentation.genai.openai", "1.3b0", "openai")
        assert set(better.gaps) < {*row.gaps, *row.always}
