#!/bin/sh
# Runs on a lab host at boot: names its interface as the spec does and gives
# it its address. INTERFACE, ADDRESS and GATEWAY come from /etc/lab-network.
set -eu

ip link set host0 name "$INTERFACE"
case $ADDRESS in
*:*) ip address add "$ADDRESS" dev "$INTERFACE" nodad ;;
*) ip address add "$ADDRESS" dev "$INTERFACE" ;;
esac
ip link set "$INTERFACE" up
if [ -n "$GATEWAY" ]; then
	ip route add default via "$GATEWAY" dev "$INTERFACE"
fi
