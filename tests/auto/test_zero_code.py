"""Zero code: `opentelemetry-instrument python app.py` and environment variables, in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from otel_llmcost.demo.simulator import Reply, Simulator
from otel_llmcost.journal import waiting
from otel_llmcost.ledger.dsn import parse_dsn
from otel_llmcost.model import Usage
from otel_llmcost.settings import Settings

BIN = Path(sys.executable).parent
APP = Path(__file__).parent / "app.py"
DOCUMENT = Path(__file__).parents[2] / "docs" / "zero-code.md"
WORKED = Reply(usage=Usage(input_tokens=8_000, cached_input_tokens=2_000, output_tokens=1_200))


@pytest.fixture(name="simulator", scope="module")
def _simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


def run(simulator: Simulator, *, requests: int = 1, command: str = "opentelemetry-instrument", **variables: str):
    """Run the application with only these variables, against the simulator; give what it printed."""
    simulator.script(*[WORKED] * requests)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment |= {f"OTEL_{part}_EXPORTER": "none" for part in ("TRACES", "METRICS", "LOGS")}
    environment["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = "anthropic,httpx,requests"  # not used here, slow to load
    environment |= variables
    done = subprocess.run(
        [BIN / command, sys.executable, APP, simulator.openai_base_url, str(requests)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


def rows(dsn: str) -> list[dict]:
    """Read the journaled requests of a ledger, as its shipper would."""
    found: list[dict] = []
    parsed = parse_dsn(dsn)
    for segment in waiting(parsed.journal_dir(Settings(dsn=dsn)), parsed.fingerprint):
        if segment.table == "llm_requests":
            found += [orjson.loads(line) for line in segment.payload().splitlines()]
        segment.release()
    return found


def test_environment_variables_alone_price_and_store(simulator, tmp_path):
    """
    With nothing but a DSN and an owner in the resource, the worked request is a row with its exact cost.
    """
    dsn = f"chdb://{tmp_path}/ledger"
    run(
        simulator,
        OTEL_LLMCOST_DSN=dsn,
        OTEL_SERVICE_NAME="checkout",
        OTEL_RESOURCE_ATTRIBUTES="llmcost.team=support,deployment.environment.name=prod",
    )
    (row,) = rows(dsn)

    assert tuple(row[key] for key in ("cost_usd", "team", "environment", "service_name", "model")) == (
        "0.01155",
        "support",
        "prod",
        "checkout",
        "gpt-5.4-mini",
    )


def test_what_is_not_exported_is_priced(simulator, tmp_path):
    """
    Whatever the sampler, no request is lost and none is exported; our propagator by name stands beside the processor.
    """
    dsn = f"chdb://{tmp_path}/ledger"
    done = run(
        simulator,
        requests=3,
        OTEL_LLMCOST_DSN=dsn,
        OTEL_TRACES_SAMPLER="always_off",
        OTEL_TRACES_EXPORTER="console",
        OTEL_PROPAGATORS="tracecontext,llmcost_baggage",
    )

    assert [row["cost_usd"] for row in rows(dsn)] == ["0.01155"] * 3
    assert "trace_id" not in done.stdout


def test_the_exporter_by_name_gets_its_processor(simulator, tmp_path):
    """
    `OTEL_TRACES_EXPORTER=llmcost` and `OTEL_TRACES_SAMPLER=llmcost`: what is not exported is stored, once.
    """
    dsn = f"chdb://{tmp_path}/ledger"
    run(
        simulator,
        OTEL_LLMCOST_DSN=dsn,
        OTEL_TRACES_EXPORTER="llmcost",
        OTEL_TRACES_SAMPLER="llmcost",
        OTEL_TRACES_SAMPLER_ARG="0",
    )

    assert [row["cost_usd"] for row in rows(dsn)] == ["0.01155"]


def test_a_wrong_setting_is_one_line_and_the_application_runs(simulator):
    """
    A wrong setting leaves the application and its tracing alone, and says what is wrong in one line.
    """
    done = run(simulator, OTEL_LLMCOST_DSN="postgres://x", OTEL_TRACES_EXPORTER="console")

    assert done.stderr.count("otel-llmcost stays off: ") == 1
    assert "trace_id" in done.stdout
    assert "Traceback" not in done.stderr


CONFIGURATION = """
file_format: "1.1"
tracer_provider:
  processors: [{{simple: {{exporter: {{console: }}}}}}]
  sampler: {{parent_based: {{root: {{trace_id_ratio_based: {{ratio: 0.0}}}}}}}}
propagator:
  composite: [{{tracecontext: }}, {{llmcost_baggage: {{internal_hosts: ["api.example.com"]}}}}]
instrumentation/development:
  python:
    llmcost: {{dsn: "{dsn}", internal_hosts: ["api.example.com"]}}
"""

EXPORTER = """
file_format: "1.1"
tracer_provider:
  sampler: {{llmcost: }}
  processors:
    - batch: {{exporter: {{llmcost: {{dsn: "{dsn}"}}}}}}
"""


@pytest.mark.parametrize("configuration", [CONFIGURATION, EXPORTER], ids=["instrumentor", "exporter"])
def test_a_configuration_file(simulator, tmp_path, configuration):
    """
    `OTEL_CONFIG_FILE`: as an instrumentor with its options, or as an exporter; each request is one row.
    """
    pytest.importorskip("opentelemetry.configuration", reason="opentelemetry-configuration is not installed")
    dsn = f"chdb://{tmp_path}/ledger"
    (tmp_path / "otel.yaml").write_text(configuration.format(dsn=dsn))
    run(simulator, OTEL_CONFIG_FILE=str(tmp_path / "otel.yaml"))

    assert [row["cost_usd"] for row in rows(dsn)] == ["0.01155"]


def test_the_documented_configuration_file_is_one(tmp_path):
    """
    The file in docs/zero-code.md has the form that opentelemetry-configuration asks for.
    """
    loader = pytest.importorskip(
        "opentelemetry.configuration.file", reason="opentelemetry-configuration is not installed"
    )
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    (tmp_path / "otel.yaml").write_text(example)

    assert "llmcost" in loader.load_config_file(str(tmp_path / "otel.yaml")).instrumentation_development.python
