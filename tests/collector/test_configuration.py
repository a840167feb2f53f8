"""Every configuration that we ship is one that the Collector takes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from otel_llmcost.dialects import GATE_KEYS
from tests.collector.binary import CONFIG, collector_binary

RUNS = (
    ("agent.yaml",),
    ("agent.yaml", "agent-tls.yaml"),
    ("gateway.yaml",),
    ("gateway.yaml", "gateway-tls.yaml"),
    ("gateway.yaml", "gateway-otel-traces.yaml"),
    ("gateway.yaml", "gateway-otel-traces.yaml", "gateway-tls.yaml"),
)


@pytest.mark.parametrize("files", RUNS, ids="+".join)
def test_every_configuration_is_valid(files: tuple[str, ...], tmp_path: Path) -> None:
    """The Collector's own `validate` takes each file, alone or over the one that it adds to."""
    command = [str(collector_binary()), "validate"]
    for file in files:
        command += ["--config", str(CONFIG / file)]
    states = {"LLMCOST_AGENT_STATE": str(tmp_path / "agent"), "LLMCOST_GATEWAY_STATE": str(tmp_path / "gateway")}
    run = subprocess.run(command, env=states, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


def test_every_file_is_run() -> None:
    """A configuration that no test validates cannot be added."""
    shipped = {file.name for file in CONFIG.glob("*.yaml")} - {"builder.yaml"}
    assert shipped == {file for files in RUNS for file in files}


def test_the_cost_branch_asks_for_what_dialects_ask_for() -> None:
    """A span that a dialect may claim is not filtered out: a new gate has to be added to gateway.yaml, too."""
    gateway = yaml.safe_load((CONFIG / "gateway.yaml").read_text())
    (condition,) = gateway["processors"]["filter/genai"]["traces"]["span"]
    asked = set(re.findall(r'attributes\["([^"]+)"\] == nil', condition))
    assert asked >= GATE_KEYS
