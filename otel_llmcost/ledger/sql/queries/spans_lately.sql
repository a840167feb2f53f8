-- Spans that requests and adjustments stand for, of the last so many seconds of span time, newest first: one number each,
-- the first 64 bits of a hash of their ids.
SELECT groupArray(number) AS numbers
FROM
(
    SELECT
        reinterpretAsUInt64(substring(SHA256(concat(trace_id, span_id)), 1, 8)) AS number
    FROM
    (
        SELECT timestamp, trace_id, span_id FROM llm_requests WHERE timestamp >= now() - {seconds:UInt32}
        UNION ALL
        SELECT timestamp, trace_id, span_id FROM llm_adjustments WHERE timestamp >= now() - {seconds:UInt32}
    )
    ORDER BY timestamp DESC
    LIMIT {limit:UInt32}
)
