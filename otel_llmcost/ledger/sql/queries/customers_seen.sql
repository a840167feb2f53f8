-- When customers were seen first and last, of all time, and what they spent in [since, until) and in [before_since, since): of
-- those that are named, and of those that cost most before and are gone. `new_customers` and `gone_customers` count all.
SELECT w.customer_id AS customer_id, w.first_day AS first_day, w.last_day AS last_day, w.before_cost_usd AS before_cost_usd,
    w.before_requests AS before_requests, w.is_gone AS is_gone, w.new_customers AS new_customers,
    w.gone_customers AS gone_customers
FROM
(
    SELECT c.*,
        countIf(c.is_new) OVER () AS new_customers,
        countIf(c.is_gone) OVER () AS gone_customers,
        row_number() OVER (PARTITION BY c.is_gone ORDER BY c.before_cost_usd DESC, c.customer_id) AS position
    FROM
    (
        SELECT s.customer_id AS customer_id,
            min(s.day) AS first_day,
            max(s.day) AS last_day,
            sumIf(s.requests, s.day >= {since:Date} AND s.day < {until:Date}) AS now_requests,
            sumIf(s.requests, s.day >= {before_since:Date} AND s.day < {since:Date}) AS before_requests,
            sumIf(s.cost_usd, s.day >= {before_since:Date} AND s.day < {since:Date}) AS before_cost_usd,
            now_requests > 0 AND first_day >= {since:Date} AS is_new,
            now_requests <= 0 AND before_requests > 0 AS is_gone
        FROM {source:Identifier} AS s
        WHERE s.customer_id != '(unattributed)'
          AND s.day < {until:Date}
          AND ({value_1:Nullable(String)} IS NULL OR {column_1:Identifier} = {value_1:Nullable(String)})
          AND ({value_2:Nullable(String)} IS NULL OR {column_2:Identifier} = {value_2:Nullable(String)})
          AND ({value_3:Nullable(String)} IS NULL OR {column_3:Identifier} = {value_3:Nullable(String)})
          AND ({value_4:Nullable(String)} IS NULL OR {column_4:Identifier} = {value_4:Nullable(String)})
          AND ({value_5:Nullable(String)} IS NULL OR {column_5:Identifier} = {value_5:Nullable(String)})
          AND ({value_6:Nullable(String)} IS NULL OR {column_6:Identifier} = {value_6:Nullable(String)})
        GROUP BY customer_id
    ) AS c
) AS w
WHERE has({names:Array(String)}, w.customer_id) OR (w.is_gone AND w.position <= {gone:UInt32})
ORDER BY w.is_gone, w.before_cost_usd DESC, w.customer_id
