-- Rates that charges in [since, until), UTC days, name and llm_rates does not have: those charges cannot be explained.
SELECT c.rate_id AS rate_id, count() AS charges
FROM llm_charges AS c
WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date} AND c.rate_id != ''
  AND c.rate_id NOT IN (SELECT rate_id FROM llm_rates)
GROUP BY rate_id
ORDER BY charges DESC, rate_id
