-- Spend in [since, until), UTC days, by a folded dimension and, if `pair`, one beside it. All but the `top` values that
-- cost most become one row with is_rest, so that parts always sum to the total; top 0 folds nothing, the unattributed
-- never folds.
SELECT
    {top:UInt32} > 0 AND r.position > {top:UInt32} AND r.folded != '(unattributed)' AS is_rest,
    if(is_rest, '', r.folded) AS folded,
    r.beside AS beside,
    sum(r.requests) AS requests,
    sum(r.partial_requests) AS partial_requests,
    sum(r.unpriced_requests) AS unpriced_requests,
    sum(r.failed_without_usage) AS failed_without_usage,
    sum(r.input_tokens) AS input_tokens,
    sum(r.cached_input_tokens) AS cached_input_tokens,
    sum(r.cache_write_tokens) AS cache_write_tokens,
    sum(r.output_tokens) AS output_tokens,
    sum(r.cost_usd) AS cost_usd,
    sum(r.list_cost_usd) AS list_cost_usd,
    sum(r.wasted_cost_usd) AS wasted_cost_usd,
    sum(r.retry_cost_usd) AS retry_cost_usd,
    sum(r.fallback_cost_usd) AS fallback_cost_usd,
    sum(r.cache_savings_usd) AS cache_savings_usd,
    sum(r.without_team_usd) AS without_team_usd
FROM
(
    SELECT g.*, toString(g.folded_value) AS folded, if({pair:Bool}, toString(g.beside_value), '') AS beside,
        dense_rank() OVER (ORDER BY g.folded_cost_usd DESC, g.folded_value) AS position
    FROM
    (
        SELECT
            {folded:Identifier} AS folded_value,
            {beside:Identifier} AS beside_value,
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
            sumIf(s.cost_usd, s.team = '(unattributed)') AS without_team_usd,
            sum(sum(s.cost_usd)) OVER (PARTITION BY folded_value) AS folded_cost_usd
        FROM {source:Identifier} AS s
        WHERE s.day >= {since:Date} AND s.day < {until:Date}
          AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
          AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
          AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
          AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
          AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
          AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
        GROUP BY folded_value, beside_value
    ) AS g
) AS r
GROUP BY is_rest, folded, beside
