-- Whether a table holds rows of one journal segment.
SELECT 1 AS found FROM {table:Identifier} WHERE batch_id = {batch_id:String} LIMIT 1
