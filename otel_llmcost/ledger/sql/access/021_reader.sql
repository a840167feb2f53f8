-- Dashboards, finance and the command line's reports: they read everything and change nothing.
CREATE ROLE IF NOT EXISTS llmcost_reader$on_cluster SETTINGS PROFILE 'llmcost_reader'
