"""
The chaos: producers that are killed and stopped, a server that fails most inserts and is killed, then an audit.

    python -m tests.e2e.chaos --seed 7 --kills 100 --spans 100000

A seed fixes who is killed when and which inserts fail, not how the system schedules the processes: a run that failed
fails again often, not always.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from otel_llmcost.ledger import connect, migrations
from tests.clickhouse_double import ClickHouseDouble, Fault
from tests.e2e.chaos import mutants, peers
from tests.e2e.chaos.producer import drain, produce
from tests.e2e.chaos.work import PER_PROCESS, Place, charged, charged_first, picodollars
from tests.e2e.faults.audit import Audit, audit, over_http

_LONGEST_S = 1800
_MEMORY = Path("/dev/shm")
_REQUESTS = "INSERT INTO.*llm_requests"
SURE = (
    # longer than the client waits: what others insert meanwhile is what a window must be larger than
    Fault("after", "hang", match=_REQUESTS, times=2, value="11"),
    Fault("after", "reset", match=_REQUESTS, times=3),
    Fault("after", "reset", match="INSERT INTO.*llm_adjustments", times=2),
    Fault("before", "html", match=_REQUESTS, times=2),
)
"""What happens in every run, however short, before faults are drawn from the mix: each kills a mutant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of it."""

    seed: int = 7
    variant: str = "otel-llmcost"
    producers: int = 5
    kills: int = 100
    """Kills of producers by SIGKILL or SIGTERM; stops and kills of the server come on top."""
    spans: int = 100_000
    """Requests that must have ended."""
    inserts: int = 0
    """Inserts that the server must have been asked for after the sure faults."""
    spans_per_second: int = 400
    """Of each producer, at most."""
    faulted: float = 0.7
    """The share of inserts that fail in some way."""

    @property
    def replay(self) -> str:
        """The command that does it again."""
        variant = f" --variant '{self.variant}'" if self.variant != "otel-llmcost" else ""
        return f"python -m tests.e2e.chaos --seed {self.seed} --kills {self.kills} --spans {self.spans}{variant}"


@dataclass(slots=True, kw_only=True)
class Result:
    """What happened, and what the audit found."""

    plan: Plan
    killed: int = 0
    terminated: int = 0
    stopped: int = 0
    server_kills: int = 0
    mixed: bool = False
    """Whether the server's faults are drawn by now."""
    inserts: int = 0
    """Since then; and how many of them the server let fail."""
    faulted: int = 0
    seconds: float = 0.0
    drain_seconds: float = 0.0
    drained: bool = True
    ended: int = 0
    """Requests whose `span.end()` had returned, as their producers wrote down."""
    audit: Audit = field(default_factory=Audit)

    @property
    def is_exact(self) -> bool:
        """Tell whether all that ended is stored once, and nothing else."""
        return self.drained and self.audit == Audit()


class Producers:
    """The processes that end spans; a dead one is replaced."""

    def __init__(self, place: Place, count: int) -> None:
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.e2e.chaos.producer"])
        self._place = place
        self._started = 0
        self.living: list[ForkServerProcess] = []
        for _ in range(count):
            self.start()

    def start(self) -> None:
        """Start one more."""
        process = self._context.Process(target=produce, args=(self._place, self._started), daemon=True)
        process.start()
        self._started += 1
        self.living.append(process)

    def end(self, process: ForkServerProcess, how: signal.Signals) -> None:
        """End one, and wait for it."""
        self.living.remove(process)
        assert process.pid
        os.kill(process.pid, how)
        process.join(20)
        if process.is_alive():
            process.kill()
            raise AssertionError(f"{how.name} did not end a producer")

    def end_all(self) -> None:
        """Kill all."""
        for process in [*self.living]:
            self.end(process, signal.SIGKILL)

    def drain(self) -> bool:
        """Ship what they left; True if nothing is left."""
        process = self._context.Process(target=drain, args=(self._place,), daemon=True)
        process.start()
        process.join()
        return process.exitcode == 0


