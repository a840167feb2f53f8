-- Some days of a month, as a view of the rollup makes them. Nothing is remembered of it: equal blocks must not be dropped.
INSERT INTO $rebuild ($columns)
SETTINGS insert_deduplicate = 0
SELECT $columns FROM ($select) WHERE toDate($instant) >= {since:Date} AND toDate($instant) < {until:Date}
