-- The content of rates, as the first spans that each process priced with them say it, where attributes are JSON.
WITH ifNull(CAST(t.SpanAttributes.`llmcost`.`rate`, 'Nullable(String)'), '') AS text
SELECT
    JSONExtractString(text, 'rate_id') AS rate_id,
    JSONExtractString(text, 'provider') AS provider,
    JSONExtractString(text, 'model') AS model,
    JSONExtractString(text, 'source') AS source,
    JSONExtractString(text, 'version') AS version,
    JSONExtractString(text, 'effective_from') AS effective_from,
    JSONExtractString(text, 'effective_to') AS effective_to,
    JSONExtractString(text, 'content') AS content
FROM $source AS t
WHERE text != '' AND rate_id != '' AND content != ''
