-- What a receiver asks at its start: the ids of spans, and when they were.
GRANT$on_cluster
    SELECT(timestamp, trace_id, span_id) ON $database.llm_requests,
    SELECT(timestamp, trace_id, span_id) ON $database.llm_adjustments
TO llmcost_receiver
