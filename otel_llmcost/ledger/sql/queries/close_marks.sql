-- Say that the marks of a month, as far as they were there before it was built anew, are done with.
INSERT INTO llmcost_repairs (table, month, batch_id, reason, marked_at, repaired_at)
    SELECT table, month, batch_id, reason, marked_at, greatest(now64(6), marked_at + toIntervalMicrosecond(1))
    FROM llmcost_repairs FINAL
    WHERE repaired_at < marked_at AND month = {month:String} AND marked_at <= {until:DateTime64(6, 'UTC')}
