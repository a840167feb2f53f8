-- A customer's id becomes (forgotten) in the outcomes of business actions.
ALTER TABLE $table
    UPDATE customer_id = '(forgotten)'
    WHERE has({digests:Array(String)}, lower(hex(SHA256(concat({salt:String}, customer_id)))))
