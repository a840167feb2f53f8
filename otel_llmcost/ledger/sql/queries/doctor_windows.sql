-- How many inserts each table that fills itself or takes rows remembers; 0 or '' where nothing is said of it.
SELECT
    t.name AS name,
    t.engine AS engine,
    toUInt64OrZero(extract(t.engine_full, '[^_]replicated_deduplication_window = (\\d+)')) AS replicated_inserts,
    toUInt64OrZero(extract(t.engine_full, 'replicated_deduplication_window_seconds = (\\d+)')) AS replicated_seconds,
    toUInt64OrZero(extract(t.engine_full, 'non_replicated_deduplication_window = (\\d+)')) AS inserts
FROM system.tables AS t
WHERE t.database = currentDatabase() AND t.engine LIKE '%MergeTree' AND (t.name LIKE 'llm\\_%' OR t.name LIKE 'spend\\_by\\_%' OR t.name LIKE 'spend\\_quantiles\\_by\\_%')
ORDER BY t.name
