"""What a reader collects, as plain data."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader


def collected(reader: InMemoryMetricReader) -> list[dict[str, Any]]:
    """Collect: a dict for each point."""
    found = reader.get_metrics_data()
    return [
        {
            "name": metric.name,
            "unit": metric.unit,
            "kind": type(metric.data).__name__,
            "monotonic": getattr(metric.data, "is_monotonic", None),
            "attributes": dict(point.attributes or {}),
            "value": getattr(point, "value", None),
        }
        for resource in (found.resource_metrics if found else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]
