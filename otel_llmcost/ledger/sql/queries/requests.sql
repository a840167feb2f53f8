-- The rows behind a report: requests, and adjustments with their sign, from a row of the list to the one that `requests_reach`
-- found. Rows with one key keep an order, of which the first `skip` were on the page before.
SELECT
    c.timestamp AS timestamp, c.request_id AS request_id, c.trace_id AS trace_id, c.span_id AS span_id,
    c.response_id AS response_id, c.team AS team, c.feature AS feature, c.customer_id AS customer_id,
    c.environment AS environment, c.action AS action, c.action_id AS action_id, c.service_name AS service_name,
    c.provider AS provider, c.model AS model, c.status AS status, c.error_type AS error_type, c.attempt AS attempt,
    c.attempt_kind AS attempt_kind, c.wasted AS wasted, c.price_status AS price_status, c.reason AS reason,
    c.duration_us AS duration_us, c.input_tokens AS input_tokens, c.cached_input_tokens AS cached_input_tokens,
    c.cache_write_tokens AS cache_write_tokens, c.cache_write_1h_tokens AS cache_write_1h_tokens,
    c.cache_write_12h_tokens AS cache_write_12h_tokens, c.output_tokens AS output_tokens,
    c.audio_input_tokens AS audio_input_tokens, c.cached_audio_input_tokens AS cached_audio_input_tokens,
    c.audio_output_tokens AS audio_output_tokens, c.image_input_tokens AS image_input_tokens,
    c.image_output_tokens AS image_output_tokens, c.web_search_calls AS web_search_calls,
    c.file_search_calls AS file_search_calls, c.code_execution_calls AS code_execution_calls,
    c.reasoning_tokens AS reasoning_tokens, c.sign AS sign, c.adjustment_reason AS adjustment_reason,
    c.of_trace_id AS of_trace_id, c.of_span_id AS of_span_id, c.rate_id AS rate_id, c.sign * c.cost_usd AS cost_usd
FROM llm_charges AS c
WHERE c.timestamp >= {first:DateTime64(6, 'UTC')} AND c.timestamp <= {last:DateTime64(6, 'UTC')}
  AND toStartOfHour(c.timestamp) >= toStartOfHour({first:DateTime64(6, 'UTC')})
  AND (NOT {by_cost:Bool} OR (ifNull(c.sign * c.cost_usd, -999999), c.timestamp) BETWEEN
      ({reach:Decimal(38, 12)}, {reach_at:DateTime64(6, 'UTC')}) AND ({cost_key:Decimal(38, 12)}, {at:DateTime64(6, 'UTC')}))
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
  AND (NOT {wasted:Bool} OR c.wasted OR c.status != 'success')
  AND ({error_type:Nullable(String)} IS NULL OR c.error_type = {error_type:Nullable(String)})
  AND ({reason:Nullable(String)} IS NULL OR c.reason = {reason:Nullable(String)})
  AND ({action_id:Nullable(String)} IS NULL OR c.action_id = {action_id:Nullable(String)})
  AND ({gap:Nullable(String)} IS NULL OR has(c.usage_gaps, assumeNotNull({gap:Nullable(String)})))
  AND ({rate_id:Nullable(String)} IS NULL OR c.rate_id = {rate_id:Nullable(String)})
ORDER BY if({by_cost:Bool}, ifNull(c.sign * c.cost_usd, -999999), 0) DESC, c.timestamp DESC, c.trace_id, c.span_id, c.sign DESC,
    c.adjusted_at, c.batch_id
LIMIT {limit:UInt32} OFFSET {skip:UInt32}
