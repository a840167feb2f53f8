-- A policy on a table hides its rows from everyone without one, on servers that say so: so first, everyone else.
CREATE ROW POLICY IF NOT EXISTS llmcost_everyone_else
ON $database.llm_requests, $database.llm_adjustments, $database.spend_by_hour, $database.spend_by_customer_day,
    $database.spend_by_action_day, $database.spend_quantiles_by_day
FOR SELECT USING 1 TO ALL EXCEPT llmcost_team_reader
