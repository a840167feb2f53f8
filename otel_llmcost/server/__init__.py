"""The process behind `otel-llmcost serve`: it owns an embedded ledger, ships its journal, and answers other processes."""

from otel_llmcost.server.serving import Server

__all__ = ["Server"]
