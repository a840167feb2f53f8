-- What was charged in [since, until), UTC days, by the rate that priced it; '' is no rate.
SELECT c.rate_id AS rate_id,
    sum(toInt64(c.sign)) AS requests,
    sum(toInt64(c.sign * (c.price_status = 'partial'))) AS partial_requests,
    sum(toInt64(c.sign * (isNull(c.cost_usd) AND NOT (c.reason = 'no_usage' AND c.status != 'success')))) AS unpriced_requests,
    sum(toInt64(c.sign * (isNull(c.cost_usd) AND c.reason = 'no_usage' AND c.status != 'success'))) AS failed_without_usage,
    ifNull(sum(c.sign * c.cost_usd), 0) AS cost_usd
FROM llm_charges AS c
WHERE c.timestamp >= toDateTime64({since:Date}, 6, 'UTC') AND c.timestamp < toDateTime64({until:Date}, 6, 'UTC')
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
GROUP BY rate_id
HAVING requests != 0 OR cost_usd != 0
