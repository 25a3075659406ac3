#!/bin/sh
# keepalived: it stops, and has taken the VIP away. From 2.0 on it kills this
# hook after one second, so only what takes no waiting is done here: release.sh
# came before and after-stop.sh, which may wait, comes next.
# shellcheck source=pair.sh
. "${0%/*}/pair.sh"

mkdir -p "$run"
echo STOP >"$run/vrrp"
lock -n || exit 0
follow 0
