#!/bin/sh
# Becomes the systemd-nspawn process of one lab host.
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
# Not "ip netns exec": that remounts /sys, and nspawn then finds no cgroups.
exec nsenter --net="$netns" systemd-nspawn "$@"
