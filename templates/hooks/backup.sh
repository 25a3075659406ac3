#!/bin/sh
# keepalived: this host is VRRP BACKUP. The check runs it too, when Redis here
# is not the peer's replica.
# shellcheck source=pair.sh
. "${0%/*}/pair.sh"

mkdir -p "$run"
[ "${1-}" = again ] || echo BACKUP >"$run/vrrp"
lock -w 60 || exit 1
follow "$sync_timeout"
