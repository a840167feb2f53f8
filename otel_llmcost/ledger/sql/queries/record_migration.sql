-- Remember that a file of the schema was applied.
INSERT INTO llmcost_migrations (name, sha256) SELECT {name:String}, {sha256:String}
