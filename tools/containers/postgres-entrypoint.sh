#!/bin/sh
# Start PostgreSQL as the official image does: make the cluster on the first start, with the user,
# password and database of the environment, then become the server.
set -eu

if [ "${1:-postgres}" != postgres ]; then
    exec "$@"
fi
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres "$(dirname "$(dirname "$PGDATA")")"
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=${POSTGRES_USER:-postgres}
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    fi
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo "POSTGRES_PASSWORD is required for the first start" >&2
        exit 1
    fi
    secret=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" > "$secret"
    # A first start that was cut off must not leave half a cluster behind.
    initdb --username="$user" --pwfile="$secret" --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256 -D "$PGDATA" || { rm -rf "${PGDATA:?}"/*; exit 1; }
    rm -f "$secret"
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    database=${POSTGRES_DB:-$user}
    if [ "$database" != postgres ]; then
        # Not on the network: health checks must not pass before the database is there.
        pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=''" start
        createdb --username="$user" --maintenance-db=postgres "$database"
        pg_ctl -D "$PGDATA" -w -m fast stop
    fi
fi
# The wheel's client programs look for the socket in /tmp, Debian's in /var/run/postgresql.
exec "$@" -c "listen_addresses=*" -c unix_socket_directories=/var/run/postgresql,/tmp
