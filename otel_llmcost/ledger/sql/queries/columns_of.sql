-- The columns of a table that may be another team's.
SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String} ORDER BY position
