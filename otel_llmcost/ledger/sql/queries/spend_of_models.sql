-- Requests, cost and tokens of each model in [since, until), UTC days.
SELECT s.provider AS provider, s.model AS model, sum(s.requests) AS requests, sum(s.cost_usd) AS cost_usd,
    sum(s.input_tokens) AS input_tokens, sum(s.cached_input_tokens) AS cached_input_tokens,
    sum(s.cache_write_tokens) AS cache_write_tokens, sum(s.output_tokens) AS output_tokens
FROM {source:Identifier} AS s
WHERE s.day >= {since:Date} AND s.day < {until:Date}
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
GROUP BY provider, model
HAVING requests != 0 OR cost_usd != 0
