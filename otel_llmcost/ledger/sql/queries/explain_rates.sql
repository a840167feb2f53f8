-- The content of some rates.
SELECT rate_id, provider, model, source, version, effective_from, effective_to, content
FROM llm_rates FINAL
WHERE rate_id IN {rate_ids:Array(String)}
