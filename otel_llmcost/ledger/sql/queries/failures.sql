-- Failed, timed-out and cancelled charges in [since, until), UTC days, by model and by what went wrong. All but the `top`
-- groups that cost most, then that are most, become one row with is_rest.
SELECT
    {top:UInt32} > 0 AND r.position > {top:UInt32} AS is_rest,
    if(is_rest, '', r.failed_provider) AS provider,
    if(is_rest, '', r.failed_model) AS model,
    if(is_rest, '', r.failed_status) AS status,
    if(is_rest, '', r.failed_type) AS error_type,
    sum(r.charges) AS requests,
    sum(r.costed_charges) AS costed_requests,
    sum(r.charged_usd) AS cost_usd
FROM
(
    SELECT
        c.provider AS failed_provider,
        c.model AS failed_model,
        c.status AS failed_status,
        c.error_type AS failed_type,
        sum(toInt64(c.sign)) AS charges,
        sum(toInt64(c.sign) * isNotNull(c.cost_usd)) AS costed_charges,
        sum(c.sign * ifNull(c.cost_usd, 0)) AS charged_usd,
        row_number() OVER (ORDER BY charged_usd DESC, charges DESC, failed_provider, failed_model, failed_status, failed_type) AS position
    FROM llm_charges AS c
    WHERE c.timestamp >= {since:Date} AND c.timestamp < {until:Date} AND c.status != 'success'
      AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
      AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
      AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
      AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
      AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
      AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
    GROUP BY failed_provider, failed_model, failed_status, failed_type
    HAVING charges != 0 OR charged_usd != 0
) AS r
GROUP BY is_rest, provider, model, status, error_type
ORDER BY is_rest, cost_usd DESC, requests DESC, provider, model, status, error_type
