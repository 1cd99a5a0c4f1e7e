#!/bin/sh
# Run once by the postgres image, for an empty data directory.
set -eu
psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --set password="$POSTGRES_PASSWORD" <<'SQL'
CREATE ROLE stock_tracker LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD :'password';
CREATE DATABASE stock_tracker OWNER stock_tracker;
SQL
