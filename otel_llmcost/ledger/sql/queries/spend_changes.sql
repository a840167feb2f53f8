-- Spend in two windows, as in spend_compared, by what its change is explained by: team, feature and model; first attempts
-- apart from retries and fallbacks; and the time between two changes of a rate, of which `changed` has the hours.
-- Without any, a source needs no `provider` and no `hour`: another column of it stands in.
SELECT
    w.team AS team, w.feature AS feature, w.provider AS provider, w.model AS model,
    w.is_before AS is_before, w.is_initial AS is_initial, w.segment AS segment,
    sum(w.requests) AS requests,
    sum(w.requests - w.unpriced_requests - w.failed_without_usage) AS costed_requests,
    sumIf(w.input_tokens, w.has_cost) AS input_tokens,
    sumIf(w.cached_input_tokens, w.has_cost) AS cached_input_tokens,
    sumIf(w.cache_write_tokens, w.has_cost) AS cache_write_tokens,
    sumIf(w.output_tokens, w.has_cost) AS output_tokens,
    sum(w.cost_usd) AS cost_usd,
    sum(w.cache_savings_usd) AS cache_savings_usd
FROM
(
    SELECT s.day < {since:Date} AS is_before,
            s.team AS team, s.feature AS feature, {provider:Identifier} AS provider, s.model AS model,
            s.attempt_kind = 'initial' AS is_initial, s.price_status IN ('priced', 'partial') AS has_cost,
            arrayCount(changed -> changed <= {hour:Identifier}, {changed:Array(DateTime('UTC'))}) AS segment,
            s.requests AS requests, s.unpriced_requests AS unpriced_requests, s.failed_without_usage AS failed_without_usage,
            s.input_tokens AS input_tokens, s.cached_input_tokens AS cached_input_tokens,
            s.cache_write_tokens AS cache_write_tokens, s.output_tokens AS output_tokens, s.cost_usd AS cost_usd,
            s.cache_savings_usd AS cache_savings_usd
    FROM {source:Identifier} AS s
    WHERE ((s.day >= {since:Date} AND s.day < {until:Date}) OR (s.day >= {before_since:Date} AND s.day < {before_day:Date}))
      AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
      AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
      AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
      AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
      AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
      AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
    UNION ALL
    SELECT true AS is_before,
            s.team AS team, s.feature AS feature, s.provider AS provider, s.model AS model,
            s.attempt_kind = 'initial' AS is_initial, s.price_status IN ('priced', 'partial') AS has_cost,
            arrayCount(changed -> changed <= toStartOfHour(s.timestamp), {changed:Array(DateTime('UTC'))}) AS segment,
            s.requests AS requests, s.unpriced_requests AS unpriced_requests, s.failed_without_usage AS failed_without_usage,
            s.input_tokens AS input_tokens, s.cached_input_tokens AS cached_input_tokens,
            s.cache_write_tokens AS cache_write_tokens, s.output_tokens AS output_tokens, s.cost_usd AS cost_usd,
            s.cache_savings_usd AS cache_savings_usd
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
GROUP BY team, feature, provider, model, is_before, is_initial, segment
