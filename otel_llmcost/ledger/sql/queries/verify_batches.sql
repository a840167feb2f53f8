-- Batches with rows in more than one month: a segment of the journal has one, so their rows were written by something else.
SELECT c.batch_id AS batch_id, count() AS charges, min(toYYYYMM(c.timestamp)) AS first_month, max(toYYYYMM(c.timestamp)) AS last_month
FROM llm_charges AS c
WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date} AND c.batch_id != ''
GROUP BY batch_id
HAVING first_month != last_month
ORDER BY charges DESC, batch_id
LIMIT 100
