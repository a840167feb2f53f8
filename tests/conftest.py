"""What every test starts from: an environment without our settings or OpenTelemetry's, and its own state folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

OURS = ("OTEL_", "OTEL_LLMCOST_", "OPENAI_", "ANTHROPIC_", "AZURE_OPENAI_")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    Take settings and keys out of the environment, and put the state folder into the test's own.
    """
    for name in os.environ:
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