class Chaos:
    """One run."""

    def __init__(self, plan: Plan, folder: Path, server: ClickHouseDouble) -> None:
        self._chance = random.Random(plan.seed)
        self._server = server
        self._place = Place(
            folder=folder, dsn=server.dsn(), variant=plan.variant, spans_per_second=plan.spans_per_second
        )
        self.result = Result(plan=plan)

    def run(self) -> Result:
        """Do it all."""
        plan, result, began = self.result.plan, self.result, time.monotonic()
        self._prepare()
        self._server.inject(*SURE)
        producers = Producers(self._place, plan.producers)
        try:
            while self._is_unfinished():
                assert time.monotonic() - began < _LONGEST_S, "the run takes too long"
                time.sleep(self._chance.uniform(0.05, 0.5))
                self._disturb(producers)
                self._go_on_with_a_mix()
        finally:
            producers.end_all()
        self._count_inserts()
        self._server.inject()
        result.seconds = time.monotonic() - began
        result.drained = producers.drain()
        result.drain_seconds = time.monotonic() - began - result.seconds
        ended = self._place.ended()
        numbers = [number for process in ended.values() for number in process]
        # what a process was about when it was killed: there or not, and at most one request each
        last = [max(numbers, default=process * PER_PROCESS - 1) + 1 for process, numbers in ended.items()]
        result.ended = len(numbers)
        result.audit = audit(
            over_http(self._place.dsn),
            {charged(number): picodollars(number) for number in numbers},
            possible={charged(number): picodollars(number) for number in last} | {charged_first(n): 0 for n in last},
        )
        return result

    def _prepare(self) -> None:
        self._place.reported.mkdir()
        variant = self._place.variant
        window = mutants.MUTANTS[variant].window if variant in mutants.MUTANTS else None
        if variant in peers.UNJOURNALED:
            window = 0  # ClickHouse's default
        with connect(self._place.settings.dsn) as ledger:
            migrations.apply(ledger)
            for table in mutants.WINDOWED if window is not None else ():
                setting = f"MODIFY SETTING non_replicated_deduplication_window = {window}"
                ledger.command(f"ALTER TABLE {table} {setting}", what="change how much is remembered")

    def _is_unfinished(self) -> bool:
        plan = self.result.plan
        if self.result.killed + self.result.terminated < plan.kills:
            return True
        drawn = self.result.inserts + self._server.drawn()[0]
        return not self.result.mixed or drawn < plan.inserts or sum(map(len, self._place.ended().values())) < plan.spans

    def _disturb(self, producers: Producers) -> None:
        """Let one thing go wrong: 70 % SIGKILL, 10 % each SIGTERM, SIGSTOP and SIGCONT, kill of the server."""
        victim, draw = self._chance.choice(producers.living), self._chance.random()
        if draw < 0.1 and self.result.mixed:  # what is sure to fail would be forgotten
            self._count_inserts()
            self._server.restart()
            self.result.server_kills += 1
        elif draw < 0.2:
            assert victim.pid
            os.kill(victim.pid, signal.SIGSTOP)
            time.sleep(self._chance.uniform(0.1, 1.0))
            os.kill(victim.pid, signal.SIGCONT)
            self.result.stopped += 1
        elif draw < 0.3:
            producers.end(victim, signal.SIGTERM)
            producers.start()
            self.result.terminated += 1
        else:
            producers.end(victim, signal.SIGKILL)
            producers.start()
            self.result.killed += 1

    def _go_on_with_a_mix(self) -> None:
        if not self.result.mixed and self._had_all_sure_faults():
            self._server.inject_mix(self.result.plan.seed, self.result.plan.faulted, hang_seconds=0.3)
            self.result.mixed = True

    def _had_all_sure_faults(self) -> bool:
        sent = [statement["sql"] for statement in self._server.statements()]
        return sum(bool(re.search(_REQUESTS, sql)) for sql in sent) >= sum(
            f.times for f in SURE if f.match == _REQUESTS
        )

    def _count_inserts(self) -> None:
        drawn, faulted = self._server.drawn()
        self.result.inserts += drawn
        self.result.faulted += faulted


def run(plan: Plan) -> Result:
    """Run a plan in a folder of its own: in memory where it can be, for kill -9 does not tell a disk from it."""
    with (
        tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder,
        ClickHouseDouble(Path(folder) / "store") as server,
    ):
        return Chaos(plan, Path(folder), server).run()
