# Installs packages of the distribution, and starts none of their services that
# are to be masked.
#   packages.sh MANAGER PACKAGE... -- UNIT...
# apt's PACKAGE=VERSION asks for an upstream version, whatever its packaging.
set -eu

# resolve PACKAGE=VERSION: with the whole version that there is.
resolve() {
	name=${1%%=*}
	asked=${1#*=}
	there=$(apt-cache madison "$name" | sed 's/^[^|]*| *\([^ |]*\).*/\1/')
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
	printf '%s=%s' "$name" "$full"
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
	dpkg --configure -a # an interrupted run left work to do
	# Without the lists of today an install may still find what it needs.
	apt-get -q -o DPkg::Lock::Timeout=300 update || printf 'hapair: the package lists were not updated\n'
	for word; do
		shift
		case $word in *=*) word=$(resolve "$word") ;; esac
		set -- "$@" "$word"
	done
	apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install -- "$@"
	;;
dnf)
	dnf -y --setopt=install_weak_deps=False install "$@"
	;;
zypper)
	zypper --non-interactive install --no-recommends -- "$@"
	;;
*)
	printf 'unknown package manager: %s\n' "$manager" >&2
	exit 2
	;;
esac
