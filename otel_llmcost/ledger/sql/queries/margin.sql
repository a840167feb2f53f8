-- What each business action cost in [since, until), UTC days: of the whole period (is_whole), and of each day.
-- `actions` is an estimate of how many executions there were; that of the period counts one over midnight once.
SELECT
    s.action AS action,
    s.day AS day,
    grouping(s.day) = 1 AS is_whole,
    sum(s.requests) AS requests,
    sum(s.partial_requests) AS partial_requests,
    sum(s.unpriced_requests) AS unpriced_requests,
    uniqCombined64Merge(14)(s.action_ids) AS actions,
    sum(s.cost_usd) AS cost_usd
FROM spend_by_action_day AS s
WHERE s.day >= {since:Date} AND s.day < {until:Date}
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
GROUP BY GROUPING SETS ((action), (action, day))
ORDER BY action, is_whole, day
