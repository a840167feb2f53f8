"""The ledger: one contract, two engines. Importing this loads neither an engine nor a database client."""

from otel_llmcost.ledger.answers import Answers
from otel_llmcost.ledger.connection import TABLES, Ledger, connect
from otel_llmcost.ledger.dsn import Dsn, parse_dsn

__all__ = ["TABLES", "Answers", "Dsn", "Ledger", "connect", "parse_dsn"]
