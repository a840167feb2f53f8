-- One team's own readers: their user says which team, in the setting SQL_team. Not on a cluster, where other nodes read.
CREATE ROLE IF NOT EXISTS llmcost_team_reader SETTINGS PROFILE 'llmcost_reader'
