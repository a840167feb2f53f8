"""
`otel-llmcost serve` that is killed (kill -9) when the first body is in the journal, and before it is answered.

    python -m tests.receiver.dying serve --otlp 0 --dsn …
"""

import os
import signal
import sys

from otel_llmcost.cli import main
from otel_llmcost.receiver.intake import Intake

take = Intake.take


def take_and_die(self: Intake, found: object) -> None:
    """Journal a body, and be gone."""
    take(self, found)  # type: ignore[arg-type]
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    Intake.take = take_and_die  # type: ignore[method-assign, assignment]
    main(sys.argv[1:])
