#!/bin/sh
# keepalived: this host is in VRRP FAULT: its interface is down, or its check
# fails, so the VIP is not here.
# shellcheck source=pair.sh
. "${0%/*}/pair.sh"

mkdir -p "$run"
[ "${1-}" = again ] || echo FAULT >"$run/vrrp"
lock -w 60 || exit 1
follow "$sync_timeout"
