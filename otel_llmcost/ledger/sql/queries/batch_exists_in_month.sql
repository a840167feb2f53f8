-- Whether a table holds rows of one journal segment in one month (YYYYMM): what moves a charge over its end lies in two.
SELECT 1 AS found
FROM {table:Identifier}
WHERE batch_id = {batch_id:String} AND toYYYYMM(timestamp) = toUInt32({month:String})
LIMIT 1
