-- What spend_quantiles_by_day holds of each month in [since, until), UTC days; see verify_rows.
SELECT
    toYYYYMM(s.day) AS month,
    sum(s.requests) AS requests,
    sum(cityHash64(toUInt16(s.day), s.team, s.feature, s.model, s.bucket) * reinterpretAsUInt64(s.requests)) AS fingerprint
FROM spend_quantiles_by_day AS s
WHERE s.day >= {since:Date} AND s.day < {until:Date}
GROUP BY month
ORDER BY month
