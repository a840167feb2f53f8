"""
The offline auditor: pasted traces and raw response bodies through the same meter, without a ledger.

Reading (`documents`, `otlp_json`, `bodies`) turns whatever is given into spans and calls; `trail` decides them all at
once; `result` is the answer. Limits: 64 MiB for one line or document, 1,000,000 spans for one audit.
"""

from __future__ import annotations

from otel_llmcost.audit.bodies import Defaults
from otel_llmcost.audit.result import Audit, AuditedRequest, Problem, Totals
from otel_llmcost.audit.run import audit

__all__ = ["Audit", "AuditedRequest", "Defaults", "Problem", "Totals", "audit"]
