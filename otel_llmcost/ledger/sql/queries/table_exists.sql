-- Whether one table of the ledger is there.
SELECT count() FROM system.tables WHERE database = {database:String} AND name = {table:String}
