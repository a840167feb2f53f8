"""
From the journal into the ledger: each row exactly once, whatever is repeated.

`ship_once` is one round, for owners of an embedded ledger and for the command line; `ShipperThread` ships to a server
in the background of an application. Both can run anywhere at the same time: a segment's lock decides.
"""

from otel_llmcost.shipper.draining import Drained, drain
from otel_llmcost.shipper.rounds import RowLedger, Shipped, ship_once
from otel_llmcost.shipper.thread import ShipperThread

__all__ = ["Drained", "RowLedger", "Shipped", "ShipperThread", "drain", "ship_once"]
