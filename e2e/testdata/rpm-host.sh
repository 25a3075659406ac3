#!/bin/sh
# Makes a Debian host of the lab one that lives on rpms, with the real programs:
# rpm, and dnf or zypper. All as root, on the host.
#   rpm-host.sh become MANAGER OS-RELEASE PART...
#     with that text in /etc/os-release, and without apt-get. It has two
#     repositories, of which one never answers. The other has a package "parts":
#     whoever installs it gets these packages of Debian.
#   rpm-host.sh offer MANAGER NAME[=VERSION]...
#     puts packages of these names into the repository. All they do is to want
#     "parts".
set -eu
repository=/srv/repository

# build NAME VERSION LINE...: builds a package, of these lines of a spec besides.
build() {
	name=$1
	version=$2
	shift 2
	{
		printf '%s\n' "Name: $name" "Version: $version" 'Release: 1' 'Summary: of a test' 'License: none' 'BuildArch: noarch'
		printf '%s\n' "$@"
		printf '%s\n' %description %files
	} >/tmp/rpm.spec
	rpmbuild --quiet -bb --define "_rpmdir $repository" /tmp/rpm.spec
}

what=$1
manager=$2
shift 2
case $what in
become)
	release=$1
	shift
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q update
	apt-get -q -y --no-install-recommends install "$manager" rpm createrepo-c
	mkdir -p /etc/rpm /etc/yum.repos.d /etc/zypp/repos.d /usr/lib/debian
	echo '%_dbpath /var/lib/rpm' >/etc/rpm/macros # Debian's rpm has one in each home
	for name in lab away; do
		printf '%s\n' "[$name]" "name=$name" "baseurl=file://$repository" enabled=1 gpgcheck=0 autorefresh=1 >"/etc/yum.repos.d/$name.repo"
	done
	sed -i "s|$repository|/nowhere|" /etc/yum.repos.d/away.repo
	cp /etc/yum.repos.d/*.repo /etc/zypp/repos.d/
	rm /etc/os-release # a link into /usr/lib
	printf '%s\n' "$release" >/etc/os-release
	mv /usr/bin/apt-get /usr/lib/debian/
	build parts 1 'Provides: /bin/sh' %post \
		"DEBIAN_FRONTEND=noninteractive /usr/lib/debian/apt-get -q -y --no-install-recommends install $*"
	;;
offer)
	for package; do
		version=1
		case $package in *=*) version=${package#*=} ;; esac
		build "${package%%=*}" "$version" 'Requires: parts'
	done
	createrepo_c --quiet "$repository"
	# They look for something new by themselves, but not every minute.
	case $manager in
	dnf) dnf -q --refresh makecache ;;
	zypper) zypper --non-interactive refresh --force lab ;;
	esac
	;;
esac
