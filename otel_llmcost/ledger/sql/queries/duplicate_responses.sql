-- Charges in force in [since, until), UTC days, that share their response's id with another whose time meets theirs: what
-- may be one request that two services charged. Whether they show the same response is decided by whoever asks.
SELECT m.* EXCEPT (ended_before, next_started)
FROM
(
    SELECT
        h.*,
        max(h.ended) OVER (
            PARTITION BY h.response_id ORDER BY h.timestamp, h.of_trace_id, h.of_span_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS ended_before,
        leadInFrame(h.timestamp, 1, toDateTime64('2200-01-01 00:00:00', 6, 'UTC')) OVER (
            PARTITION BY h.response_id ORDER BY h.timestamp, h.of_trace_id, h.of_span_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS next_started
    FROM
    (
        SELECT
            c.response_id AS response_id,
            c.of_trace_id AS of_trace_id,
            c.of_span_id AS of_span_id,
            min(c.timestamp) AS timestamp,
            max(c.timestamp + toIntervalMicrosecond(toInt64(c.duration_us))) AS ended,
            any(c.service_name) AS service_name,
            any(c.scope_name) AS scope_name,
            any(c.team) AS team,
            any(c.feature) AS feature,
            any(c.customer_id) AS customer_id,
            groupUniqArrayArray([toString(c.model), toString(c.request_model)]) AS models,
            any(ifNull(c.input_tokens, 0) + ifNull(c.cached_input_tokens, 0) + ifNull(c.cache_write_tokens, 0)
                + ifNull(c.cache_write_1h_tokens, 0) + ifNull(c.cache_write_12h_tokens, 0)) AS given_tokens,
            any(ifNull(c.output_tokens, 0)) AS output_tokens,
            any(isNull(c.input_tokens) AND isNull(c.output_tokens)) AS lacks_usage,
            any(isNull(c.cost_usd)) AS lacks_cost,
            min(length(c.usage_gaps)) AS gaps
        FROM llm_charges AS c
        WHERE c.response_id != '' AND c.timestamp >= {since:Date} AND c.timestamp < {until:Date}
          AND cityHash64(c.response_id) IN
        (
            SELECT cityHash64(d.response_id) AS response
            FROM llm_charges AS d
            WHERE d.response_id != '' AND d.timestamp >= {since:Date} AND d.timestamp < {until:Date}
            GROUP BY response
            HAVING count() > 1
        )
        GROUP BY response_id, of_trace_id, of_span_id
        HAVING sum(c.sign) > 0
    ) AS h
) AS m
WHERE m.timestamp <= m.ended_before + toIntervalSecond(5) OR m.next_started <= m.ended + toIntervalSecond(5)
ORDER BY m.response_id, m.timestamp, m.of_trace_id, m.of_span_id
LIMIT {limit:UInt32}
