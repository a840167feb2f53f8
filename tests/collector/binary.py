"""Where the Collector of `make collector` is: the one that was built from the manifest of this checkout, or none."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
CONFIG: Final = ROOT / "collector-config"
MANIFEST: Final = (CONFIG / "builder.yaml", CONFIG / "modules/go.mod", CONFIG / "modules/go.sum")


def collector_binary() -> Path:
    """Give the Collector; without one, skip the test, or fail it in CI, which has to build one."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in MANIFEST)).hexdigest()[:12]
    binary = ROOT / f".collector/otelcol-llmcost-{digest}"
    if not binary.exists():
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("no Collector of this manifest: `make collector` builds it (needs Go)")
    return binary
