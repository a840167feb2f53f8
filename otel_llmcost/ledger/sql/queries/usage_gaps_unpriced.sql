-- Charges in [since, until), UTC days, whose usage is known but not their whole price, with everything that a rate for
-- them depends on and every count that it must price. `standard`: the tiers and speeds that mean the list price.
SELECT
    c.provider AS provider,
    c.model AS model,
    if(has({standard:Array(String)}, c.service_tier), '', c.service_tier) AS service_tier,
    c.batch AS batch,
    if(has({standard:Array(String)}, c.speed), '', c.speed) AS speed,
    c.price_status AS price_status,
    c.reason AS reason,
    arraySort(c.missing_rates) AS missing_rates,
    sum(toInt64(c.sign)) AS requests,
    sum(c.sign * toInt64(ifNull(c.input_tokens, 0))) AS input_tokens,
    sum(c.sign * toInt64(ifNull(c.cached_input_tokens, 0))) AS cached_input_tokens,
    sum(c.sign * toInt64(ifNull(c.cache_write_tokens, 0))) AS cache_write_tokens,
    sum(c.sign * toInt64(ifNull(c.cache_write_1h_tokens, 0))) AS cache_write_1h_tokens,
    sum(c.sign * toInt64(ifNull(c.cache_write_12h_tokens, 0))) AS cache_write_12h_tokens,
    sum(c.sign * toInt64(ifNull(c.output_tokens, 0))) AS output_tokens,
    sum(c.sign * toInt64(ifNull(c.audio_input_tokens, 0))) AS audio_input_tokens,
    sum(c.sign * toInt64(ifNull(c.cached_audio_input_tokens, 0))) AS cached_audio_input_tokens,
    sum(c.sign * toInt64(ifNull(c.audio_output_tokens, 0))) AS audio_output_tokens,
    sum(c.sign * toInt64(ifNull(c.image_input_tokens, 0))) AS image_input_tokens,
    sum(c.sign * toInt64(ifNull(c.image_output_tokens, 0))) AS image_output_tokens,
    sum(c.sign * toInt64(ifNull(c.web_search_calls, 0))) AS web_search_calls,
    sum(c.sign * toInt64(ifNull(c.file_search_calls, 0))) AS file_search_calls,
    sum(c.sign * toInt64(ifNull(c.code_execution_calls, 0))) AS code_execution_calls
FROM llm_charges AS c
WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date}
  AND c.price_status != 'priced' AND c.reason != 'no_usage'
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
GROUP BY provider, model, service_tier, batch, speed, price_status, reason, missing_rates
HAVING requests != 0
ORDER BY requests DESC, provider, model, service_tier, batch, speed, price_status, reason, missing_rates
