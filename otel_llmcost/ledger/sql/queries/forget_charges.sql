-- A customer's id becomes (forgotten) in a table of charges, and in the extra owner keys that have it as their value. The
-- engine keeps the text of a mutation, so it holds salted hashes alone.
ALTER TABLE $table
    UPDATE
        customer_id = if(has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, customer_id))))),
            '(forgotten)', customer_id),
        owner_extra = mapApply((name, each) -> (name,
            if(has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, each))))), '(forgotten)', each)), owner_extra)
    WHERE has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, customer_id)))))
        OR arrayExists(each -> has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, each))))), mapValues(owner_extra))
