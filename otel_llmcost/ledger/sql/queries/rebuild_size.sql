-- How many rows a month has, adjustments included.
SELECT count() AS charges FROM llm_charges WHERE timestamp >= {since:Date} AND timestamp < {until:Date}
