-- The outcomes of one batch as one copy of it has them, where the batch is there {times} times.
SELECT o.timestamp AS timestamp, o.action AS action, o.action_id AS action_id, o.customer_id AS customer_id, o.value_usd AS value_usd,
    intDiv(count(), {times:UInt64}) AS outcomes
FROM llm_outcomes AS o
WHERE o.batch_id = {batch_id:String}
GROUP BY timestamp, action, action_id, customer_id, value_usd
ORDER BY timestamp, action, action_id, customer_id, value_usd
