#!/bin/sh
# The users of docs/access.md, with the passwords of /run/secrets; safe to run again. Only hashes go into SQL.
set -eu
secrets=${SECRETS:-/run/secrets}
hash_of() { sha256sum "$secrets/$1" | cut -d' ' -f1; }
statements="
CREATE USER IF NOT EXISTS llmcost_app IDENTIFIED WITH sha256_hash BY '$(hash_of app_password)' DEFAULT ROLE llmcost_writer, llmcost_receiver;
ALTER USER llmcost_app IDENTIFIED WITH sha256_hash BY '$(hash_of app_password)';
GRANT llmcost_writer, llmcost_receiver TO llmcost_app;
CREATE USER IF NOT EXISTS llmcost_dashboard IDENTIFIED WITH sha256_hash BY '$(hash_of dashboard_password)' DEFAULT ROLE llmcost_reader;
ALTER USER llmcost_dashboard IDENTIFIED WITH sha256_hash BY '$(hash_of dashboard_password)';
GRANT llmcost_reader TO llmcost_dashboard;
"
if [ "${1:-}" = --show ]; then
    printf '%s' "$statements"
    exit
fi
clickhouse-client --host clickhouse --user llmcost_admin --password "$(cat "$secrets/admin_password")" --multiquery --query "$statements"
