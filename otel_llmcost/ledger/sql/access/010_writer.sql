-- Applications and shippers: they add rows, and change or read nothing else.
CREATE ROLE IF NOT EXISTS llmcost_writer$on_cluster
