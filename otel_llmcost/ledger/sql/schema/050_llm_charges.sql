-- The bill, row by row: every request with sign 1, and every adjustment with its own.
CREATE VIEW IF NOT EXISTS llm_charges AS
SELECT *, request_id, toInt8(1) AS sign, trace_id AS of_trace_id, span_id AS of_span_id, '' AS adjustment_reason,
    timestamp AS adjusted_at
FROM llm_requests
UNION ALL
SELECT * EXCEPT (sign, of_trace_id, of_span_id, adjustment_reason, adjusted_at), request_id,
    sign, of_trace_id, of_span_id, adjustment_reason, adjusted_at
FROM llm_adjustments
