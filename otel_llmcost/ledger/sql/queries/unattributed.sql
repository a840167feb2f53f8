-- Charges in [since, until), UTC days, that lack a team, a feature, a customer or an environment, by the service that made
-- them and by which of the four are missing: a charge is in exactly one row. Those that lack nothing but a customer are
-- asked for apart, because the index of customers then leaves out most of what has one: a fifth of the time.
SELECT
    c.service_name AS service_name,
    arrayFilter(owner -> owner != '', [
        if(c.team = '(unattributed)', 'team', ''),
        if(c.feature = '(unattributed)', 'feature', ''),
        if(c.customer_id = '(unattributed)', 'customer_id', ''),
        if(c.environment = '(unattributed)', 'environment', '')
    ]) AS lacks,
    sum(toInt64(c.sign)) AS requests,
    sum(toInt64(c.sign) * (c.price_status = 'partial')) AS partial_requests,
    sum(toInt64(c.sign) * (isNull(c.cost_usd) AND NOT (c.reason = 'no_usage' AND c.status != 'success'))) AS unpriced_requests,
    sum(c.sign * ifNull(c.cost_usd, 0)) AS cost_usd,
    min(c.timestamp) AS first_seen_at,
    max(c.timestamp) AS last_seen_at
FROM
(
    SELECT service_name, team, feature, customer_id, environment, sign, price_status, reason, status, cost_usd, timestamp
    FROM llm_charges
    WHERE timestamp >= {since:Date} AND timestamp < {until:Date}
      AND (team = '(unattributed)' OR feature = '(unattributed)' OR environment = '(unattributed)')
      AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
      AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
      AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
      AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
      AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
      AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
    UNION ALL
    SELECT service_name, team, feature, customer_id, environment, sign, price_status, reason, status, cost_usd, timestamp
    FROM llm_charges
    WHERE timestamp >= {since:Date} AND timestamp < {until:Date} AND customer_id = '(unattributed)'
      AND team != '(unattributed)' AND feature != '(unattributed)' AND environment != '(unattributed)'
      AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
      AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
      AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
      AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
      AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
      AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
) AS c
GROUP BY service_name, lacks
HAVING requests != 0 OR cost_usd != 0
ORDER BY cost_usd DESC, requests DESC, service_name, lacks
