-- The spans of a day that llm_requests has.
SELECT r.trace_id, r.span_id FROM llm_requests AS r WHERE toDate(r.timestamp) = toDate('$day')
