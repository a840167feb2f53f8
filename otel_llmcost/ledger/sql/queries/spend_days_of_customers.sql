-- The same of each customer of one team's feature: of those 20 that cost most on {day}, which an excess can be no larger than.
SELECT s.day AS day, s.customer_id AS customer_id, sum(s.cost_usd) AS cost_usd,
    sum(if(s.attempt_kind = 'initial', s.wasted_cost_usd, s.cost_usd)) AS troubled_usd
FROM {source:Identifier} AS s
WHERE s.day IN {days:Array(Date)} AND s.team = {team:String} AND s.feature = {feature:String}
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
  AND s.customer_id IN
(
    SELECT s.customer_id
    FROM {source:Identifier} AS s
    WHERE s.day = {day:Date} AND s.team = {team:String} AND s.feature = {feature:String}
      AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
      AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
      AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
      AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
      AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
      AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
    GROUP BY s.customer_id
    ORDER BY sum(s.cost_usd) DESC, s.customer_id
    LIMIT 20
)
GROUP BY day, customer_id
