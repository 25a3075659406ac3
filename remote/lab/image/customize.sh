#!/bin/sh
# Runs on the machine that builds the base image, as mmdebstrap's customize
# hook; $1 is the image's root directory.
set -eu
root=$1

# The ids are fixed because the lab writes these users' files without asking.
chroot "$root" useradd --create-home --shell /bin/bash --uid 1000 deploy
chroot "$root" useradd --create-home --shell /bin/bash --uid 1001 ops
chroot "$root" useradd --create-home --shell /bin/bash --uid 1002 guest

# Every host gets its own.
rm -f "$root"/etc/ssh/ssh_host_*

# What would run at a random moment would disturb measurements.
chroot "$root" systemctl mask --quiet \
	apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
	e2scrub_all.timer fstrim.timer man-db.timer logrotate.timer \
	e2scrub_reap.service getty@tty1.service console-getty.service
