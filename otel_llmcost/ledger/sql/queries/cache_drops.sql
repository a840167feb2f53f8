-- Days in [since, until) on which a team's feature read less than half of the share of its input from a model's cache than
-- in the seven days before, those first that lost most tokens: where to look closer. `read_since` is earlier by those.
SELECT d.team AS team, d.feature AS feature, d.model AS model, groupArray(d.day) AS days
FROM
(
    SELECT
        s.team AS team,
        s.feature AS feature,
        s.model AS model,
        s.day AS day,
        sum(s.cached_input_tokens) AS hit,
        sum(s.input_tokens) + hit + sum(s.cache_write_tokens) AS given,
        sum(hit) OVER week AS hit_before,
        sum(given) OVER week AS given_before,
        sum(sum(s.requests)) OVER week AS requests_before
    FROM {source:Identifier} AS s
    WHERE s.day >= {read_since:Date} AND s.day < {until:Date}
      AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
      AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
      AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
      AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
      AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
      AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
    GROUP BY team, feature, model, day
    WINDOW week AS (PARTITION BY team, feature, model ORDER BY day RANGE BETWEEN 7 PRECEDING AND 1 PRECEDING)
    ORDER BY day
) AS d
WHERE d.day >= {since:Date} AND d.given > 0 AND d.requests_before >= {least_requests:UInt32}
  AND d.hit_before >= {least_share:Float64} * d.given_before AND 2 * d.hit / d.given < d.hit_before / d.given_before
GROUP BY team, feature, model
ORDER BY max(d.given * d.hit_before / d.given_before - d.hit) DESC, team, feature, model
LIMIT {limit:UInt32}
