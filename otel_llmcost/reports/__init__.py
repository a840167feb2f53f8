"""Named questions and typed answers: the same for the command line, the dashboard and exports."""

from otel_llmcost.reports.anomalies import Anomaly, Driver, anomalies
from otel_llmcost.reports.changes import Cause, ChangedRow, Changes, what_changed
from otel_llmcost.reports.comparison import ActiveCustomers, ComparedRow, Comparison, active_customers, compare
from otel_llmcost.reports.dimensions import DIMENSIONS
from otel_llmcost.reports.explain import ExplainedRequest, explain
from otel_llmcost.reports.period import Period
from otel_llmcost.reports.quantiles import Quantiles, cost_quantiles
from otel_llmcost.reports.rate_changes import RateChange, RateInUse, rate_changes, rates_in_use
from otel_llmcost.reports.requests import RequestRow, requests
from otel_llmcost.reports.spend import Measures, Report, SpendRow, spend

__all__ = [
    "DIMENSIONS",
    "ActiveCustomers",
    "Anomaly",
    "Cause",
    "ChangedRow",
    "Changes",
    "ComparedRow",
    "Comparison",
    "Driver",
    "ExplainedRequest",
    "Measures",
    "Period",
    "Quantiles",
    "RateChange",
    "RateInUse",
    "Report",
    "RequestRow",
    "SpendRow",
    "active_customers",
    "anomalies",
    "compare",
    "cost_quantiles",
    "explain",
    "rate_changes",
    "rates_in_use",
    "requests",
    "spend",
    "what_changed",
]
