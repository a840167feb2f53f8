-- Spend in [since, until), UTC days, and in [before_since, before_until), which ends at an instant: its whole days come from
-- `source`, its last day, from before_day on, from the charges. All but the `top` values that cost most now become one row
-- with is_rest, so that parts always sum to both totals; top 0 folds nothing, the unattributed never folds.
SELECT
    {top:UInt32} > 0 AND r.position > {top:UInt32} AND r.folded != '(unattributed)' AS is_rest,
    if(is_rest, '', r.folded) AS folded,
    r.is_before AS is_before,
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
    sum(r.cache_savings_usd) AS cache_savings_usd
FROM
(
    SELECT g.*, toString(g.folded_value) AS folded,
        dense_rank() OVER (ORDER BY g.folded_cost_usd DESC, g.folded_value) AS position
    FROM
    (
        SELECT
            w.folded_value AS folded_value,
            w.is_before AS is_before,
            sum(w.requests) AS requests,
            sum(w.partial_requests) AS partial_requests,
            sum(w.unpriced_requests) AS unpriced_requests,
            sum(w.failed_without_usage) AS failed_without_usage,
            sum(w.input_tokens) AS input_tokens,
            sum(w.cached_input_tokens) AS cached_input_tokens,
            sum(w.cache_write_tokens) AS cache_write_tokens,
            sum(w.output_tokens) AS output_tokens,
            sum(w.cost_usd) AS cost_usd,
            sum(w.list_cost_usd) AS list_cost_usd,
            sum(w.wasted_cost_usd) AS wasted_cost_usd,
            sum(w.retry_cost_usd) AS retry_cost_usd,
            sum(w.fallback_cost_usd) AS fallback_cost_usd,
            sum(w.cache_savings_usd) AS cache_savings_usd,
            sum(sumIf(w.cost_usd, NOT w.is_before)) OVER (PARTITION BY folded_value) AS folded_cost_usd
        FROM
        (
            SELECT {folded:Identifier} AS folded_value, s.day < {since:Date} AS is_before,
                s.requests AS requests, s.partial_requests AS partial_requests, s.unpriced_requests AS unpriced_requests,
                s.failed_without_usage AS failed_without_usage, s.input_tokens AS input_tokens,
                s.cached_input_tokens AS cached_input_tokens, s.cache_write_tokens AS cache_write_tokens,
                s.output_tokens AS output_tokens, s.cost_usd AS cost_usd, s.list_cost_usd AS list_cost_usd,
                s.wasted_cost_usd AS wasted_cost_usd, s.retry_cost_usd AS retry_cost_usd,
                s.fallback_cost_usd AS fallback_cost_usd, s.cache_savings_usd AS cache_savings_usd
            FROM {source:Identifier} AS s
            WHERE ((s.day >= {since:Date} AND s.day < {until:Date}) OR (s.day >= {before_since:Date} AND s.day < {before_day:Date}))
              AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
              AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
              AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
              AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
              AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
              AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
            UNION ALL
            SELECT {folded:Identifier} AS folded_value, true AS is_before,
                s.requests AS requests, s.partial_requests AS partial_requests, s.unpriced_requests AS unpriced_requests,
                s.failed_without_usage AS failed_without_usage, s.input_tokens AS input_tokens,
                s.cached_input_tokens AS cached_input_tokens, s.cache_write_tokens AS cache_write_tokens,
                s.output_tokens AS output_tokens, s.cost_usd AS cost_usd, s.list_cost_usd AS list_cost_usd,
                s.wasted_cost_usd AS wasted_cost_usd, s.retry_cost_usd AS retry_cost_usd,
                s.fallback_cost_usd AS fallback_cost_usd, s.cache_savings_usd AS cache_savings_usd
            FROM spend_by_instant AS s
            WHERE s.timestamp >= {before_day:Date} AND s.timestamp < {before_until:DateTime64(0, 'UTC')}
              AND toStartOfHour(s.timestamp) BETWEEN {before_day:Date} AND {before_until:DateTime64(0, 'UTC')}  -- what tables are sorted by
              AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
              AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
              AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
              AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
              AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
              AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
        ) AS w
        GROUP BY folded_value, is_before
    ) AS g
) AS r
GROUP BY is_rest, folded, is_before
