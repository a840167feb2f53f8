-- What business actions cost, and what they were worth, by UTC day.
--
-- `unit` says what `unit_cost_usd` is the cost of: an action where executions are known (an estimate, see
-- spend_by_action_day), else a request.
CREATE VIEW IF NOT EXISTS action_margin AS
SELECT
    m.day AS day,
    m.action AS action,
    sum(m.requests) AS requests,
    sum(m.unpriced_requests) AS unpriced_requests,
    sum(m.partial_requests) AS partial_requests,
    sum(m.actions) AS actions,
    sum(m.cost_usd) AS cost_usd,
    sum(m.value_usd) AS value_usd,
    value_usd - cost_usd AS margin_usd,
    if(actions > 0, 'action', 'request') AS unit,
    cost_usd / nullIf(if(actions > 0, toInt64(actions), requests), 0) AS unit_cost_usd
FROM
(
    SELECT
        s.day AS day,
        s.action AS action,
        sum(s.requests) AS requests,
        sum(s.unpriced_requests) AS unpriced_requests,
        sum(s.partial_requests) AS partial_requests,
        uniqCombined64Merge(14)(s.action_ids) AS actions,
        sum(s.cost_usd) AS cost_usd,
        toDecimal128(0, 12) AS value_usd
    FROM spend_by_action_day AS s
    GROUP BY day, action
    UNION ALL
    SELECT toDate(o.timestamp) AS day, o.action AS action, 0, 0, 0, 0, toDecimal128(0, 12), toDecimal128(sum(o.value_usd), 12)
    FROM llm_outcomes AS o
    GROUP BY day, action
) AS m
GROUP BY day, action
