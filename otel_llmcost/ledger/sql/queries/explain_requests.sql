-- Every request that an id names: of the application, the provider, the trace or the span; with all copies of its row, the
-- best one first, by the same order as in duplicate_copies.sql.
SELECT *, request_id
FROM llm_requests
WHERE (trace_id, span_id) IN
(
    SELECT n.trace_id, n.span_id
    FROM llm_requests AS n
    WHERE n.trace_id = {id:String} OR n.span_id = {id:String} OR n.response_id = {id:String} OR n.own_request_id = {id:String}
)
ORDER BY min(timestamp) OVER (PARTITION BY trace_id, span_id), trace_id, span_id,
    isNull(input_tokens) AND isNull(output_tokens), isNull(cost_usd), length(usage_gaps), timestamp, batch_id
LIMIT 1000
