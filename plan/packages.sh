# Installs packages of the distribution, and starts none of their services that
# are to be masked.
#   packages.sh MANAGER PACKAGE... -- UNIT...
# PACKAGE=VERSION asks for an upstream version, whatever its packaging.
set -eu

# offered PACKAGE: the whole versions that there are, newest first.
offered() {
	case $manager in
	apt) apt-cache madison "$1" | sed 's/^[^|]*| *\([^ |]*\).*/\1/' ;;
	# Other packages may provide the name, and dnf 5 may say more than it is asked.
	dnf) dnf -q repoquery --queryformat '%{name} %{version}-%{release}\n' "$1" | sed -n "s/^$1 //p" | sort -rV ;;
	zypper)
		zypper --non-interactive --xmlout search --details --match-exact --type package "$1" |
			sed -n 's/.*<solvable .* edition="\([^"]*\)".*/\1/p' | sort -rV
		;;
	esac
}

# resolve PACKAGE=VERSION: with the whole version that there is.
resolve() {
	name=${1%%=*}
	asked=${1#*=}
	there=$(offered "$name")
	for full in $there; do
		short=${full#*:}
		case $short in
		"$asked" | "$asked"[-+~.]*) break ;;
		esac
		[ "$full" != "$asked" ] || break
		full=
	done
	if [ -z "${full-}" ]; then
		printf '%s has no version %s here; there is: %s\n' "$name" "$asked" "$(printf '%s' "${there:-none}" | tr '\n' ' ')" >&2
		return 1
	fi
	case $manager in
	dnf) printf '%s-%s' "$name" "$full" ;;
	*) printf '%s=%s' "$name" "$full" ;;
	esac
}

# patiently COMMAND...: again and again while another one has the locks, for
# five minutes or more: an apply that was killed may have left its own at work.
patiently() {
	left=300
	while ! said=$(LC_ALL=C "$@" 2>&1); do
		case $said in
		*'Could not get lock'* | *'frontend lock'* | *'transaction lock'*) ;;
		*) left=0 ;;
		esac
		if [ "$left" = 0 ]; then
			printf '%s\n' "$said" >&2
			return 1
		fi
		left=$((left - 1))
		sleep 1
	done
	printf '%s\n' "$said"
}

manager=$1
shift
for word; do # what follows the dashes is masked and taken away
	shift
	if [ "${mask-no}" = yes ]; then
		systemctl mask --quiet -- "$word"
		systemctl stop --quiet -- "$word" 2>/dev/null || : # there may be none yet
	elif [ "$word" = -- ]; then
		mask=yes
	else
		set -- "$@" "$word"
	fi
done
exec </dev/null
case $manager in
apt)
	export DEBIAN_FRONTEND=noninteractive
	patiently dpkg --configure -a # an interrupted run left work to do
	# Without the lists of today an install may still find what it needs.
	patiently apt-get -q update || printf 'hapair: the package lists were not updated\n'
	;;
dnf) ;;
zypper) export ZYPP_LOCK_TIMEOUT=300 ;; # seconds; without it, none
*)
	printf 'unknown package manager: %s\n' "$manager" >&2
	exit 2
	;;
esac
for word; do
	shift
	case $word in *=*) word=$(resolve "$word") ;; esac
	set -- "$@" "$word"
done
case $manager in
apt)
	apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install -- "$@"
	;;
dnf)
	# dnf 4 waits by itself, dnf 5 does not.
	patiently dnf -y --setopt=install_weak_deps=False install "$@"
	;;
zypper)
	# An older version that was asked for is nothing to do, without the word.
	status=0
	zypper --non-interactive install --no-recommends --oldpackage -- "$@" || status=$?
	case $status in
	# All is installed: but the host (102) or zypper (103) wants a restart, or a
	# repository did not answer and was not needed (106).
	0 | 102 | 103 | 106) ;;
	*) exit "$status" ;;
	esac
	;;
esac
