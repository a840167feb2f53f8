-- Every charge and correction of some rows, by the rows' own spans.
SELECT * EXCEPT (request_id)
FROM llm_charges
WHERE (of_trace_id, of_span_id) IN arrayZip({trace_ids:Array(String)}, {span_ids:Array(String)})
ORDER BY of_trace_id, of_span_id, adjusted_at, sign
