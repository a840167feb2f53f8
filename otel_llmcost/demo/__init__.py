"""The provider simulator and the demo traffic: needs the `demo` extra (`pip install 'otel-llmcost[demo]'`)."""
