-- Spend by UTC day and customer.
CREATE VIEW IF NOT EXISTS daily_by_customer AS
SELECT
    s.day AS day,
    s.customer_id AS customer_id,
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
    sum(s.cache_savings_usd) AS cache_savings_usd
FROM spend_by_customer_day AS s
GROUP BY day, customer_id
