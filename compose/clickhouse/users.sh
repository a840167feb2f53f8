#!/bin/sh
# The users of docs/access.md, with the passwords of /run/secrets; safe to run again. Only hashes go into SQL.
# The receiver asks at its start which spans it has journaled lately, so llmcost_app may read their ids too.
set -eu
secrets=${SECRETS:-/run/secrets}
hash_of() { sha256sum "$secrets/$1" | cut -d' ' -f1; }
statements="
CREATE USER IF NOT EXISTS llmcost_app IDENTIFIED WITH sha256_hash BY '$(hash_of app_password)' DEFAULT ROLE llmcost_writer;
ALTER USER llmcost_app IDENTIFIED WITH sha256_hash BY '$(hash_of app_password)';
GRANT llmcost_writer TO llmcost_app;
GRANT SELECT(timestamp, trace_id, span_id) ON llmcost.llm_requests TO llmcost_app;
GRANT SELECT(timestamp, trace_id, span_id) ON llmcost.llm_adjustments TO llmcost_app;
CREATE USER IF NOT EXISTS llmcost_dashboard IDENTIFIED WITH sha256_hash BY '$(hash_of dashboard_password)' DEFAULT ROLE llmcost_reader;
ALTER USER llmcost_dashboard IDENTIFIED WITH sha256_hash BY '$(hash_of dashboard_password)';
GRANT llmcost_reader TO llmcost_dashboard;
"
if [ "${1:-}" = --show ]; then
    printf '%s' "$statements"
    exit
fi
clickhouse-client --host clickhouse --user llmcost_admin --password "$(cat "$secrets/admin_password")" --multiquery --query "$statements"
