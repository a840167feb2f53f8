"""
A double of a ClickHouse server: its HTTP interface, faults included, in front of the real engine (chDB).

Runs in a process of its own (`tests/clickhouse_double_process.py`), because an engine allows one store per process. In
a test:

    with ClickHouseDouble() as server:
        ledger = connect(server.dsn("llmcost"))
        server.inject(Fault("after", "reset", match="INSERT"))   # stored, but the client never hears
        server.inject_mix(seed=7, share=0.6)                     # any fault, for 60 % of the inserts

What it does not do: users and grants, compression, sessions, progress headers, parallel queries.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from urllib.request import Request, urlopen

from tests.clickhouse_double_process import MEMORY_LIMIT, PASSWORD, TOO_MANY_PARTS, USERNAME, Fault

__all__ = ["MEMORY_LIMIT", "PASSWORD", "TOO_MANY_PARTS", "USERNAME", "ClickHouseDouble", "Fault"]

_SERVER = Path(__file__).with_name("clickhouse_double_process.py")


class ClickHouseDouble:
    """The test's side: starts the process, gives DSNs, injects faults, tells what was received."""

    def __init__(self, store: Path | None = None) -> None:
        self._store = store
        self._mix: dict[str, Any] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()

    def _start(self) -> None:
        command = [sys.executable, str(_SERVER), str(self._store or ":memory:"), str(self.port)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port, self._control_port = map(int, self.process.stdout.readline().split())

    def kill(self) -> None:
        """Kill the server: what it was doing is undone or done."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def restart(self) -> None:
        """Kill the server, and start it again on the same store and port; a mix goes on, with the next seed."""
        self.kill()
        self._start()
        if self._mix:
            self._mix["seed"] += 1
            self._tell("mix", **self._mix)

    def dsn(self, database: str = "llmcost", *, scheme: str = "http", host: str = "127.0.0.1", port: int = 0) -> str:
        """The DSN of a database of this server."""
        return f"{scheme}://{USERNAME}:{quote(PASSWORD, safe='')}@{host}:{port or self.port}/{database}"

    def inject(self, *faults: Fault) -> None:
        """Let these faults happen, and no others; none at all ends a mix too."""
        self._mix = None
        self._tell("faults", faults=[asdict(fault) for fault in faults])

    def inject_mix(self, seed: int, share: float, *, match: str = "INSERT", hang_seconds: float = 2.0) -> None:
        """
        Let a share (0 to 1) of the statements that match fail, each in a way drawn from all that pass.

        A hang shorter than the client's time-out (10 s) is only a late answer.
        """
        self._mix = {"seed": seed, "share": share, "match": match, "hang_seconds": hang_seconds}
        self._tell("mix", **self._mix)

    def drawn(self) -> tuple[int, int]:
        """Tell how many statements matched a mix since the server started, and how many of them it let fail."""
        drawn, faulted = self._tell("drawn")
        return drawn, faulted

    def statements(self) -> list[dict[str, Any]]:
        """What was received: `{"sql": first 200 characters, "parameters": of the URL}`, oldest first."""
        received: list[dict[str, Any]] = self._tell("statements")
        return received

    def listen(self, *, host: str = "127.0.0.1", certificate: Path | None = None) -> int:
        """Answer at one more port, with TLS if there is a file of certificate and key; give the port."""
        port: int = self._tell("listen", host=host, certificate=str(certificate or ""))
        return port

    @contextmanager
    def away(self) -> Iterator[None]:
        """Refuse connections for a while; what is stored stays."""
        self._tell("away", away=True)
        try:
            yield
        finally:
            self._tell("away", away=False)

    def _tell(self, what: str, **said: object) -> Any:
        url = f"http://127.0.0.1:{self._control_port}/{what}"
        with urlopen(Request(url, json.dumps(said).encode(), method="POST"), timeout=10) as answer:
            return json.loads(answer.read())
