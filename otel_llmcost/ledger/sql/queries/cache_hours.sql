-- Input by hour in [since, until), UTC days, of some teams' features and models: what was given, and what came from a cache.
SELECT
    s.team AS team,
    s.feature AS feature,
    s.model AS model,
    s.hour AS hour,
    sum(s.requests) AS requests,
    sum(s.cached_input_tokens) AS cached_tokens,
    sum(s.input_tokens) + cached_tokens + sum(s.cache_write_tokens) AS given_tokens,
    sum(s.cache_savings_usd) AS cache_savings_usd
FROM {source:Identifier} AS s
WHERE s.day >= {since:Date} AND s.day < {until:Date}
  AND (s.team, s.feature, s.model) IN
  (
      SELECT g.each.1, g.each.2, g.each.3
      FROM (SELECT arrayJoin(arrayZip({teams:Array(String)}, {features:Array(String)}, {models:Array(String)})) AS each) AS g
  )
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
GROUP BY team, feature, model, hour
ORDER BY team, feature, model, hour
