"""A function that is frozen between its invocations, as docs/reliability.md says to write it."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from otel_llmcost.ledger import connect, migrations
from tests.clickhouse_double import ClickHouseDouble
from tests.e2e.faults.audit import over_http

DOCUMENT = (Path(__file__).parents[3] / "docs" / "reliability.md").read_text()
FROZEN_S = 1.5


def test_each_invocation_is_stored_when_it_answers(tmp_path: Path) -> None:
    """
    The function of the documentation, stopped and continued between its invocations: when it answers that a request is
    stored, the ledger has it, also while the function is frozen, and after a connection was cut during the freeze.
    """
    code = re.search(r"## Serverless\n.*?```python\n(.*?)```", DOCUMENT, re.DOTALL)[1]
    with ClickHouseDouble(tmp_path / "store") as server:
        dsn = server.dsn("serverless")
        with connect(dsn) as ledger:
            migrations.apply(ledger)
        ask = over_http(dsn)
        environment = {
            **os.environ,
            "OTEL_LLMCOST_DSN": dsn,
            "OTEL_LLMCOST_JOURNAL_DIR": str(tmp_path / "journal"),
        }
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            bufsize=1,
        ) as function:
            assert function.stdin is not None
            assert function.stdout is not None
            try:
                for event in range(1, 5):
                    function.stdin.write(f"{event}\n")
                    function.send_signal(signal.SIGCONT)
                    answer = ast.literal_eval(function.stdout.readline())
                    function.send_signal(signal.SIGSTOP)
                    assert answer == {"event": str(event), "is_stored": True}
                    assert ask("SELECT count(), uniqExact(span_id) FROM llm_requests") == [[str(event)] * 2]
                    if event == 2:
                        server.restart()
                    time.sleep(FROZEN_S)
                function.send_signal(signal.SIGCONT)
                function.stdin.close()
                assert function.wait(20) == 0
            finally:
                function.kill()
        assert ask("SELECT sum(requests) FROM spend_by_hour") == [["4"]]
