"""
One server for the tests of a module, and one ledger that all of them add to: each test audits everything so far.

So a fault must not damage what was stored before it either, and no test waits for tables of its own.
"""

from __future__ import annotations

from pathlib import Path

from otel_llmcost.journal import backlog
from otel_llmcost.ledger import connect, migrations
from tests.clickhouse_double import ClickHouseDouble
from tests.e2e.faults.application import Application
from tests.e2e.faults.audit import Audit, audit, over_http

__all__ = ["Bank"]


class Bank:
    """A ledger on a server that fails, and what it must hold."""

    def __init__(self, server: ClickHouseDouble, database: str) -> None:
        self.server = server
        self.dsn = server.dsn(database)
        self.database = database
        self.want: dict[str, int] = {}
        self._applications: list[Application] = []
        with connect(self.dsn) as ledger:
            migrations.apply(ledger)

    def application(self, folder: Path, *, dsn: str = "") -> Application:
        """Start an application whose calls this ledger must hold in the end."""
        self._applications.append(Application(dsn or self.dsn, folder))
        return self._applications[-1]

    def settle(self, application: Application, *, seconds: float = 30.0) -> None:
        """Ship what waits: then every call of every test so far is stored once, at its cost, and nothing else is."""
        assert application.drain(seconds), backlog(application.exporter.journal_dir)
        assert backlog(application.exporter.journal_dir).quarantined == 0
        self.want |= application.ended
        found = self.audit()
        assert found == Audit(), found

    def command(self, sql: str) -> None:
        """Do to the ledger what its administrator might."""
        with connect(self.dsn) as ledger:
            ledger.command(sql, what="break or mend")

    def audit(self) -> Audit:
        """Audit now; what a test that failed left behind may be there or not."""
        left = {span: cost for each in self._applications for span, cost in each.ended.items() if span not in self.want}
        return audit(over_http(self.dsn), self.want, possible=left)
