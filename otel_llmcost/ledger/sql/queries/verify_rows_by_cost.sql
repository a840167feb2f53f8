-- What spend_quantiles_by_day must hold of each month in [since, until), UTC days; see verify_rows.
WITH if(ifNull(c.cost_usd, 0) > 0, toInt16(floor(log(toFloat64(ifNull(c.cost_usd, 0))) / log(1.02))), -32768) AS bucket
SELECT
    toYYYYMM(c.timestamp) AS month,
    sum(toInt64(c.sign)) AS requests,
    sum(cityHash64(toUInt16(toDate(c.timestamp)), c.team, c.feature, c.model, toInt16(bucket))
        * reinterpretAsUInt64(toInt64(c.sign))) AS fingerprint
FROM llm_charges AS c
WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date} AND isNotNull(c.cost_usd)
GROUP BY month
ORDER BY month
