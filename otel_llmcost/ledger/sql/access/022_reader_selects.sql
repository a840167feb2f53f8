-- Rows, rollups and views, those of later versions too.
GRANT$on_cluster SELECT ON $database.* TO llmcost_reader
