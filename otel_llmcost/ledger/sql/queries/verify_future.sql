-- Charges that lie more than an hour in the future of the ledger's clock, by service.
SELECT c.service_name AS service_name, count() AS charges, max(c.timestamp) AS latest
FROM llm_charges AS c
WHERE c.timestamp > now64(6) + toIntervalHour(1) AND c.timestamp >= {since:Date} AND c.timestamp < {until:Date}
GROUP BY service_name
ORDER BY charges DESC, service_name
