"""The README keeps its word: what it says about settings, commands, names and the demo is what the package does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import otel_llmcost
from otel_llmcost.cli import COMMANDS
from otel_llmcost.settings import PREFIX, Settings

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_is_documented(name):
    """
    Each setting's environment variable has a row in the README.
    """
    assert f"| `{PREFIX}{name.upper()}` |" in README


def test_every_documented_setting_exists():
    """
    The README names no variable that the package does not read.
    """
    known = {PREFIX + field.name.upper() for field in fields(Settings)}

    assert set(re.findall(PREFIX + r"[A-Z_]+[A-Z]", README)) <= known


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_documented_and_has_help(name):
    """
    Each command stands in the README, and its help has an example.
    """
    assert f"`otel-llmcost {name}`" in README
    command = shutil.which("otel-llmcost", path=str(Path(sys.executable).parent))
    shown = subprocess.run([command, name, "--help"], capture_output=True, text=True, check=True).stdout
    assert f"otel-llmcost {name}" in shown.partition("Options")[0].partition("\n")[2]


def test_the_public_names():
    """
    What can be imported from the package is what it lists, sorted.
    """
    assert otel_llmcost.__all__ == sorted(otel_llmcost.__all__, key=lambda name: (name.islower(), name))
    assert all(hasattr(otel_llmcost, name) for name in otel_llmcost.__all__)


def test_the_demo_prints_what_the_readme_shows(tmp_path):
    """
    The two worked requests in the README are what `otel-llmcost demo` prints, letter for letter.
    """
    shown = re.search(r"```text\n(Two requests, line by line.*?)```", README, re.DOTALL)[1]
    command = shutil.which("otel-llmcost", path=str(Path(sys.executable).parent))
    printed = subprocess.run(
        [command, "demo", "--no-serve", "--requests", "0", "--folder", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert shown.strip() in printed
