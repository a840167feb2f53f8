-- Spend in [since, until), instants, by a folded dimension and in steps of so many seconds, and how much of it is of
-- recent_since or later. All but the `top` values that cost most become one row with is_rest; top 0 folds nothing, the
-- unattributed never folds.
SELECT
    {top:UInt32} > 0 AND r.position > {top:UInt32} AND r.folded != '(unattributed)' AS is_rest,
    if(is_rest, '', r.folded) AS folded,
    r.step AS step,
    sum(r.requests) AS requests,
    sum(r.partial_requests) AS partial_requests,
    sum(r.unpriced_requests) AS unpriced_requests,
    sum(r.failed_without_usage) AS failed_without_usage,
    sum(r.cost_usd) AS cost_usd,
    sum(r.wasted_cost_usd) AS wasted_cost_usd,
    sum(r.recent_requests) AS recent_requests,
    sum(r.recent_cost_usd) AS recent_cost_usd
FROM
(
    SELECT g.*, toString(g.folded_value) AS folded,
        dense_rank() OVER (ORDER BY g.folded_cost_usd DESC, g.folded_value) AS position
    FROM
    (
        SELECT
            {folded:Identifier} AS folded_value,
            intDiv(dateDiff('second', {since:DateTime('UTC')}, s.timestamp), {step_seconds:UInt32}) AS step,
            sum(s.requests) AS requests,
            sum(s.partial_requests) AS partial_requests,
            sum(s.unpriced_requests) AS unpriced_requests,
            sum(s.failed_without_usage) AS failed_without_usage,
            sum(s.cost_usd) AS cost_usd,
            sum(s.wasted_cost_usd) AS wasted_cost_usd,
            sumIf(s.requests, s.timestamp >= {recent_since:DateTime('UTC')}) AS recent_requests,
            sumIf(s.cost_usd, s.timestamp >= {recent_since:DateTime('UTC')}) AS recent_cost_usd,
            sum(sum(s.cost_usd)) OVER (PARTITION BY folded_value) AS folded_cost_usd
        FROM spend_by_instant AS s
        WHERE s.timestamp >= {since:DateTime('UTC')} AND s.timestamp < {until:DateTime('UTC')}
          AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
          AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
          AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
          AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
          AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
          AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
        GROUP BY folded_value, step
    ) AS g
) AS r
GROUP BY is_rest, folded, step
