-- What one team's reader may ask for.
CREATE QUOTA IF NOT EXISTS llmcost_team_reader KEYED BY user_name
FOR INTERVAL 1 minute MAX queries = 600, errors = 300, execution_time = 300
TO llmcost_team_reader
