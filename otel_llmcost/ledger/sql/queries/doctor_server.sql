-- The version of the engine, and its clock.
SELECT version() AS version, now64(6, 'UTC') AS now
