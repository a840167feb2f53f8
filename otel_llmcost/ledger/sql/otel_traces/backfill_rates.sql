-- The rates that llm_rates does not have.
INSERT INTO llm_rates ($columns)
SELECT DISTINCT $columns FROM ($rates) AS e WHERE e.rate_id NOT IN (SELECT r.rate_id FROM llm_rates AS r)
