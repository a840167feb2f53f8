-- One row per billable model request, never edited: what it cost, who owns it, and why the number can be trusted.
--
-- Ids are hex text, as in otel_traces: ZSTD stores a random hex digit in half a byte, so text costs 1.5 % over binary.
-- A NULL count was reported by nobody; a NULL cost is not known; neither is ever 0.
-- The journal forgets a row when this table has acknowledged it: so an insert is synced to disk first.
CREATE TABLE IF NOT EXISTS llm_requests
(
    timestamp                   DateTime64(6, 'UTC')                CODEC(Delta(8), ZSTD(1)) COMMENT 'start of the span: the instant that selects the rate',
    trace_id                    String                              CODEC(ZSTD(1)),
    span_id                     String                              CODEC(ZSTD(1)),
    parent_span_id              String                              CODEC(ZSTD(1)),
    response_id                 String                              CODEC(ZSTD(1)) COMMENT 'the id that the provider gave',
    own_request_id              String                              CODEC(ZSTD(1)) COMMENT 'the id that the application gave in baggage, or empty',
    request_id                  String ALIAS if(own_request_id = '', trace_id, own_request_id),
    service_name                LowCardinality(String)              CODEC(ZSTD(1)),
    dialect                     LowCardinality(String)              CODEC(ZSTD(1)),
    scope_name                  LowCardinality(String)              CODEC(ZSTD(1)),
    operation                   LowCardinality(String)              CODEC(ZSTD(1)),
    provider                    LowCardinality(String)              CODEC(ZSTD(1)),
    model                       LowCardinality(String)              CODEC(ZSTD(1)),
    request_model               LowCardinality(String)              CODEC(ZSTD(1)),
    service_tier                LowCardinality(String)              CODEC(ZSTD(1)),
    speed                       LowCardinality(String)              CODEC(ZSTD(1)),
    batch                       Bool                                CODEC(ZSTD(1)),
    region                      LowCardinality(String)              CODEC(ZSTD(1)),

    team                        LowCardinality(String) DEFAULT '(unattributed)' CODEC(ZSTD(1)),
    feature                     LowCardinality(String) DEFAULT '(unattributed)' CODEC(ZSTD(1)),
    customer_id                 String DEFAULT '(unattributed)'     CODEC(ZSTD(1)),
    environment                 LowCardinality(String) DEFAULT '(unattributed)' CODEC(ZSTD(1)),
    action                      LowCardinality(String) DEFAULT '(none)' CODEC(ZSTD(1)) COMMENT 'business action',
    action_id                   String                              CODEC(ZSTD(1)) COMMENT 'one execution of the action',
    owner_source                LowCardinality(String)              CODEC(ZSTD(1)),
    owner_extra                 Map(LowCardinality(String), String) CODEC(ZSTD(1)),

    status                      LowCardinality(String) DEFAULT 'success' CODEC(ZSTD(1)) COMMENT 'success, error, timeout, cancelled',
    error_type                  LowCardinality(String)              CODEC(ZSTD(1)),
    attempt                     UInt16 DEFAULT 1                    CODEC(ZSTD(1)),
    attempt_kind                LowCardinality(String) DEFAULT 'initial' CODEC(ZSTD(1)) COMMENT 'initial, retry, fallback',
    attempt_source              LowCardinality(String)              CODEC(ZSTD(1)),
    wasted                      Bool                                CODEC(ZSTD(1)) COMMENT 'a retry or fallback whose predecessor was charged too',
    resend_count                UInt16                              CODEC(ZSTD(1)),
    duration_us                 UInt64                              CODEC(T64, ZSTD(1)),

    input_tokens                Nullable(UInt64)                    CODEC(T64, ZSTD(1)) COMMENT 'fresh text only: counts never overlap',
    cached_input_tokens         Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    cache_write_tokens          Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    cache_write_1h_tokens       Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    cache_write_12h_tokens      Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    output_tokens               Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    audio_input_tokens          Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    cached_audio_input_tokens   Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    audio_output_tokens         Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    image_input_tokens          Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    image_output_tokens         Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    web_search_calls            Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    file_search_calls           Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    code_execution_calls        Nullable(UInt64)                    CODEC(T64, ZSTD(1)),
    reasoning_tokens            Nullable(UInt64)                    CODEC(T64, ZSTD(1)) COMMENT 'inside output_tokens',

    price_status                LowCardinality(String)              CODEC(ZSTD(1)) COMMENT 'priced, partial, unpriced, provider_reported',
    reason                      LowCardinality(String)              CODEC(ZSTD(1)),
    detail                      String                              CODEC(ZSTD(1)),
    missing_rates               Array(LowCardinality(String))       CODEC(ZSTD(1)),
    cost_usd                    Nullable(Decimal(18, 12))           CODEC(ZSTD(1)),
    list_cost_usd               Nullable(Decimal(18, 12)) DEFAULT cost_usd CODEC(ZSTD(1)),
    input_cost_usd              Nullable(Decimal(18, 12)) DEFAULT if(isNull(cost_usd), NULL, 0) CODEC(ZSTD(1)),
    cached_input_cost_usd       Nullable(Decimal(18, 12)) DEFAULT if(isNull(cost_usd), NULL, 0) CODEC(ZSTD(1)),
    cache_write_cost_usd        Nullable(Decimal(18, 12)) DEFAULT if(isNull(cost_usd), NULL, 0) CODEC(ZSTD(1)),
    output_cost_usd             Nullable(Decimal(18, 12)) DEFAULT if(isNull(cost_usd), NULL, 0) CODEC(ZSTD(1)),
    audio_cost_usd              Nullable(Decimal(18, 12)) DEFAULT if(isNull(cost_usd), NULL, 0) CODEC(ZSTD(1)),
    image_cost_usd              Nullable(Decimal(18, 12)) DEFAULT if(isNull(cost_usd), NULL, 0) CODEC(ZSTD(1)),
    tool_cost_usd               Nullable(Decimal(18, 12)) DEFAULT if(isNull(cost_usd), NULL, 0) CODEC(ZSTD(1)),
    request_cost_usd            Nullable(Decimal(18, 12)) DEFAULT if(isNull(cost_usd), NULL, 0) CODEC(ZSTD(1)),
    cache_savings_usd           Nullable(Decimal(18, 12)) DEFAULT if(isNull(cost_usd), NULL, 0) CODEC(ZSTD(1)),
    provider_cost_usd           Nullable(Decimal(18, 12))           CODEC(ZSTD(1)) COMMENT 'what the provider or emitter reported: never mixed with ours',
    rate_id                     LowCardinality(String)              CODEC(ZSTD(1)),
    rate_source                 LowCardinality(String)              CODEC(ZSTD(1)),
    rate_version                LowCardinality(String)              CODEC(ZSTD(1)),
    match_rule                  LowCardinality(String)              CODEC(ZSTD(1)),
    usage_convention            LowCardinality(String)              CODEC(ZSTD(1)),
    usage_gaps                  Array(LowCardinality(String))       CODEC(ZSTD(1)),

    batch_id                    LowCardinality(String)              CODEC(ZSTD(1)) COMMENT 'the journal segment that the row was first written to',

    INDEX ix_trace trace_id TYPE bloom_filter(0.03) GRANULARITY 1,
    INDEX ix_span span_id TYPE bloom_filter(0.03) GRANULARITY 1,
    INDEX ix_response response_id TYPE bloom_filter(0.03) GRANULARITY 1,
    INDEX ix_request own_request_id TYPE bloom_filter(0.03) GRANULARITY 1,
    INDEX ix_customer customer_id TYPE bloom_filter(0.03) GRANULARITY 1,
    INDEX ix_batch batch_id TYPE bloom_filter(0.03) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (team, toStartOfHour(timestamp), feature, model, timestamp)
SETTINGS non_replicated_deduplication_window = 100000, fsync_after_insert = 1, fsync_part_directory = 1
