-- The rows of one day that are missing, each span once, however often it was sent.
INSERT INTO llm_requests ($columns)
SETTINGS insert_deduplicate = 1, deduplicate_blocks_in_dependent_materialized_views = 1, insert_deduplication_token = '$token'
SELECT $columns
FROM ($requests) AS e
WHERE (e.trace_id, e.span_id) NOT IN ($stored)
ORDER BY e.trace_id, e.span_id
LIMIT 1 BY e.trace_id, e.span_id
