-- Changes of rows that the engine is still at, and why it cannot go on.
SELECT table, any(latest_fail_reason) AS reason, sum(parts_to_do) AS parts
FROM system.mutations
WHERE database = currentDatabase() AND table IN {tables:Array(String)} AND NOT is_done
GROUP BY table
ORDER BY table
