-- Every correction of some requests, by their spans.
SELECT *, request_id
FROM llm_adjustments
WHERE (of_trace_id, of_span_id) IN arrayZip({trace_ids:Array(String)}, {span_ids:Array(String)})
ORDER BY adjusted_at, sign
