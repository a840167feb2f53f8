-- What business actions were worth: the other side of the margin.
CREATE TABLE IF NOT EXISTS llm_outcomes
(
    timestamp       DateTime64(6, 'UTC')    CODEC(Delta(8), ZSTD(1)),
    action          LowCardinality(String)  CODEC(ZSTD(1)),
    action_id       String                  CODEC(ZSTD(1)),
    customer_id     String DEFAULT '(unattributed)' CODEC(ZSTD(1)),
    value_usd       Decimal(18, 6)          CODEC(ZSTD(1)),
    batch_id        LowCardinality(String)  CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (action, timestamp)
SETTINGS non_replicated_deduplication_window = 100000, fsync_after_insert = 1, fsync_part_directory = 1
