-- Remove the table that a rebuild fills: what an interrupted one left, or what this one is done with.
DROP TABLE IF EXISTS $rebuild
