-- What business actions were recorded to be worth, by action and UTC day in [since, until). A batch that was stored again
-- and taken back has its outcomes a third time, with the opposite value, in a batch `taken-back-<batch_id>`.
SELECT
    o.action AS action,
    toDate(o.timestamp) AS day,
    sum(if(startsWith(o.batch_id, 'taken-back-'), -1, 1)) AS outcomes,
    sum(o.value_usd) AS value_usd
FROM llm_outcomes AS o
WHERE o.timestamp >= {since:Date} AND o.timestamp < {until:Date}
  AND ({action:Nullable(String)} IS NULL OR o.action = {action:Nullable(String)})
  AND ({customer_id:Nullable(String)} IS NULL OR o.customer_id = {customer_id:Nullable(String)})
GROUP BY action, day
HAVING outcomes != 0 OR value_usd != 0
ORDER BY action, day
