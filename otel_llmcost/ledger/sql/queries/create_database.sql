-- Make the ledger's database.
CREATE DATABASE IF NOT EXISTS {database:Identifier}
