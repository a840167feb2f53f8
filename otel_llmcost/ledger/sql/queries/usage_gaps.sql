-- The bill in [since, until), UTC days, by instrumentation and by everything that its spans may hide: a charge is in
-- exactly one row, so the rows sum to the bill.
SELECT
    c.scope_name AS scope_name,
    c.dialect AS dialect,
    c.provider AS provider,
    arraySort(c.usage_gaps) AS gaps,
    sum(toInt64(c.sign)) AS requests,
    sum(toInt64(c.sign) * isNotNull(c.cost_usd)) AS costed_requests,
    sum(c.sign * ifNull(c.cost_usd, 0)) AS cost_usd
FROM llm_charges AS c
WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date}
GROUP BY scope_name, dialect, provider, gaps
HAVING requests != 0 OR costed_requests != 0 OR cost_usd != 0
ORDER BY cost_usd DESC, requests DESC, scope_name, dialect, provider, gaps
