-- How many spans of a day are not in llm_requests, and a number that tells which.
SELECT toUInt64(count()) AS missing, groupBitXor(cityHash64(e.trace_id, e.span_id)) AS which
FROM (SELECT DISTINCT trace_id, span_id FROM ($spans) AS s) AS e
WHERE (e.trace_id, e.span_id) NOT IN ($stored)
