#!/bin/sh
# keepalived: this host became VRRP MASTER. The check runs it too, when it finds
# the VIP here and Redis not primary.
# shellcheck source=pair.sh
. "${0%/*}/pair.sh"

mkdir -p "$run"
[ "${1-}" = again ] || echo MASTER >"$run/vrrp"
lock -w 60 || exit 1
take_over
