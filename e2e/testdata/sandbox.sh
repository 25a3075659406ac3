#!/bin/sh
# sandbox.sh TREE COMMAND...: runs a command as on a host. What is below TREE is
# below /mnt, the network has the interface and addresses of a host of the pair
# and nothing else, and both end with the command. To be run under
# unshare --mount --net.
set -eu
tree=$1
shift
mount -t tmpfs tmpfs /mnt
cp -a "$tree/." /mnt/
chown root:root /mnt
chmod 755 /mnt
ip link set lo up
ip link add eth3 type veth peer name eth5
ip link set eth5 up
ip link set eth3 up
ip addr add 192.168.1.218/24 dev eth3
ip addr add fd00::218/64 dev eth3 nodad
exec "$@"
