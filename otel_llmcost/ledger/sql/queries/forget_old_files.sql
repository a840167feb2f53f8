-- Files of parts that were replaced, and are not removed yet.
SELECT table, count() AS parts
FROM system.parts
WHERE database = currentDatabase() AND table IN {tables:Array(String)} AND NOT active
GROUP BY table
ORDER BY table
