-- What shipping asks: the same of every shard, and whether the tables behind an insert remember it.
GRANT$on_cluster
    SELECT(batch_id) ON $database.llm_requests,
    SELECT(batch_id) ON $database.llm_adjustments,
    SELECT(batch_id) ON $database.llm_outcomes,
    SHOW TABLES ON $database.*
TO llmcost_writer
