-- How many charges in [since, until), UTC days, have a price, and why the others have none.
SELECT c.price_status AS price_status, c.reason AS reason, sum(toInt64(c.sign)) AS requests, sum(c.sign * ifNull(c.cost_usd, 0)) AS cost_usd
FROM llm_charges AS c
WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date}
GROUP BY price_status, reason
HAVING requests != 0 OR cost_usd != 0
ORDER BY requests DESC, price_status, reason
