-- Which files of the schema were applied, and what they said then.
SELECT name, any(sha256) AS sha256, min(applied_at) AS applied_at FROM llmcost_migrations GROUP BY name ORDER BY name
