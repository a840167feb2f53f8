-- Batches with requests in more than one month: a segment of the journal has one, so something else wrote their rows. Not
-- adjustments: what moves a charge over the end of a month is one batch in two, because half a move would cost money.
SELECT c.batch_id AS batch_id, count() AS charges, min(toYYYYMM(c.timestamp)) AS first_month, max(toYYYYMM(c.timestamp)) AS last_month
FROM llm_requests AS c
WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date} AND c.batch_id != ''
GROUP BY batch_id
HAVING first_month != last_month
ORDER BY charges DESC, batch_id
LIMIT 100
