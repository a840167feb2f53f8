-- Retries, fallbacks, failures and what they cost in [since, until), by a dimension and UTC day. All but the `top` values
-- that waste most become one row with is_rest; top 0 folds nothing, the unattributed never folds. Which values those are is
-- asked first: days of values that fold are then never held apart.
SELECT
    {top:UInt32} > 0 AND toString({by:Identifier}) != '(unattributed)' AND {by:Identifier} NOT IN
    (
        SELECT {by:Identifier} AS value
        FROM {source:Identifier} AS t
        WHERE {top:UInt32} > 0 AND t.day >= {since:Date} AND t.day < {until:Date}
          AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
          AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
          AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
          AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
          AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
          AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
        GROUP BY value
        ORDER BY sum(t.wasted_cost_usd) DESC, sum(t.cost_usd) DESC, value
        LIMIT {top:UInt32}
    ) AS is_rest,
    if(is_rest, '', toString({by:Identifier})) AS label,
    s.day AS day,
    sum(s.requests) AS requests,
    sum(s.partial_requests) AS partial_requests,
    sum(s.unpriced_requests) AS unpriced_requests,
    sumIf(s.requests, s.attempt_kind = 'retry') AS retries,
    sumIf(s.requests, s.attempt_kind = 'fallback') AS fallbacks,
    sumIf(s.requests, s.status = 'error') AS errors,
    sumIf(s.requests, s.status = 'timeout') AS timeouts,
    sumIf(s.requests, s.status = 'cancelled') AS cancelled,
    sum(s.cost_usd) AS cost_usd,
    sum(s.retry_cost_usd) AS retry_cost_usd,
    sum(s.fallback_cost_usd) AS fallback_cost_usd,
    sumIf(s.cost_usd, s.status != 'success') AS failed_cost_usd,
    sum(s.wasted_cost_usd) AS wasted_cost_usd
FROM {source:Identifier} AS s
WHERE s.day >= {since:Date} AND s.day < {until:Date}
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
GROUP BY is_rest, label, day
ORDER BY is_rest, label, day
