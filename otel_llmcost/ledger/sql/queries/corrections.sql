-- What adjustments of charges in [since, until), UTC days, did to the bill, by why they were written.
SELECT
    a.adjustment_reason AS reason,
    countIf(a.sign = -1) AS taken_back,
    countIf(a.sign = 1) AS added,
    sum(a.sign * ifNull(a.cost_usd, 0)) AS net_usd,
    max(a.adjusted_at) AS last_adjusted_at
FROM llm_adjustments AS a
WHERE a.timestamp >= {since:Date} AND a.timestamp < {until:Date}
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
GROUP BY reason
ORDER BY taken_back + added DESC, reason
