-- The full content of every rate that priced a request, so that a row is explained years later.
CREATE TABLE IF NOT EXISTS llm_rates
(
    rate_id         String COMMENT 'provider/model#hash of the content',
    provider        LowCardinality(String),
    model           String,
    source          LowCardinality(String) COMMENT 'genai-prices, otel-llmcost, card:<name> or contract:<name>',
    version         String,
    effective_from  String COMMENT 'ISO instant UTC, or empty for "since launch"',
    effective_to    String,
    content         String COMMENT 'JSON: unit prices as decimal text, tiers, context, link and date of the source' CODEC(ZSTD(1)),
    batch_id        LowCardinality(String)
)
ENGINE = ReplacingMergeTree
ORDER BY rate_id
SETTINGS non_replicated_deduplication_window = 100000, fsync_after_insert = 1, fsync_part_directory = 1
