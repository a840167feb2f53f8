"""
Verify and repair: do the numbers agree, what is there twice, and how both are put right.

`verify` only asks; `plan` tells what a repair would do and `carry_out` does it; `rebuild_rollup` makes a month of a rollup
from its rows again. Nothing here ever edits or removes a row of a request.
"""

from otel_llmcost.verify.checks import Check
from otel_llmcost.verify.rebuild import rebuild_rollup
from otel_llmcost.verify.repair import Plan, carry_out, plan, steps
from otel_llmcost.verify.rollups import ROLLUPS, RollupMonth, compare, days_of
from otel_llmcost.verify.settling import journal_of
from otel_llmcost.verify.verification import EVER, Verification, verify

__all__ = [
    "EVER",
    "ROLLUPS",
    "Check",
    "Plan",
    "RollupMonth",
    "Verification",
    "carry_out",
    "compare",
    "days_of",
    "journal_of",
    "plan",
    "rebuild_rollup",
    "steps",
    "verify",
]
