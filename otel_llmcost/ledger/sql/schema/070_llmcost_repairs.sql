-- Batches that were found in a table instead of being sent: their month's rollups may lack them, until it is rebuilt.
CREATE TABLE IF NOT EXISTS llmcost_repairs
(
    table           LowCardinality(String) COMMENT 'whose rows they are: llm_requests or llm_adjustments',
    month           LowCardinality(String) COMMENT 'YYYYMM, the partition of the rows and of their rollups',
    batch_id        String,
    reason          LowCardinality(String) COMMENT 'found_by_lookup: an insert whose answer nobody heard stored the rows, and a view may have failed behind it',
    marked_at       DateTime64(6, 'UTC') DEFAULT now64(6),
    repaired_at     DateTime64(6, 'UTC') DEFAULT toDateTime64(0, 6, 'UTC') COMMENT '1970 means not yet, and the same row with a later instant since when'
)
ENGINE = ReplacingMergeTree(repaired_at)
ORDER BY (table, month, batch_id, reason, marked_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
