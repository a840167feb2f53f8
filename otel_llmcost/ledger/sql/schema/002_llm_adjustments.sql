-- Signed, explained corrections: the columns of a request, as it was (-1, taken back) or as it should be (+1, added).
CREATE TABLE IF NOT EXISTS llm_adjustments AS llm_requests
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (team, toStartOfHour(timestamp), feature, model, timestamp)
SETTINGS non_replicated_deduplication_window = 100000, fsync_after_insert = 1, fsync_part_directory = 1
