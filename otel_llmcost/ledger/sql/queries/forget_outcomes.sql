-- A customer's id becomes (forgotten) in the outcomes of business actions: as it is there, and as it would be when cleaned,
-- because earlier versions stored it as it was given.
ALTER TABLE $table
    UPDATE customer_id = '(forgotten)'
    WHERE has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, customer_id)))))
        OR has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, leftUTF8(trimBoth(normalizeUTF8NFC(
            replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(toValidUTF8(customer_id), '[\\s\\x1c-\\x1f\\x{85}\\p{Z}]', ' '),
                '[\\p{Cc}\\p{Cf}]', ''), ' +', ' '))), 128))))))
