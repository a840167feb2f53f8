-- Batches whose months' rollups are marked for repair, by month.
SELECT month, table, count() AS batches, groupArray(3)(batch_id) AS some, any(reason) AS reason, max(marked_at) AS last_marked_at
FROM llmcost_repairs FINAL
WHERE repaired_at < marked_at AND month >= {first:String} AND month <= {last:String}
GROUP BY month, table
ORDER BY month, table
