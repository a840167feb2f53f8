-- Remove a month of which there is not a single row.
ALTER TABLE $rollup DROP PARTITION $month
