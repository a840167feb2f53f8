"""The wheel alone, in a fresh environment, does the main job: SQL, data and templates are inside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
LOCK = PROJECT / "requirements" / "dev.txt"


@pytest.mark.slow
def test_the_wheel_runs_the_demo(tmp_path: Path) -> None:
    """
    The built wheel with its `demo` extra, installed in a fresh environment, prints the two worked requests.
    """
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, PROJECT)
    (wheel,) = tmp_path.glob("otel_llmcost-*.whl")
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    pins = tmp_path / "pins.txt"
    # Versions without hashes: with them pip would ask for a hash of our own wheel too.
    pins.write_text("\n".join(re.findall(r"^[a-z0-9-]+==[^\\\n]+", LOCK.read_text(), re.MULTILINE)))
    pip = ("-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
    run(python, *pip, "--constraint", pins, f"{wheel}[demo]")
    empty = tmp_path / "empty"
    empty.mkdir()
    printed = run(python.with_name("otel-llmcost"), "demo", "--no-serve", "--requests", "500", folder=empty)
    for figure in ("$0.01155", "$0.042", "$115.50", "$3,465.00", "$84.00", "$2,520.00"):
        assert figure in printed


def run(*command: str | Path, folder: Path = PROJECT) -> str:
    """Run a command outside the checkout's import path; its output is the message when it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
