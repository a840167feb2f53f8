-- The SELECT of each view that fills a rollup, as the database runs it, and the rollup's own columns.
SELECT
    v.name AS name,
    v.as_select AS as_select,
    (
        SELECT groupArray(c.name)
        FROM (SELECT name FROM system.columns
              WHERE database = {database:String} AND table = {rollup:String} AND default_kind != 'ALIAS' ORDER BY position) AS c
    ) AS columns
FROM system.tables AS v
WHERE v.database = {database:String} AND v.engine = 'MaterializedView'
  AND v.name IN (concat({rollup:String}, '_from_requests'), concat({rollup:String}, '_from_adjustments'))
ORDER BY v.name
