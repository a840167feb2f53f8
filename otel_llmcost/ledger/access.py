"""
Who may do what in a ledger on a server: three roles, as statements that may be repeated.

Users are not made here: their passwords are nobody's but their own. Limits: on a cluster there is no role for one team's
readers, because there is no proof here that its row policies hold on the nodes that read for another.
"""

from __future__ import annotations

from string import Template

from otel_llmcost.errors import LedgerRefused
from otel_llmcost.ledger.connection import Ledger
from otel_llmcost.ledger.rendering import LOCAL, file_names, read_sql

__all__ = ["access_statements", "apply_access"]


def access_statements(database: str, cluster: str = "") -> dict[str, str]:
    """Give the statements by the names of their files, in order."""
    placed = {
        "database": database,
        "on_cluster": f" ON CLUSTER '{cluster}'" if cluster else "",
        "local": LOCAL if cluster else "",
    }
    texts = {name: read_sql("access", name) for name in file_names("access")}
    return {
        name: Template(text).substitute(placed) for name, text in texts.items() if not cluster or "$on_cluster" in text
    }


def apply_access(ledger: Ledger, cluster: str = "") -> list[str]:
    """
    Make the roles, and give them what they may; give the names of the statements.

    Raises `LedgerDenied` where the user may not, which names the grant that it lacks, and `LedgerRefused` for an embedded
    ledger.
    """
    if ledger.dsn.kind == "chdb":
        raise LedgerRefused(
            f"{ledger.dsn} is an embedded ledger, which has no users: whoever may read its folder may read it (mode 0700)"
        )
    statements = access_statements(ledger.dsn.database, cluster)
    for name, sql in statements.items():
        ledger.command(sql, what=f"apply {name}")
    return list(statements)
