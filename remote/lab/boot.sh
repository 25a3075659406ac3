#!/bin/sh
# Runs one lab host from power-on to power-off.
# usage: boot.sh NETNS CGROUPS NSPAWN-ARGUMENT...
# CGROUPS is a list of cgroup directories, separated by blanks: one per
# hierarchy in which the host is to run.
set -eu
netns=$1
cgroups=$2
shift 2

for dir in $cgroups; do
	mkdir -p "$dir"
	echo "$$" >"$dir/cgroup.procs"
done

# A host that reboots ends its systemd-nspawn with 133 where no service manager
# looks after it (--keep-unit).
reboot=133
status=$reboot
while [ "$status" = "$reboot" ]; do
	# Not "ip netns exec": that remounts /sys, and nspawn then finds no cgroups.
	status=0
	nsenter --net="$netns" systemd-nspawn "$@" || status=$?
done
exit "$status"
