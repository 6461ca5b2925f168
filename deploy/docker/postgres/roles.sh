#!/usr/bin/env bash
# Creates a role and a database for each service. The image runs it when it creates the cluster.
set -euo pipefail
for service in user order inventory; do
    psql -v ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname postgres <<SQL
\set password \`cat /run/secrets/$service-password\`
CREATE ROLE gantry_$service LOGIN PASSWORD :'password';
CREATE DATABASE gantry_$service OWNER gantry_$service;
REVOKE ALL ON DATABASE gantry_$service FROM PUBLIC;
SQL
done
