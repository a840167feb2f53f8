-- Every request that an id names: of the application, the provider, the trace or the span.
SELECT *, request_id
FROM llm_requests
WHERE trace_id = {id:String} OR span_id = {id:String} OR response_id = {id:String} OR own_request_id = {id:String}
ORDER BY timestamp, span_id
LIMIT 1000
