#!/bin/sh
# Installs what the lab needs on this machine (Debian, as root), and the packages
# that are its arguments; does nothing when everything is there. None of it
# starts a service.
set -eu

packages="mmdebstrap systemd-container debian-archive-keyring nftables iproute2
	util-linux openssh-client ca-certificates shellcheck redis-tools
	iputils-ping procps patch $*"

missing=
for package in $packages; do
	if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
		missing="$missing $package"
	fi
done
if [ -z "$missing" ]; then
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "install.sh: these packages are missing, and installing them needs root:$missing" >&2
	exit 1
fi

echo "Installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# The list is split on purpose: one word per package.
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
