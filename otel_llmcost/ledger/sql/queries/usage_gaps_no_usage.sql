-- Charges in [since, until), UTC days, that nobody reported usage for, by instrumentation and by how they ended.
SELECT
    c.scope_name AS scope_name,
    c.dialect AS dialect,
    c.provider AS provider,
    c.status AS status,
    sum(toInt64(c.sign)) AS requests
FROM llm_charges AS c
WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date} AND c.reason = 'no_usage'
GROUP BY scope_name, dialect, provider, status
HAVING requests != 0
ORDER BY requests DESC, scope_name, dialect, provider, status
