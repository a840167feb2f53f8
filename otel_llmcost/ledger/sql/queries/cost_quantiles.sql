-- How the cost of one request is distributed, by one dimension: for each level, the middle of the bucket that holds it.
-- An estimate within 1 %, exact under take-backs; requests without a known cost are not in it.
SELECT
    d.label AS label,
    arraySum(d.counts) AS requests,
    arrayMap(
        level -> d.buckets[arrayFirstIndex(reached -> reached >= level * arraySum(d.counts), arrayCumSum(d.counts))],
        {levels:Array(Float64)}
    ) AS found,
    arrayMap(bucket -> toDecimal128(if(bucket = -32768, 0, pow(1.02, bucket + 0.5)), 12), found) AS quantiles_usd
FROM
(
    SELECT
        s.label AS label,
        groupArray(s.bucket) AS buckets,
        groupArray(s.counted) AS counts
    FROM
    (
        SELECT toString({by:Identifier}) AS label, q.bucket AS bucket, sum(q.requests) AS counted
        FROM spend_quantiles_by_day AS q
        WHERE q.day >= {since:Date} AND q.day < {until:Date}
          AND ({team:Nullable(String)} IS NULL OR q.team = {team:Nullable(String)})
          AND ({feature:Nullable(String)} IS NULL OR q.feature = {feature:Nullable(String)})
          AND ({model:Nullable(String)} IS NULL OR q.model = {model:Nullable(String)})
        GROUP BY label, bucket
        HAVING counted > 0
        ORDER BY label, bucket
    ) AS s
    GROUP BY label
) AS d
ORDER BY label
