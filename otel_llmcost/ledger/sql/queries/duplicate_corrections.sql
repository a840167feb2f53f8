-- Adjustments in [since, until), UTC days, of batches that are there more often than once as a whole, and were not undone
-- yet; with how many there are in all, and what they add to the bill. A meter may write two equal adjustments, but never a
-- batch in which every one is there twice.
SELECT e.* EXCEPT (cell, copies, position, times, undone), e.copies - e.position AS taken_before, count() OVER () AS all_copies,
    sum(e.sign * ifNull(e.cost_usd, 0)) OVER () AS all_cost_usd
FROM
(
    SELECT c.*, min(c.copies) OVER (PARTITION BY c.batch_id) AS times, u.undone AS undone
    FROM
    (
        SELECT
            a.*,
            cityHash64(a.of_trace_id, a.of_span_id, a.trace_id, a.span_id, a.timestamp, a.attempt, a.attempt_kind, a.wasted,
                toString(a.price_status), ifNull(toString(a.cost_usd), ''), a.team, a.feature, a.customer_id) AS cell,
            count() OVER (PARTITION BY a.batch_id, cell, a.sign) AS copies,
            row_number() OVER (PARTITION BY a.batch_id, cell, a.sign ORDER BY a.adjusted_at) AS position
        FROM llm_adjustments AS a
        WHERE a.timestamp >= {since:Date} AND a.timestamp < {until:Date}
          AND a.adjustment_reason NOT IN ('duplicate_copy', 'duplicate_response', 'duplicate_correction')
    ) AS c
    LEFT JOIN
    (
        SELECT
            cityHash64(d.of_trace_id, d.of_span_id, d.trace_id, d.span_id, d.timestamp, d.attempt, d.attempt_kind, d.wasted,
                toString(d.price_status), ifNull(toString(d.cost_usd), ''), d.team, d.feature, d.customer_id) AS cell,
            toInt8(-d.sign) AS sign,
            count() AS undone
        FROM llm_adjustments AS d
        WHERE d.adjustment_reason = 'duplicate_correction'
        GROUP BY cell, sign
    ) AS u ON u.cell = c.cell AND u.sign = c.sign
) AS e
WHERE e.times > 1 AND e.position > intDiv(e.copies, e.times) AND e.position <= e.copies - e.undone
ORDER BY e.timestamp, e.trace_id, e.span_id, e.sign, e.position DESC
LIMIT {limit:UInt32}
