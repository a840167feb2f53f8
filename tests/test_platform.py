"""What users of a platform that we do not run on are told."""

from __future__ import annotations

import subprocess
import sys


def test_where_there_is_no_flock_the_import_says_so() -> None:
    """
    Importing the package on Windows fails with the reason and what to use instead, in its last line.
    """
    without = "import sys; sys.platform = 'win32'; sys.modules['fcntl'] = None; import otel_llmcost"
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "otel-llmcost runs on Linux and macOS" in done.stderr.splitlines()[-1]
    assert "'win32'. On Windows use WSL" in done.stderr.splitlines()[-1]
