"""
`otel-llmcost serve --otlp` that is killed (kill -9) when the first body is in the journal: before it is answered, or, with
`DIES_UNMARKED=1`, before anything but the journal knows of it.

    python -m tests.receiver.dying serve --otlp 0 --dsn …
"""

import os
import signal
import sys

from otel_llmcost.cli import main
from otel_llmcost.receiver.intake import Intake
from otel_llmcost.receiver.known import KnownSpans

take = Intake.take
save = KnownSpans.save


def take_and_die(self: Intake, found: object) -> None:
    """Journal a body, and be gone."""
    take(self, found)  # type: ignore[arg-type]
    os.kill(os.getpid(), signal.SIGKILL)


def die_instead(self: KnownSpans) -> None:
    """Be gone as soon as there is something to mark."""
    if self._unsaved:
        os.kill(os.getpid(), signal.SIGKILL)
    save(self)


if __name__ == "__main__":
    if os.environ.get("DIES_UNMARKED"):
        KnownSpans.save = die_instead  # type: ignore[method-assign]
    else:
        Intake.take = take_and_die  # type: ignore[method-assign, assignment]
    main(sys.argv[1:])
