-- Tables of the ledger with their engines, and what a table remembers of inserts that does not say how much itself.
SELECT
    t.name AS name,
    t.engine AS engine,
    t.engine_full AS engine_full,
    (SELECT value FROM system.merge_tree_settings WHERE name = 'non_replicated_deduplication_window') AS default_window,
    (SELECT value FROM system.merge_tree_settings WHERE name = 'replicated_deduplication_window') AS default_replicated_window,
    (SELECT value FROM system.merge_tree_settings WHERE name = 'replicated_deduplication_window_seconds') AS default_window_seconds
FROM system.tables AS t
WHERE t.database = currentDatabase() AND t.name IN {tables:Array(String)}
ORDER BY name
