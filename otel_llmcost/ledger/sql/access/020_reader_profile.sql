-- A dashboard's limits. `readonly = 2`: it may set what a query needs, its time zone for one, and write nothing.
CREATE SETTINGS PROFILE IF NOT EXISTS llmcost_reader$on_cluster
SETTINGS
    readonly = 2,
    max_execution_time = 30 MIN 1 MAX 120,
    max_memory_usage = 4000000000 MAX 8000000000
