-- Charges too many under the rows of spans that have more than one row in [since, until), UTC days; first, charges that
-- earlier repairs took back once too often (sign -1). With how many there are in all, and their cost.
--
-- Charges are told apart by what they say. Of the charges in force under a span one stays, the best: with usage before
-- without, priced before not, fewer gaps, moved by the meter before not, earlier. A copy of a charge that the meter took
-- back goes as well. Repeated corrections count once: duplicate_corrections.sql finds them.
SELECT
    f.* EXCEPT (content, stored, moved, taken, responded, told, position, span_rows, is_kept, excess, spare, missing)
        REPLACE (if(f.missing > 0, toInt8(-1), toInt8(1)) AS sign),
    f.told + number AS taken_before,
    count() OVER () AS all_copies,
    sum(if(f.missing > 0, -1, 1) * ifNull(f.cost_usd, 0)) OVER () AS all_cost_usd,
    countIf(f.missing > 0) OVER () AS all_missing,
    sum(if(f.missing > 0, ifNull(f.cost_usd, 0), 0)) OVER () AS missing_cost_usd
FROM
(
    SELECT
        e.*,
        if(e.span_rows > 1, greatest(0, e.stored + e.moved - e.is_kept), 0) AS excess,
        greatest(0, least(excess + e.taken, e.stored + e.moved + e.taken + e.responded)) AS spare,
        if(e.span_rows > 0, greatest(0, -e.taken - excess, -(e.stored + e.moved + e.taken + e.responded)), 0) AS missing
    FROM
    (
        SELECT
            d.*,
            toInt64(least(d.stored, 1) + d.moved > 0 AND d.content = first_value(d.content) OVER (
                PARTITION BY d.of_trace_id, d.of_span_id
                ORDER BY least(d.stored, 1) + d.moved <= 0, isNull(d.input_tokens) AND isNull(d.output_tokens),
                    isNull(d.cost_usd), length(d.usage_gaps), d.moved <= 0, d.timestamp, d.trace_id, d.span_id, d.content
            )) AS is_kept
        FROM
        (
            SELECT
                c.*,
                toInt64(countIf(c.adjustment_reason = '') OVER same) AS stored,
                greatest(-1, least(1, sumIf(toInt64(c.sign),
                    c.adjustment_reason NOT IN ('', 'duplicate_copy', 'duplicate_response')) OVER same)) AS moved,
                sumIf(toInt64(c.sign), c.adjustment_reason = 'duplicate_copy') OVER same AS taken,
                sumIf(toInt64(c.sign), c.adjustment_reason = 'duplicate_response') OVER same AS responded,
                countIf(c.adjustment_reason IN ('duplicate_copy', 'duplicate_response')) OVER same AS told,
                row_number() OVER (
                    PARTITION BY c.of_trace_id, c.of_span_id, c.content ORDER BY c.sign DESC, c.adjusted_at, c.batch_id
                ) AS position,
                countIf(c.adjustment_reason = '') OVER (PARTITION BY c.of_trace_id, c.of_span_id) AS span_rows
            FROM
            (
                SELECT a.* EXCEPT (request_id), cityHash64(toString(tuple(a.* EXCEPT (
                    request_id, sign, of_trace_id, of_span_id, adjustment_reason, adjusted_at, batch_id)))) AS content
                FROM llm_charges AS a
                WHERE a.timestamp >= toDate32({since:Date}) - 31 AND a.timestamp < toDate32({until:Date}) + 31
                  AND cityHash64(a.of_trace_id, a.of_span_id) IN
                (
                    SELECT cityHash64(r.trace_id, r.span_id) AS span
                    FROM llm_requests AS r
                    WHERE r.timestamp >= {since:Date} AND r.timestamp < {until:Date}
                    GROUP BY span
                    HAVING count() > 1
                    UNION ALL
                    SELECT cityHash64(t.of_trace_id, t.of_span_id) AS span
                    FROM llm_adjustments AS t
                    WHERE t.timestamp >= {since:Date} AND t.timestamp < {until:Date}
                      AND t.adjustment_reason IN ('duplicate_copy', 'duplicate_response')
                )
            ) AS c
            WINDOW same AS (PARTITION BY c.of_trace_id, c.of_span_id, c.content)
        ) AS d
        WHERE d.position = 1
    ) AS e
) AS f
ARRAY JOIN range(toUInt64(f.spare + f.missing)) AS number
ORDER BY f.missing = 0, f.timestamp, f.of_trace_id, f.of_span_id, f.content, number
LIMIT {limit:UInt32}
