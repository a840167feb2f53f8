-- Charges in [since, until), UTC days, whose prices were not loaded, with what took them back already: of the next `limit`
-- rows after a given one that still have such a charge, by the rows' own spans.
SELECT c.* EXCEPT (request_id)
FROM llm_charges AS c
WHERE c.reason = 'prices_not_loaded' AND c.timestamp >= {since:Date} AND c.timestamp < {until:Date}
  AND (c.of_trace_id, c.of_span_id) IN
(
    SELECT d.of_trace_id, d.of_span_id
    FROM llm_charges AS d
    WHERE d.reason = 'prices_not_loaded' AND d.timestamp >= {since:Date} AND d.timestamp < {until:Date}
      AND (d.of_trace_id, d.of_span_id) > ({after_trace_id:String}, {after_span_id:String})
    GROUP BY d.of_trace_id, d.of_span_id
    HAVING sum(d.sign) > 0
    ORDER BY d.of_trace_id, d.of_span_id
    LIMIT {limit:UInt32}
)
ORDER BY c.of_trace_id, c.of_span_id, c.adjusted_at, c.sign
