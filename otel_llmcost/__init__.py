"""Know what every LLM request cost and who should own it, from the OpenTelemetry spans you already have."""
