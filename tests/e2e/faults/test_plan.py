"""The list of faults and the tests that it names."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_fault_has_a_test_that_exists():
    """
    docs/faults.md numbers every fault from 1 to 100, and each test that it names is there.
    """
    text = (ROOT / "docs/faults.md").read_text()
    tests = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", text)
    numbers = [int(number) for row in re.findall(r"^\| ([\d, ]+) \|", text, re.MULTILINE) for number in row.split(", ")]

    assert sorted(numbers) == list(range(1, 101))
    assert [f"{file}::{name}" for file, name in named if f"def {name}" not in tests.get(file, "")] == []
