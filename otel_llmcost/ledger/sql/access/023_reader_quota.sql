-- What one reader may ask for: enough for a wall of dashboards, too little to starve the inserts.
CREATE QUOTA IF NOT EXISTS llmcost_reader$on_cluster KEYED BY user_name
FOR INTERVAL 1 minute MAX queries = 1200, errors = 300, execution_time = 600
TO llmcost_reader
