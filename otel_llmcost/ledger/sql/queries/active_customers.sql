-- How many customers have charges in force in [since, until), UTC days, and in [before_since, before_until), which ends at an
-- instant: as spend_compared. Charges that lack a customer are nobody's.
SELECT countIf(c.now_requests > 0) AS customers, countIf(c.before_requests > 0) AS customers_before
FROM
(
    SELECT w.customer_id AS customer_id, sumIf(w.requests, NOT w.is_before) AS now_requests, sumIf(w.requests, w.is_before) AS before_requests
    FROM
    (
        SELECT s.customer_id AS customer_id, s.day < {since:Date} AS is_before, s.requests AS requests
        FROM {source:Identifier} AS s
        WHERE s.customer_id != '(unattributed)'
          AND ((s.day >= {since:Date} AND s.day < {until:Date}) OR (s.day >= {before_since:Date} AND s.day < {before_day:Date}))
          AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
          AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
          AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
          AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
          AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
          AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
        UNION ALL
        SELECT s.customer_id AS customer_id, true AS is_before, s.requests AS requests
        FROM spend_by_instant AS s
        WHERE s.customer_id != '(unattributed)'
          AND s.timestamp >= {before_day:Date} AND s.timestamp < {before_until:DateTime64(0, 'UTC')}
            AND toStartOfHour(s.timestamp) BETWEEN {before_day:Date} AND {before_until:DateTime64(0, 'UTC')}  -- what tables are sorted by
          AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
          AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
          AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
          AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
          AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
          AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
    ) AS w
    GROUP BY customer_id
) AS c
