"""
Path B: spans of services in any language come in over OTLP/HTTP and become the same rows, by the same meter.

`otel-llmcost serve --otlp` listens. Nothing here is imported by applications.
"""
