"""
The journal: rows that are safe on the local disk, from `append` until the ledger has them.

`Journal` writes, `waiting` and `adopt` hand complete segments to the shipper, `backlog` tells what waits. A row is in
exactly one segment, a segment is in exactly one process's hands, and a segment leaves by being shipped or quarantined.
"""

from otel_llmcost.journal.adoption import adopt, waiting
from otel_llmcost.journal.folder import Backlog, Name, backlog, segment_names
from otel_llmcost.journal.leftovers import Leftovers, leftovers
from otel_llmcost.journal.merging import merge_small
from otel_llmcost.journal.segment import Segment
from otel_llmcost.journal.standby import KeptBatch, Standby
from otel_llmcost.journal.writer import Journal

__all__ = [
    "Backlog",
    "Journal",
    "KeptBatch",
    "Leftovers",
    "Name",
    "Segment",
    "Standby",
    "adopt",
    "backlog",
    "leftovers",
    "merge_small",
    "segment_names",
    "waiting",
]
