-- Charges in [since, until), UTC days, that nobody reported usage for, by instrumentation and by how they ended.
SELECT
    c.scope_name AS scope_name,
    c.dialect AS dialect,
    c.provider AS provider,
    c.status AS status,
    sum(toInt64(c.sign)) AS requests
FROM llm_charges AS c
WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date} AND c.reason = 'no_usage'
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
GROUP BY scope_name, dialect, provider, status
HAVING requests != 0
ORDER BY requests DESC, scope_name, dialect, provider, status
