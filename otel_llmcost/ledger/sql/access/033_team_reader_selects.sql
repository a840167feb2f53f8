-- The tables that have such a policy, and what reads nothing else. Last: no grant without its policy. Not the values of
-- business actions, which are nobody's team's, and so not action_margin.
GRANT
    SELECT ON $database.llm_requests,
    SELECT ON $database.llm_adjustments,
    SELECT ON $database.spend_by_hour,
    SELECT ON $database.spend_by_customer_day,
    SELECT ON $database.spend_by_action_day,
    SELECT ON $database.spend_quantiles_by_day,
    SELECT ON $database.llm_rates,
    SELECT ON $database.llm_charges,
    SELECT ON $database.spend_by_request,
    SELECT ON $database.spend_by_instant,
    SELECT ON $database.daily_by_team,
    SELECT ON $database.daily_by_feature,
    SELECT ON $database.daily_by_customer,
    SELECT ON $database.daily_by_model,
    SELECT ON $database.daily_by_environment,
    SELECT ON $database.retries_and_waste,
    SELECT ON $database.cache_savings,
    SELECT ON $database.unattributed,
    SELECT ON $database.unpriced
TO llmcost_team_reader
