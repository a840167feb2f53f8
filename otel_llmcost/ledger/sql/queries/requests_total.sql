-- The sums of the listed charges, where facts are asked for that no rollup has.
SELECT
    sum(toInt64(c.sign)) AS requests,
    sum(toInt64(c.sign * (c.price_status = 'partial'))) AS partial_requests,
    sum(toInt64(c.sign * (isNull(c.cost_usd) AND NOT (c.reason = 'no_usage' AND c.status != 'success')))) AS unpriced_requests,
    sum(toInt64(c.sign * (isNull(c.cost_usd) AND c.reason = 'no_usage' AND c.status != 'success'))) AS failed_without_usage,
    sum(toDecimal128(c.sign * ifNull(c.cost_usd, 0), 12)) AS cost_usd
FROM llm_charges AS c
WHERE c.timestamp >= {first:DateTime64(6, 'UTC')} AND c.timestamp <= {last:DateTime64(6, 'UTC')}
  AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
  AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
  AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
  AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
  AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
  AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
  AND (NOT {wasted:Bool} OR c.wasted OR c.status != 'success')
  AND ({error_type:Nullable(String)} IS NULL OR c.error_type = {error_type:Nullable(String)})
  AND ({reason:Nullable(String)} IS NULL OR c.reason = {reason:Nullable(String)})
  AND ({action_id:Nullable(String)} IS NULL OR c.action_id = {action_id:Nullable(String)})
  AND ({gap:Nullable(String)} IS NULL OR has(c.usage_gaps, assumeNotNull({gap:Nullable(String)})))
  AND ({rate_id:Nullable(String)} IS NULL OR c.rate_id = {rate_id:Nullable(String)})
