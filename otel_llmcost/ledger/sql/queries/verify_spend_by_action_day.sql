-- What spend_by_action_day holds of each month in [since, until), UTC days; see verify_rows.
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
    sum(cityHash64(toUInt16(s.day), s.action, s.team, s.feature, s.environment) * mix)
        AS fingerprint
FROM spend_by_action_day AS s
WHERE s.day >= {since:Date} AND s.day < {until:Date}
GROUP BY month
ORDER BY month
