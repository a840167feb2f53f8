-- What each team's use of each feature cost on these days, and how much of it retries, fallbacks and failures.
SELECT s.day AS day, s.team AS team, s.feature AS feature, sum(s.cost_usd) AS cost_usd,
    sum(if(s.attempt_kind = 'initial', s.wasted_cost_usd, s.cost_usd)) AS troubled_usd
FROM {source:Identifier} AS s
WHERE s.day IN {days:Array(Date)}
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
GROUP BY day, team, feature
