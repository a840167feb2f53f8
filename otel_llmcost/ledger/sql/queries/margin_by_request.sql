-- The same as margin.sql, from the charges themselves: for filters that the rollup of actions does not have.
SELECT
    c.action AS action,
    toDate(c.timestamp) AS day,
    grouping(day) = 1 AS is_whole,
    sum(toInt64(c.sign)) AS requests,
    sum(toInt64(c.sign) * (c.price_status = 'partial')) AS partial_requests,
    sum(toInt64(c.sign) * (isNull(c.cost_usd) AND NOT (c.reason = 'no_usage' AND c.status != 'success'))) AS unpriced_requests,
    uniqCombined64If(14)(c.action_id, c.action_id != '' AND c.sign = 1) AS actions,
    sum(c.sign * ifNull(c.cost_usd, 0)) AS cost_usd
FROM llm_charges AS c
WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date}
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
GROUP BY GROUPING SETS ((action), (action, day))
ORDER BY action, is_whole, day
