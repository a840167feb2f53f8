-- Whether the ledger's database is there.
SELECT count() FROM system.databases WHERE name = {database:String}
