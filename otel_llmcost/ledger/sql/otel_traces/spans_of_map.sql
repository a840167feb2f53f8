-- Spans that were priced at their source, of a table whose attributes are a Map of texts: what they say, and '' where they
-- say nothing. Those that a journal accounts for, and those that another span carries, are left out.
SELECT
    t.Timestamp AS started,
    t.TraceId AS trace_id,
    t.SpanId AS span_id,
    t.ParentSpanId AS parent_span_id,
    t.ServiceName AS service_name,
    t.ScopeName AS scope_name,
    t.StatusCode AS status_code,
    t.Duration AS duration_ns,
    t.SpanAttributes['llmcost.price_status'] AS price_status,
    t.SpanAttributes['llmcost.cost_usd'] AS cost,
    t.SpanAttributes['llmcost.cost.breakdown'] AS breakdown,
    t.SpanAttributes['llmcost.usage'] AS usage,
    t.SpanAttributes['llmcost.rate_id'] AS rate_id,
    t.SpanAttributes['llmcost.reason'] AS reason,
    t.SpanAttributes['llmcost.missing_rates'] AS missing_rates,
    t.SpanAttributes['llmcost.status'] AS status,
    t.SpanAttributes['llmcost.attempt'] AS attempt,
    t.SpanAttributes['llmcost.attempt_kind'] AS attempt_kind,
    t.SpanAttributes['llmcost.team'] AS team,
    t.SpanAttributes['llmcost.feature'] AS feature,
    t.SpanAttributes['llmcost.customer_id'] AS customer_id,
    t.SpanAttributes['llmcost.environment'] AS environment,
    t.SpanAttributes['llmcost.action'] AS action,
    t.SpanAttributes['llmcost.action_id'] AS action_id,
    t.SpanAttributes['llmcost.request_id'] AS request_id,
    t.SpanAttributes['llmcost.call'] AS call_text,
    t.SpanAttributes['gen_ai.provider.name'] AS genai_provider,
    t.SpanAttributes['gen_ai.operation.name'] AS genai_operation,
    t.SpanAttributes['gen_ai.request.model'] AS genai_request_model,
    t.SpanAttributes['gen_ai.response.model'] AS genai_response_model,
    t.SpanAttributes['gen_ai.response.id'] AS genai_response_id
FROM $source AS t
WHERE price_status != '' AND t.SpanAttributes['llmcost.recorded'] != 'true' AND NOT mapContains(t.SpanAttributes, 'llmcost.duplicate_of')
  AND length(t.TraceId) = 32 AND length(t.SpanId) = 16$period
