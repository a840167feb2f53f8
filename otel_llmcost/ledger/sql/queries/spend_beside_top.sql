-- The same answer as spend, with top and a dimension beside, for a folded dimension of very many values: which of them cost most
-- is found first, so that only those are summed by the one beside. For few values that is slower, as it reads twice.
SELECT
    {folded:Identifier} != '(unattributed)' AND {folded:Identifier} NOT IN
    (
        SELECT {folded:Identifier}
        FROM {source:Identifier} AS s
        WHERE s.day >= {since:Date} AND s.day < {until:Date}
          AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
          AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
          AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
          AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
          AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
          AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
        GROUP BY {folded:Identifier}
        ORDER BY sum(s.cost_usd) DESC, {folded:Identifier}
        LIMIT {top:UInt32}
    ) AS is_rest,
    if(is_rest, '', {folded:Identifier}) AS folded,
    toString({beside:Identifier}) AS beside,
    sum(s.requests) AS requests,
    sum(s.partial_requests) AS partial_requests,
    sum(s.unpriced_requests) AS unpriced_requests,
    sum(s.failed_without_usage) AS failed_without_usage,
    sum(s.input_tokens) AS input_tokens,
    sum(s.cached_input_tokens) AS cached_input_tokens,
    sum(s.cache_write_tokens) AS cache_write_tokens,
    sum(s.output_tokens) AS output_tokens,
    sum(s.cost_usd) AS cost_usd,
    sum(s.list_cost_usd) AS list_cost_usd,
    sum(s.wasted_cost_usd) AS wasted_cost_usd,
    sum(s.retry_cost_usd) AS retry_cost_usd,
    sum(s.fallback_cost_usd) AS fallback_cost_usd,
    sum(s.cache_savings_usd) AS cache_savings_usd,
    sumIf(s.cost_usd, s.team = '(unattributed)') AS without_team_usd
FROM {source:Identifier} AS s
WHERE s.day >= {since:Date} AND s.day < {until:Date}
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
GROUP BY is_rest, folded, beside
