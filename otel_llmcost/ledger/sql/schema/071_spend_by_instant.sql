-- Every charge with the measures of the rollups, as in spend_by_request, and with its instant: for a window that ends within
-- an hour, such as the part of last month that is as long as this month so far.
CREATE VIEW IF NOT EXISTS spend_by_instant AS
SELECT
    c.timestamp AS timestamp,
    c.environment AS environment,
    c.team AS team,
    c.feature AS feature,
    c.customer_id AS customer_id,
    c.action AS action,
    c.service_name AS service_name,
    c.provider AS provider,
    c.model AS model,
    c.status AS status,
    c.attempt_kind AS attempt_kind,
    c.price_status AS price_status,
    toInt64(c.sign) AS requests,
    toInt64(c.sign * (c.price_status = 'partial')) AS partial_requests,
    toInt64(c.sign * (isNull(c.cost_usd) AND NOT (c.reason = 'no_usage' AND c.status != 'success'))) AS unpriced_requests,
    toInt64(c.sign * (isNull(c.cost_usd) AND c.reason = 'no_usage' AND c.status != 'success')) AS failed_without_usage,
    c.sign * toInt64(ifNull(c.input_tokens, 0)) AS input_tokens,
    c.sign * toInt64(ifNull(c.cached_input_tokens, 0)) AS cached_input_tokens,
    c.sign * (toInt64(ifNull(c.cache_write_tokens, 0)) + toInt64(ifNull(c.cache_write_1h_tokens, 0))
        + toInt64(ifNull(c.cache_write_12h_tokens, 0))) AS cache_write_tokens,
    c.sign * toInt64(ifNull(c.output_tokens, 0)) AS output_tokens,
    c.sign * ifNull(c.cost_usd, 0) AS cost_usd,
    c.sign * ifNull(c.list_cost_usd, 0) AS list_cost_usd,
    if(c.wasted OR c.status != 'success', c.sign * ifNull(c.cost_usd, 0), 0) AS wasted_cost_usd,
    if(c.attempt_kind = 'retry', c.sign * ifNull(c.cost_usd, 0), 0) AS retry_cost_usd,
    if(c.attempt_kind = 'fallback', c.sign * ifNull(c.cost_usd, 0), 0) AS fallback_cost_usd,
    c.sign * ifNull(c.cache_savings_usd, 0) AS cache_savings_usd
FROM llm_charges AS c
