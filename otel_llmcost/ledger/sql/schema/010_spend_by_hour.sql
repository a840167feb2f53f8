-- Spend by hour and every dimension of few values; requests plus adjustments, to the picodollar.
CREATE TABLE IF NOT EXISTS spend_by_hour
(
    hour                    DateTime('UTC')                                 CODEC(Delta(4), ZSTD(1)),
    day                     Date ALIAS toDate(hour),
    month                   Date ALIAS toStartOfMonth(hour),
    environment             LowCardinality(String)                          CODEC(ZSTD(1)),
    team                    LowCardinality(String)                          CODEC(ZSTD(1)),
    feature                 LowCardinality(String)                          CODEC(ZSTD(1)),
    provider                LowCardinality(String)                          CODEC(ZSTD(1)),
    model                   LowCardinality(String)                          CODEC(ZSTD(1)),
    status                  LowCardinality(String)                          CODEC(ZSTD(1)),
    attempt_kind            LowCardinality(String)                          CODEC(ZSTD(1)),
    price_status            LowCardinality(String)                          CODEC(ZSTD(1)),
    requests                SimpleAggregateFunction(sum, Int64)             CODEC(T64, ZSTD(1)),
    partial_requests        SimpleAggregateFunction(sum, Int64)             CODEC(T64, ZSTD(1)),
    unpriced_requests       SimpleAggregateFunction(sum, Int64)             CODEC(T64, ZSTD(1)),
    failed_without_usage    SimpleAggregateFunction(sum, Int64)             CODEC(T64, ZSTD(1)),
    input_tokens            SimpleAggregateFunction(sum, Int64)             CODEC(T64, ZSTD(1)),
    cached_input_tokens     SimpleAggregateFunction(sum, Int64)             CODEC(T64, ZSTD(1)),
    cache_write_tokens      SimpleAggregateFunction(sum, Int64)             CODEC(T64, ZSTD(1)) COMMENT 'every lifetime',
    output_tokens           SimpleAggregateFunction(sum, Int64)             CODEC(T64, ZSTD(1)),
    cost_usd                SimpleAggregateFunction(sum, Decimal(38, 12))   CODEC(ZSTD(1)),
    list_cost_usd           SimpleAggregateFunction(sum, Decimal(38, 12))   CODEC(ZSTD(1)),
    wasted_cost_usd         SimpleAggregateFunction(sum, Decimal(38, 12))   CODEC(ZSTD(1)),
    retry_cost_usd          SimpleAggregateFunction(sum, Decimal(38, 12))   CODEC(ZSTD(1)),
    fallback_cost_usd       SimpleAggregateFunction(sum, Decimal(38, 12))   CODEC(ZSTD(1)),
    cache_savings_usd       SimpleAggregateFunction(sum, Decimal(38, 12))   CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (team, feature, model, hour, environment, provider, status, attempt_kind, price_status)
SETTINGS non_replicated_deduplication_window = 100000, fsync_after_insert = 1, fsync_part_directory = 1
