-- What each month of {rollups} must hold, in [since, until), UTC days, beside what it holds. One statement, so that both
-- are read as they are at one instant. `difference` is the sum over cells of hash(cell) * a mix of all measures, of the rows
-- minus of the rollup, in arithmetic that wraps: however rows were added up on the way, it is 0 where every cell agrees.
-- With {by_cell} the same for each cell that differs, which `cell` tells apart.
WITH (
        reinterpretAsUInt64(s.requests)
        + reinterpretAsUInt64(s.partial_requests) * 3
        + reinterpretAsUInt64(s.unpriced_requests) * 5
        + reinterpretAsUInt64(s.failed_without_usage) * 7
        + reinterpretAsUInt64(s.input_tokens) * 11400714819323198485
        + reinterpretAsUInt64(s.cached_input_tokens) * 13787848793156543929
        + reinterpretAsUInt64(s.cache_write_tokens) * 10723151780598845931
        + reinterpretAsUInt64(s.output_tokens) * 7046029254386353131
        + reinterpretAsUInt64(s.cost_usd) * 14029467366897019727
        + reinterpretAsUInt64(s.list_cost_usd) * 1609587929392839161
        + reinterpretAsUInt64(s.wasted_cost_usd) * 9650029242287828579
        + reinterpretAsUInt64(s.retry_cost_usd) * 2870177450012600261
        + reinterpretAsUInt64(s.fallback_cost_usd) * 6364136223846793005
        + reinterpretAsUInt64(s.cache_savings_usd) * 1442695040888963407
    ) AS mix
SELECT
    s.part.1 AS rollup,
    toYYYYMM(s.day) AS month,
    if({by_cell:Bool}, s.part.2, 0) AS cell,
    sumIf(s.requests, s.is_row) AS rows_requests,
    sumIf(s.cost_usd, s.is_row) AS rows_cost_usd,
    sumIf(s.input_tokens, s.is_row) AS rows_input_tokens,
    sumIf(s.cached_input_tokens, s.is_row) AS rows_cached_input_tokens,
    sumIf(s.cache_write_tokens, s.is_row) AS rows_cache_write_tokens,
    sumIf(s.output_tokens, s.is_row) AS rows_output_tokens,
    sumIf(s.requests, NOT s.is_row) AS held_requests,
    sumIf(s.cost_usd, NOT s.is_row) AS held_cost_usd,
    sumIf(s.input_tokens, NOT s.is_row) AS held_input_tokens,
    sumIf(s.cached_input_tokens, NOT s.is_row) AS held_cached_input_tokens,
    sumIf(s.cache_write_tokens, NOT s.is_row) AS held_cache_write_tokens,
    sumIf(s.output_tokens, NOT s.is_row) AS held_output_tokens,
    sum(s.part.2 * mix * if(s.is_row, toUInt64(1), 18446744073709551615)) AS difference
FROM
(
    SELECT
        true AS is_row,
        arrayJoin(arrayFilter(each -> has({rollups:Array(String)}, each.1), [
            ('spend_by_hour', cityHash64(toUInt32(r.hour), r.environment, r.team, r.feature, r.provider, r.model, r.status, r.attempt_kind, r.price_status)),
            ('spend_by_customer_day', cityHash64(toUInt16(r.day), r.customer_id, r.team, r.feature, r.environment, r.model, r.attempt_kind, r.price_status)),
            ('spend_by_action_day', cityHash64(toUInt16(r.day), r.action, r.team, r.feature, r.environment))
        ])) AS part,
        r.day AS day, r.requests AS requests, r.partial_requests AS partial_requests, r.unpriced_requests AS unpriced_requests,
        r.failed_without_usage AS failed_without_usage, r.input_tokens AS input_tokens, r.cached_input_tokens AS cached_input_tokens,
        r.cache_write_tokens AS cache_write_tokens, r.output_tokens AS output_tokens, r.cost_usd AS cost_usd,
        r.list_cost_usd AS list_cost_usd, r.wasted_cost_usd AS wasted_cost_usd, r.retry_cost_usd AS retry_cost_usd,
        r.fallback_cost_usd AS fallback_cost_usd, r.cache_savings_usd AS cache_savings_usd
    FROM spend_by_request AS r
    WHERE r.day >= {since:Date} AND r.day < {until:Date}
    UNION ALL
    SELECT
        false,
        ('spend_by_hour', cityHash64(toUInt32(h.hour), h.environment, h.team, h.feature, h.provider, h.model, h.status, h.attempt_kind, h.price_status)),
        h.day, h.requests, h.partial_requests, h.unpriced_requests, h.failed_without_usage, h.input_tokens, h.cached_input_tokens,
        h.cache_write_tokens, h.output_tokens, h.cost_usd, h.list_cost_usd, h.wasted_cost_usd, h.retry_cost_usd,
        h.fallback_cost_usd, h.cache_savings_usd
    FROM spend_by_hour AS h
    WHERE h.day >= {since:Date} AND h.day < {until:Date} AND has({rollups:Array(String)}, 'spend_by_hour')
    UNION ALL
    SELECT
        false,
        ('spend_by_customer_day', cityHash64(toUInt16(c.day), c.customer_id, c.team, c.feature, c.environment, c.model, c.attempt_kind, c.price_status)),
        c.day, c.requests, c.partial_requests, c.unpriced_requests, c.failed_without_usage, c.input_tokens, c.cached_input_tokens,
        c.cache_write_tokens, c.output_tokens, c.cost_usd, c.list_cost_usd, c.wasted_cost_usd, c.retry_cost_usd,
        c.fallback_cost_usd, c.cache_savings_usd
    FROM spend_by_customer_day AS c
    WHERE c.day >= {since:Date} AND c.day < {until:Date} AND has({rollups:Array(String)}, 'spend_by_customer_day')
    UNION ALL
    SELECT
        false,
        ('spend_by_action_day', cityHash64(toUInt16(a.day), a.action, a.team, a.feature, a.environment)),
        a.day, a.requests, a.partial_requests, a.unpriced_requests, a.failed_without_usage, a.input_tokens, a.cached_input_tokens,
        a.cache_write_tokens, a.output_tokens, a.cost_usd, a.list_cost_usd, a.wasted_cost_usd, a.retry_cost_usd,
        a.fallback_cost_usd, a.cache_savings_usd
    FROM spend_by_action_day AS a
    WHERE a.day >= {since:Date} AND a.day < {until:Date} AND has({rollups:Array(String)}, 'spend_by_action_day')
) AS s
GROUP BY month, rollup, cell
HAVING NOT {by_cell:Bool} OR difference != 0
ORDER BY rollup, month, cell
LIMIT 10000
