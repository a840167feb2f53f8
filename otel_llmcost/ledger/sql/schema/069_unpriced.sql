-- Charges whose cost is not known, or only in part, and why; by UTC day. Failures that reported no usage are apart.
CREATE VIEW IF NOT EXISTS unpriced AS
SELECT
    toDate(c.timestamp) AS day,
    c.provider AS provider,
    c.model AS model,
    c.service_name AS service_name,
    c.price_status AS price_status,
    c.reason AS reason,
    c.reason = 'no_usage' AND c.status != 'success' AS failed_without_usage,
    arraySort(c.missing_rates) AS missing_rates,
    any(c.detail) AS detail,
    sum(toInt64(c.sign)) AS requests,
    sum(c.sign * ifNull(c.cost_usd, 0)) AS known_cost_usd,
    sum(c.sign * ifNull(c.provider_cost_usd, 0)) AS provider_cost_usd
FROM llm_charges AS c
WHERE c.price_status != 'priced'
GROUP BY day, provider, model, service_name, price_status, reason, failed_without_usage, missing_rates
