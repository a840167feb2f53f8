-- Every rate that ever priced a request; or, with {changed_since}, those of the models that have one which came into force
-- in [changed_since, changed_until). Instants are ISO texts, which sort as time does.
SELECT rate_id, provider, model, source, version, effective_from, effective_to, content
FROM llm_rates FINAL
WHERE {changed_since:String} = '' OR (provider, model) IN (
    SELECT provider, model FROM llm_rates
    WHERE effective_from >= {changed_since:String} AND effective_from < {changed_until:String}
)
ORDER BY provider, model, effective_from, version, rate_id
