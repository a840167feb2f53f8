-- What the rollups of each month in [since, until), UTC days, must hold: the sums of all charges, and a number per rollup
-- that changes when anything in any of its cells does. That number is the sum over rows of hash(cell) * a mix of all
-- measures, in arithmetic that wraps: so it is the same however rows were added up on the way.
WITH (
        reinterpretAsUInt64(s.requests)
        + reinterpretAsUInt64(s.partial_requests) * 3
        + reinterpretAsUInt64(s.unpriced_requests) * 5
        + reinterpretAsUInt64(s.failed_without_usage) * 7
        + reinterpretAsUInt64(s.input_tokens) * 11400714819323198485
        + reinterpretAsUInt64(s.cached_input_tokens) * 13787848793156543929
        + reinterpretAsUInt64(s.cache_write_tokens) * 10723151780598845931
        + reinterpretAsUInt64(s.output_tokens) * 7046029254386353131
        + reinterpretAsUInt64(s.cost_usd) * 14029467366897019727
        + reinterpretAsUInt64(s.list_cost_usd) * 1609587929392839161
        + reinterpretAsUInt64(s.wasted_cost_usd) * 9650029242287828579
        + reinterpretAsUInt64(s.retry_cost_usd) * 2870177450012600261
        + reinterpretAsUInt64(s.fallback_cost_usd) * 6364136223846793005
        + reinterpretAsUInt64(s.cache_savings_usd) * 1442695040888963407
    ) AS mix
SELECT
    toYYYYMM(s.day) AS month,
    sum(s.requests) AS requests,
    sum(s.cost_usd) AS cost_usd,
    sum(s.input_tokens) AS input_tokens,
    sum(s.cached_input_tokens) AS cached_input_tokens,
    sum(s.cache_write_tokens) AS cache_write_tokens,
    sum(s.output_tokens) AS output_tokens,
    sum(cityHash64(toUInt32(s.hour), s.environment, s.team, s.feature, s.provider, s.model, s.status, s.attempt_kind, s.price_status) * mix)
        AS spend_by_hour,
    sum(cityHash64(toUInt16(s.day), s.customer_id, s.team, s.feature, s.environment, s.model, s.attempt_kind, s.price_status) * mix)
        AS spend_by_customer_day,
    sum(cityHash64(toUInt16(s.day), s.action, s.team, s.feature, s.environment) * mix)
        AS spend_by_action_day
FROM spend_by_request AS s
WHERE s.day >= {since:Date} AND s.day < {until:Date}
GROUP BY month
ORDER BY month
