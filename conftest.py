"""What every test and every documentation example starts from; the Python blocks of README.md and docs/ are tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser
from sybil.region import Lexeme

SETTINGS = ("OTEL_", "OPENAI_", "ANTHROPIC_", "AZURE_OPENAI_")
"""Ours (OTEL_LLMCOST_) and OpenTelemetry's, and those of the clients that the tests drive."""


def pytest_configure(config: pytest.Config) -> None:
    """
    Register our markers, and let properties take their time: how fast a shared machine is, is no property of ours.
    """
    settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")
    config.addinivalue_line("markers", "slow: installs, or takes long beside quicker tests; `make test-slow` runs it")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    Take settings and keys out of the environment, and put the state folder into the test's own.
    """
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Run a document's examples in a folder of its own: what they write by relative path is gone afterwards.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("examples"))
        yield


class _Examples(PythonEvaluator):
    """
    Runs an example; a ledger that it puts where a service would have it goes into the example's own folder.
    """

    def __call__(self, example: Example) -> None:
        source = example.parsed
        here = source.replace("/var/lib/llmcost", str(Path.cwd() / "ledger"))
        example.parsed = Lexeme(here, source.offset, source.line_offset)
        super().__call__(example)


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser("python", _Examples()), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    fixtures=["empty_environment", "example_folder"],
).pytest()
