-- What retries, fallbacks and failures cost, by UTC day and model. Waste counts each request once: a failed retry is
-- in `retry_cost_usd` and in `wasted_cost_usd`, so the two are shown beside each other and never added.
CREATE VIEW IF NOT EXISTS retries_and_waste AS
SELECT
    s.day AS day,
    s.team AS team,
    s.feature AS feature,
    s.provider AS provider,
    s.model AS model,
    sum(s.requests) AS requests,
    sumIf(s.requests, s.attempt_kind = 'retry') AS retries,
    sumIf(s.requests, s.attempt_kind = 'fallback') AS fallbacks,
    sumIf(s.requests, s.status != 'success') AS failures,
    sum(s.cost_usd) AS cost_usd,
    sum(s.retry_cost_usd) AS retry_cost_usd,
    sum(s.fallback_cost_usd) AS fallback_cost_usd,
    sum(s.wasted_cost_usd) AS wasted_cost_usd
FROM spend_by_hour AS s
GROUP BY day, team, feature, provider, model
