-- What an adjustment has beside the numbers: its sign, the row that it corrects, and why.
ALTER TABLE llm_adjustments
    ADD COLUMN IF NOT EXISTS sign Int8,
    ADD COLUMN IF NOT EXISTS of_trace_id String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS of_span_id String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS adjustment_reason LowCardinality(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS adjusted_at DateTime64(6, 'UTC') DEFAULT now64(6) CODEC(Delta(8), ZSTD(1))
