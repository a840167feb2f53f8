-- From when to when there are requests: read from the index of the parts, not from rows.
SELECT count() AS requests, min(timestamp) AS first, max(timestamp) AS newest
FROM llm_requests
