-- The rows behind a report, newest first: requests, and adjustments with their sign. Each table is asked for its newest
-- alone, because the engine then reads the other columns of those rows only; of the view it would read all.
SELECT *
FROM
(
    SELECT
        timestamp, request_id, trace_id, span_id, response_id, team, feature, customer_id, environment, action, action_id,
        service_name, provider, model, status, error_type, attempt, attempt_kind, wasted, price_status, reason, duration_us,
        input_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, cache_write_12h_tokens, output_tokens,
        audio_input_tokens, cached_audio_input_tokens, audio_output_tokens, image_input_tokens, image_output_tokens,
        web_search_calls, file_search_calls, code_execution_calls, reasoning_tokens,
        rate_id, toInt8(1) AS sign, '' AS adjustment_reason, cost_usd
    FROM llm_requests
    WHERE timestamp >= {since:Date} AND timestamp < {until:Date}
      AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
      AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
      AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
      AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
      AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
      AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
    ORDER BY timestamp DESC
    LIMIT {limit:UInt32}
    UNION ALL
    SELECT
        timestamp, request_id, trace_id, span_id, response_id, team, feature, customer_id, environment, action, action_id,
        service_name, provider, model, status, error_type, attempt, attempt_kind, wasted, price_status, reason, duration_us,
        input_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, cache_write_12h_tokens, output_tokens,
        audio_input_tokens, cached_audio_input_tokens, audio_output_tokens, image_input_tokens, image_output_tokens,
        web_search_calls, file_search_calls, code_execution_calls, reasoning_tokens,
        rate_id, sign, adjustment_reason, sign * cost_usd AS cost_usd
    FROM llm_adjustments
    WHERE timestamp >= {since:Date} AND timestamp < {until:Date}
      AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
      AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
      AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
      AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
      AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
      AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
    ORDER BY timestamp DESC
    LIMIT {limit:UInt32}
)
ORDER BY timestamp DESC, trace_id, span_id, sign DESC
LIMIT {limit:UInt32}
