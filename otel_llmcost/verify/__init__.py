"""
Verify and repair: do the numbers agree, what is there twice, and how both are put right.

`rebuild_rollup` makes a rollup of its rows again; nothing here ever edits or removes a row of a request.
"""

from otel_llmcost.verify.rebuild import rebuild_rollup
from otel_llmcost.verify.rollups import ROLLUPS, RollupMonth, compare, days_of

__all__ = ["ROLLUPS", "RollupMonth", "compare", "days_of", "rebuild_rollup"]
