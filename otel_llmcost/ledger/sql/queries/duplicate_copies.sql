-- Rows of llm_requests in [since, until), UTC days, that are there more often than once by (trace_id, span_id) and were not
-- taken back yet; with how many there are in all, and their cost. The best copy stays: with usage before without, priced
-- before not, fewer gaps, earlier; the worst were taken back first.
SELECT e.* EXCEPT (copies, position, taken), e.copies - e.position AS taken_before, count() OVER () AS all_copies, sum(ifNull(e.cost_usd, 0)) OVER () AS all_cost_usd
FROM
(
    SELECT
        r.*,
        count() OVER (PARTITION BY r.trace_id, r.span_id) AS copies,
        row_number() OVER (
            PARTITION BY r.trace_id, r.span_id
            ORDER BY isNull(r.input_tokens) AND isNull(r.output_tokens), isNull(r.cost_usd), length(r.usage_gaps), r.timestamp,
                r.batch_id
        ) AS position,
        t.taken AS taken
    FROM llm_requests AS r
    LEFT JOIN
    (
        SELECT a.trace_id AS trace_id, a.span_id AS span_id, count() AS taken
        FROM llm_adjustments AS a
        WHERE a.adjustment_reason = 'duplicate_copy'
        GROUP BY trace_id, span_id
    ) AS t ON t.trace_id = r.trace_id AND t.span_id = r.span_id
    WHERE r.timestamp >= {since:Date} AND r.timestamp < {until:Date} AND cityHash64(r.trace_id, r.span_id) IN
    (
        SELECT cityHash64(d.trace_id, d.span_id) AS span
        FROM llm_requests AS d
        WHERE d.timestamp >= {since:Date} AND d.timestamp < {until:Date}
        GROUP BY span
        HAVING count() > 1
    )
) AS e
WHERE e.position > 1 AND e.position <= e.copies - e.taken
ORDER BY e.timestamp, e.trace_id, e.span_id, e.position DESC
LIMIT {limit:UInt32}
