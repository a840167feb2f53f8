#!/bin/sh
# Makes the passwords that docker-compose.yml needs, random and new, in a folder that only you can enter; keeps those that
# are there. Containers get single files of it, which their users must be able to read.
set -eu
folder=${1:-$(dirname "$0")/../.llmcost-secrets}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"
for name in admin_password app_password dashboard_password grafana_password; do
    if [ ! -s "$folder/$name" ]; then
        od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$folder/$name"
        chmod 444 "$folder/$name"
    fi
done
echo "The passwords are in $folder. Grafana's, for the user admin, is in grafana_password."
