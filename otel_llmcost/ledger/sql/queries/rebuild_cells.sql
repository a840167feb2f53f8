-- How many cells a rebuild made: none of a month without rows, or without rows that belong in this rollup.
SELECT count() AS cells FROM {rebuild:Identifier}
