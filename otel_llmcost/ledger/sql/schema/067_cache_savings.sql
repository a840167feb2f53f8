-- What caching saved against fresh input at the same rates, by UTC day and model; negative where writes cost more.
CREATE VIEW IF NOT EXISTS cache_savings AS
SELECT
    s.day AS day,
    s.team AS team,
    s.feature AS feature,
    s.provider AS provider,
    s.model AS model,
    sum(s.input_tokens) AS input_tokens,
    sum(s.cached_input_tokens) AS cached_input_tokens,
    sum(s.cache_write_tokens) AS cache_write_tokens,
    sum(s.cost_usd) AS cost_usd,
    sum(s.cache_savings_usd) AS cache_savings_usd
FROM spend_by_hour AS s
GROUP BY day, team, feature, provider, model
