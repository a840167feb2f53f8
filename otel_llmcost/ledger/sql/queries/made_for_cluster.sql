-- Whether the ledger's first table, which every apply begins with, is a cluster's.
SELECT count() FROM system.tables
WHERE database = {database:String} AND name IN ('llmcost_migrations', 'llm_requests')
  AND (startsWith(engine, 'Replicated') OR engine = 'Distributed')
