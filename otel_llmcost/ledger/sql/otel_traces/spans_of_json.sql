-- The same of a table whose attributes are JSON: a value of any kind as text, and '' for what is no single value. The
-- engine keeps text that looks like a day or an instant as one, and writes it its own way.
SELECT
    t.Timestamp AS started,
    t.TraceId AS trace_id,
    t.SpanId AS span_id,
    t.ParentSpanId AS parent_span_id,
    t.ServiceName AS service_name,
    t.ScopeName AS scope_name,
    t.StatusCode AS status_code,
    t.Duration AS duration_ns,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`price_status`, 'Nullable(String)'), '') AS price_status,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`cost_usd`, 'Nullable(String)'), '') AS cost,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`cost`.`breakdown`, 'Nullable(String)'), '') AS breakdown,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`usage`, 'Nullable(String)'), '') AS usage,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`rate_id`, 'Nullable(String)'), '') AS rate_id,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`reason`, 'Nullable(String)'), '') AS reason,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`missing_rates`, 'Nullable(String)'), '') AS missing_rates,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`status`, 'Nullable(String)'), '') AS status,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`attempt`, 'Nullable(String)'), '') AS attempt,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`attempt_kind`, 'Nullable(String)'), '') AS attempt_kind,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`team`, 'Nullable(String)'), '') AS team,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`feature`, 'Nullable(String)'), '') AS feature,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`customer_id`, 'Nullable(String)'), '') AS customer_id,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`environment`, 'Nullable(String)'), '') AS environment,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`action`, 'Nullable(String)'), '') AS action,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`action_id`, 'Nullable(String)'), '') AS action_id,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`request_id`, 'Nullable(String)'), '') AS request_id,
    ifNull(CAST(t.SpanAttributes.`llmcost`.`call`, 'Nullable(String)'), '') AS call_text,
    ifNull(CAST(t.SpanAttributes.`gen_ai`.`provider`.`name`, 'Nullable(String)'), '') AS genai_provider,
    ifNull(CAST(t.SpanAttributes.`gen_ai`.`operation`.`name`, 'Nullable(String)'), '') AS genai_operation,
    ifNull(CAST(t.SpanAttributes.`gen_ai`.`request`.`model`, 'Nullable(String)'), '') AS genai_request_model,
    ifNull(CAST(t.SpanAttributes.`gen_ai`.`response`.`model`, 'Nullable(String)'), '') AS genai_response_model,
    ifNull(CAST(t.SpanAttributes.`gen_ai`.`response`.`id`, 'Nullable(String)'), '') AS genai_response_id
FROM $source AS t
WHERE price_status != '' AND ifNull(CAST(t.SpanAttributes.`llmcost`.`recorded`, 'Nullable(String)'), '') != 'true'
  AND isNull(CAST(t.SpanAttributes.`llmcost`.`duplicate_of`, 'Nullable(String)')) AND length(t.TraceId) = 32 AND length(t.SpanId) = 16$period
