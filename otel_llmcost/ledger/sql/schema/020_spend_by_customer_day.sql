-- Spend by day and customer: the dimension of many values has a rollup of its own, sorted by it.
CREATE TABLE IF NOT EXISTS spend_by_customer_day
(
    day                     Date                                            CODEC(Delta(2), ZSTD(1)),
    month                   Date ALIAS toStartOfMonth(day),
    customer_id             String                                          CODEC(ZSTD(1)),
    team                    LowCardinality(String)                          CODEC(ZSTD(1)),
    feature                 LowCardinality(String)                          CODEC(ZSTD(1)),
    environment             LowCardinality(String)                          CODEC(ZSTD(1)),
    model                   LowCardinality(String)                          CODEC(ZSTD(1)),
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
PARTITION BY toYYYYMM(day)
ORDER BY (customer_id, day, team, feature, environment, model, attempt_kind, price_status)
SETTINGS non_replicated_deduplication_window = 100000, fsync_after_insert = 1, fsync_part_directory = 1
