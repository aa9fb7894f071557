#!/bin/sh
# Start Grafana, but not with its default password where others than this machine can reach it.
set -eu
if [ -n "${GF_SECURITY_ADMIN_PASSWORD__FILE:-}" ]; then
    password=$(cat "$GF_SECURITY_ADMIN_PASSWORD__FILE")
else
    password=${GF_SECURITY_ADMIN_PASSWORD:-admin}
fi
case ${GRAFANA_ADDRESS:-127.0.0.1} in
127.* | localhost | ::1 | "[::1]") ;;
*)
    case $password in
    "" | admin)
        echo "Grafana is not started: its password is the default one, and $GRAFANA_ADDRESS is" \
            "not loopback. Set GRAFANA_PASSWORD." >&2
        exit 1
        ;;
    esac
    ;;
esac
exec "${GRAFANA_RUN:-/run.sh}" "$@"
