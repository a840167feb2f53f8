-- Batches with outcomes in [since, until), UTC days, that are there more often than once as a whole, and were not taken back
-- yet. Two outcomes may be equal, but never is every one of a batch there twice. What was taken back stands in a batch of
-- its own, `taken-back-<batch_id>`, and counts off.
SELECT
    b.batch_id AS batch_id,
    min(b.first_day) AS day,
    sum(b.copies) AS outcomes,
    min(b.copies) AS times,
    intDiv(outcomes, times) AS once,
    any(t.outcomes) AS taken,
    times - 1 - intDiv(taken, once) AS too_many,
    toDecimal128(sum(b.value_usd * intDiv(b.copies, b.all_times)), 6) AS value_once_usd
FROM
(
    SELECT c.*, min(c.copies) OVER (PARTITION BY c.batch_id) AS all_times
    FROM
    (
        SELECT o.batch_id AS batch_id, o.value_usd AS value_usd, toDate(o.timestamp) AS first_day, count() AS copies
        FROM llm_outcomes AS o
        WHERE o.batch_id != '' AND o.batch_id NOT LIKE 'taken-back-%' AND o.batch_id IN
        (
            SELECT d.batch_id FROM llm_outcomes AS d WHERE d.timestamp >= {since:Date} AND d.timestamp < {until:Date}
        )
        GROUP BY o.batch_id, o.timestamp, o.action, o.action_id, o.customer_id, o.value_usd
    ) AS c
) AS b
LEFT JOIN
(
    SELECT substring(u.batch_id, 12) AS batch_id, count() AS outcomes
    FROM llm_outcomes AS u
    WHERE u.batch_id LIKE 'taken-back-%'
    GROUP BY batch_id
) AS t ON t.batch_id = b.batch_id
GROUP BY b.batch_id
HAVING times > 1 AND too_many > 0
ORDER BY day, batch_id
LIMIT 10000
