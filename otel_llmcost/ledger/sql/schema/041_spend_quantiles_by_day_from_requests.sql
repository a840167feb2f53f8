-- Requests with a known cost enter their bucket of cost.
CREATE MATERIALIZED VIEW IF NOT EXISTS spend_quantiles_by_day_from_requests TO spend_quantiles_by_day AS
SELECT
    toDate(r.timestamp) AS day,
    r.team AS team,
    r.feature AS feature,
    r.model AS model,
    if(ifNull(r.cost_usd, 0) > 0, toInt16(floor(log(toFloat64(ifNull(r.cost_usd, 0))) / log(1.02))), -32768) AS bucket,
    count() AS requests
FROM llm_requests AS r
WHERE isNotNull(r.cost_usd)
GROUP BY day, team, feature, model, bucket
