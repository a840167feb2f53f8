-- What shipping writes, rows and marks for repair; and the one column that says whether a batch is there already.
GRANT$on_cluster
    INSERT, SELECT(batch_id) ON $database.llm_requests$local,
    INSERT, SELECT(batch_id) ON $database.llm_adjustments$local,
    INSERT, SELECT(batch_id) ON $database.llm_outcomes$local,
    INSERT, SELECT(batch_id) ON $database.llm_rates,
    INSERT ON $database.llmcost_repairs
TO llmcost_writer
