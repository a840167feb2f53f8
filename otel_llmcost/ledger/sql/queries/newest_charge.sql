-- The instant of the newest charge: so far does the ledger have data. Of an empty ledger, no row.
SELECT max(r.timestamp) AS newest_at FROM llm_requests AS r HAVING count() > 0
