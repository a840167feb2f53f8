-- The last of the first `limit` rows of the list of charges, from a row on: `requests` then reads all columns of these rows
-- only. By time, newest first; or by cost, most costly first, and those whose cost is not known at its end.
SELECT p.cost_key AS cost_key, toString(p.timestamp) AS timestamp
FROM
(
    SELECT if({by_cost:Bool}, ifNull(c.sign * c.cost_usd, -999999), 0) AS cost_key, c.timestamp AS timestamp
    FROM llm_charges AS c
    WHERE c.timestamp >= {first:DateTime64(6, 'UTC')} AND c.timestamp <= {last:DateTime64(6, 'UTC')}
      AND (NOT {by_cost:Bool} OR (cost_key, c.timestamp) <= ({cost_key:Decimal(38, 12)}, {at:DateTime64(6, 'UTC')}))
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
    ORDER BY cost_key DESC, timestamp DESC
    LIMIT {limit:UInt32}
) AS p
ORDER BY p.cost_key, p.timestamp
LIMIT 1
