-- How the cost of one request is distributed: signed counts in logarithmic buckets, so that take-backs subtract exactly.
--
-- Bucket b holds costs in [1.02^b, 1.02^(b+1)) USD: a quantile read from it is within 1 %. Bucket -32768 holds free
-- requests; those without a known cost are not here.
CREATE TABLE IF NOT EXISTS spend_quantiles_by_day
(
    day         Date                                    CODEC(Delta(2), ZSTD(1)),
    team        LowCardinality(String)                  CODEC(ZSTD(1)),
    feature     LowCardinality(String)                  CODEC(ZSTD(1)),
    model       LowCardinality(String)                  CODEC(ZSTD(1)),
    bucket      Int16                                   CODEC(Delta(2), ZSTD(1)),
    requests    SimpleAggregateFunction(sum, Int64)     CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (feature, model, team, day, bucket)
SETTINGS non_replicated_deduplication_window = 100000, fsync_after_insert = 1, fsync_part_directory = 1
