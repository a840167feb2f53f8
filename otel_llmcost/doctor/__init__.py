"""
The doctor: what makes the bill wrong or incomplete here, each finding with its fix.

It looks at the ledger (what was spent through which instrumentation, and what that one hides) and at the environment of
its own process: settings, sampler, propagators, installed instrumentations, journal and disk.
"""

from otel_llmcost.doctor.examination import Examination, examine
from otel_llmcost.doctor.finding import Finding, Severity
from otel_llmcost.doctor.remedies import GAPS, REMEDIES, Gap, Remedy, remedy

__all__ = ["GAPS", "REMEDIES", "Examination", "Finding", "Gap", "Remedy", "Severity", "examine", "remedy"]
