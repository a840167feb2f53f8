-- Charges that lack an owner: a team, a feature, a customer or an environment; by UTC day and the service that made them.
CREATE VIEW IF NOT EXISTS unattributed AS
SELECT
    s.day AS day,
    s.service_name AS service_name,
    s.team AS team,
    s.feature AS feature,
    s.customer_id = '(unattributed)' AS lacks_customer,
    s.environment AS environment,
    sum(s.requests) AS requests,
    sum(s.unpriced_requests) AS unpriced_requests,
    sum(s.cost_usd) AS cost_usd
FROM spend_by_request AS s
WHERE s.team = '(unattributed)' OR s.feature = '(unattributed)' OR s.customer_id = '(unattributed)' OR s.environment = '(unattributed)'
GROUP BY day, service_name, team, feature, lacks_customer, environment
