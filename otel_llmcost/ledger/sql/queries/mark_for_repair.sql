-- Say that the rollups of a month may lack one batch of a table's rows.
INSERT INTO llmcost_repairs (table, month, batch_id, reason)
    SELECT {table:String}, {month:String}, {batch_id:String}, {reason:String}
