-- The bill in [since, until), UTC days, by instrumentation and by everything that its spans may hide: a charge is in
-- exactly one row, so the rows sum to the bill. Gaps are sorted once for each spelling of them, not once for each charge.
SELECT
    g.scope_name AS scope_name,
    g.dialect AS dialect,
    g.provider AS provider,
    arraySort(g.spelled) AS gaps,
    sum(g.charges) AS requests,
    sum(g.costed_charges) AS costed_requests,
    sum(g.charged_usd) AS cost_usd
FROM
(
    SELECT
        c.scope_name AS scope_name,
        c.dialect AS dialect,
        c.provider AS provider,
        c.usage_gaps AS spelled,
        sum(toInt64(c.sign)) AS charges,
        sum(toInt64(c.sign) * isNotNull(c.cost_usd)) AS costed_charges,
        sum(c.sign * ifNull(c.cost_usd, 0)) AS charged_usd
    FROM llm_charges AS c
    WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date}
      AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
      AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
      AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
      AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
      AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
      AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
    GROUP BY scope_name, dialect, provider, spelled
) AS g
GROUP BY scope_name, dialect, provider, gaps
HAVING requests != 0 OR costed_requests != 0 OR cost_usd != 0
ORDER BY cost_usd DESC, requests DESC, scope_name, dialect, provider, gaps
