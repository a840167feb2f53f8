-- Adjustments enter the hour rollup with their sign, under their own dimensions and instant.
CREATE MATERIALIZED VIEW IF NOT EXISTS spend_by_hour_from_adjustments TO spend_by_hour AS
SELECT
    toStartOfHour(r.timestamp) AS hour,
    r.environment AS environment,
    r.team AS team,
    r.feature AS feature,
    r.provider AS provider,
    r.model AS model,
    r.status AS status,
    r.attempt_kind AS attempt_kind,
    r.price_status AS price_status,
    sum(r.sign) AS requests,
    sumIf(r.sign, r.price_status = 'partial') AS partial_requests,
    sumIf(r.sign, isNull(r.cost_usd) AND NOT (r.reason = 'no_usage' AND r.status != 'success')) AS unpriced_requests,
    sumIf(r.sign, isNull(r.cost_usd) AND r.reason = 'no_usage' AND r.status != 'success') AS failed_without_usage,
    sum(r.sign * toInt64(ifNull(r.input_tokens, 0))) AS input_tokens,
    sum(r.sign * toInt64(ifNull(r.cached_input_tokens, 0))) AS cached_input_tokens,
    sum(r.sign * (toInt64(ifNull(r.cache_write_tokens, 0)) + toInt64(ifNull(r.cache_write_1h_tokens, 0))
        + toInt64(ifNull(r.cache_write_12h_tokens, 0)))) AS cache_write_tokens,
    sum(r.sign * toInt64(ifNull(r.output_tokens, 0))) AS output_tokens,
    sum(r.sign * ifNull(r.cost_usd, 0)) AS cost_usd,
    sum(r.sign * ifNull(r.list_cost_usd, 0)) AS list_cost_usd,
    sumIf(r.sign * ifNull(r.cost_usd, 0), r.wasted OR r.status != 'success') AS wasted_cost_usd,
    sumIf(r.sign * ifNull(r.cost_usd, 0), r.attempt_kind = 'retry') AS retry_cost_usd,
    sumIf(r.sign * ifNull(r.cost_usd, 0), r.attempt_kind = 'fallback') AS fallback_cost_usd,
    sum(r.sign * ifNull(r.cache_savings_usd, 0)) AS cache_savings_usd
FROM llm_adjustments AS r
GROUP BY hour, environment, team, feature, provider, model, status, attempt_kind, price_status
