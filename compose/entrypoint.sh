#!/bin/sh
# The DSN from LEDGER (user@host:port/database) and a password in a file, so that no password is in the environment that
# `docker inspect` shows. The ledger is in the same private network, without TLS.
set -eu
if [ -n "${LEDGER:-}" ]; then
    password=$(cat "$LEDGER_PASSWORD_FILE")
    if [ -z "$password" ]; then
        echo "$LEDGER_PASSWORD_FILE is empty: run compose/secrets.sh" >&2
        exit 1
    fi
    export OTEL_LLMCOST_DSN="http://${LEDGER%%@*}:$password@${LEDGER#*@}?allow_insecure=1"
fi
exec "$@"
