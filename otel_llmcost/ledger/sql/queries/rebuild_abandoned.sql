-- Tables that rebuilds of one rollup made and never removed, so many seconds after they were made.
SELECT name
FROM system.tables
WHERE database = currentDatabase()
  AND (name = {rebuild:String} OR startsWith(name, concat({rebuild:String}, '_')))
  AND metadata_modification_time <= now() - {idle_seconds:UInt32}
ORDER BY name
