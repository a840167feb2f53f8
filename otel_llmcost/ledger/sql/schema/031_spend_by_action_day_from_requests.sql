-- Requests enter the action rollup. Every expression is total: a NULL must never fail a view, or the rollup stays empty.
CREATE MATERIALIZED VIEW IF NOT EXISTS spend_by_action_day_from_requests TO spend_by_action_day AS
SELECT
    toDate(r.timestamp) AS day,
    r.action AS action,
    r.team AS team,
    r.feature AS feature,
    r.environment AS environment,
    count() AS requests,
    countIf(r.price_status = 'partial') AS partial_requests,
    countIf(isNull(r.cost_usd) AND NOT (r.reason = 'no_usage' AND r.status != 'success')) AS unpriced_requests,
    countIf(isNull(r.cost_usd) AND r.reason = 'no_usage' AND r.status != 'success') AS failed_without_usage,
    sum(ifNull(r.input_tokens, 0)) AS input_tokens,
    sum(ifNull(r.cached_input_tokens, 0)) AS cached_input_tokens,
    sum(ifNull(r.cache_write_tokens, 0) + ifNull(r.cache_write_1h_tokens, 0) + ifNull(r.cache_write_12h_tokens, 0))
        AS cache_write_tokens,
    sum(ifNull(r.output_tokens, 0)) AS output_tokens,
    sum(ifNull(r.cost_usd, 0)) AS cost_usd,
    sum(ifNull(r.list_cost_usd, 0)) AS list_cost_usd,
    sumIf(ifNull(r.cost_usd, 0), r.wasted OR r.status != 'success') AS wasted_cost_usd,
    sumIf(ifNull(r.cost_usd, 0), r.attempt_kind = 'retry') AS retry_cost_usd,
    sumIf(ifNull(r.cost_usd, 0), r.attempt_kind = 'fallback') AS fallback_cost_usd,
    sum(ifNull(r.cache_savings_usd, 0)) AS cache_savings_usd,
    uniqCombined64StateIf(14)(r.action_id, r.action_id != '') AS action_ids
FROM llm_requests AS r
GROUP BY day, action, team, feature, environment
