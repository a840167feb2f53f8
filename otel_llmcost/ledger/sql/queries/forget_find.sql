-- Where a customer is, by table and month. An id is compared by its salted hash, so that none stands in a log of queries.
SELECT 'llm_requests' AS source, toString(toYYYYMM(r.timestamp)) AS month, toInt64(count()) AS found_rows,
    toDecimal128(sum(ifNull(r.cost_usd, 0)), 12) AS cost_usd
FROM llm_requests AS r
WHERE has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, r.customer_id)))))
    OR arrayExists(each -> has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, each))))), mapValues(r.owner_extra))
GROUP BY month
UNION ALL
SELECT 'llm_adjustments', toString(toYYYYMM(a.timestamp)) AS month, toInt64(count()),
    toDecimal128(sum(a.sign * ifNull(a.cost_usd, 0)), 12)
FROM llm_adjustments AS a
WHERE has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, a.customer_id)))))
    OR arrayExists(each -> has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, each))))), mapValues(a.owner_extra))
GROUP BY month
UNION ALL
SELECT 'llm_outcomes', toString(toYYYYMM(o.timestamp)) AS month, toInt64(count()), toDecimal128(0, 12)
FROM llm_outcomes AS o
WHERE has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, o.customer_id)))))
    OR has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, leftUTF8(trimBoth(normalizeUTF8NFC(
            replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(toValidUTF8(o.customer_id), '[\\s\\x1c-\\x1f\\x{85}\\p{Z}]', ' '),
                '[\\p{Cc}\\p{Cf}]', ''), ' +', ' '))), 128))))))
GROUP BY month
UNION ALL
SELECT 'spend_by_customer_day', toString(toYYYYMM(s.day)) AS month, toInt64(count()), toDecimal128(sum(s.cost_usd), 12)
FROM spend_by_customer_day AS s
WHERE has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, s.customer_id)))))
GROUP BY month
