-- Receivers of OTLP: writers that remember, over a restart, which spans they have journaled lately.
CREATE ROLE IF NOT EXISTS llmcost_receiver$on_cluster
