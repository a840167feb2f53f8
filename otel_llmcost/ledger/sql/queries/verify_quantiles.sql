-- The same as verify_rollups for spend_quantiles_by_day, which counts requests by cost and holds no money.
SELECT
    'spend_quantiles_by_day' AS rollup,
    toYYYYMM(s.day) AS month,
    if({by_cell:Bool}, s.part, 0) AS cell,
    sumIf(s.requests, s.is_row) AS rows_requests,
    sumIf(s.requests, NOT s.is_row) AS held_requests,
    sum(s.part * reinterpretAsUInt64(s.requests) * if(s.is_row, toUInt64(1), 18446744073709551615)) AS difference
FROM
(
    WITH if(ifNull(c.cost_usd, 0) > 0, toInt16(floor(log(toFloat64(ifNull(c.cost_usd, 0))) / log(1.02))), -32768) AS bucket
    SELECT
        true AS is_row,
        cityHash64(toUInt16(toDate(c.timestamp)), c.team, c.feature, c.model, toInt16(bucket)) AS part,
        toDate(c.timestamp) AS day,
        toInt64(c.sign) AS requests
    FROM llm_charges AS c
    WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date} AND isNotNull(c.cost_usd)
    UNION ALL
    SELECT false, cityHash64(toUInt16(q.day), q.team, q.feature, q.model, q.bucket), q.day, q.requests
    FROM spend_quantiles_by_day AS q
    WHERE q.day >= {since:Date} AND q.day < {until:Date}
) AS s
GROUP BY month, cell
HAVING NOT {by_cell:Bool} OR difference != 0
ORDER BY month, cell
LIMIT 10000
