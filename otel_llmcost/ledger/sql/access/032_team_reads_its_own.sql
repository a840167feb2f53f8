-- Rows of the user's team. A user without SQL_team gets an error, and not a single row.
CREATE ROW POLICY IF NOT EXISTS llmcost_own_team
ON $database.llm_requests, $database.llm_adjustments, $database.spend_by_hour, $database.spend_by_customer_day,
    $database.spend_by_action_day, $database.spend_quantiles_by_day
FOR SELECT USING team = getSetting('SQL_team') TO llmcost_team_reader
