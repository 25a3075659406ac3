#!/bin/sh
# systemd, after keepalived has ended, however it ended. A killed keepalived
# leaves its VIP on the interface and pid files that block the next start.
# shellcheck source=pair.sh
. "${0%/*}/pair.sh"

mkdir -p "$run"
echo STOP >"$run/vrrp"
lock -w 60 || exit 1
if has_vip; then
	log warning "keepalived ended without taking the VIP away"
	let_go
	for address in $vips; do
		ip addr del "$address" dev "$interface" 2>/dev/null || :
	done
fi
rm -f "$run/keepalived.pid" "$run/vrrp.pid"
observe my
if [ "$my_role" = slave ]; then
	follow "$handed_timeout"
else
	follow "$follow_timeout"
fi
exit 0
