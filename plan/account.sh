# Makes a system group and a system account without a password, as far as they
# are not there. An account that is there is left as it is.
#   account.sh USER GROUP HOME
set -eu
getent group "$2" >/dev/null || groupadd --system -- "$2"
getent passwd "$1" >/dev/null || {
	shell=/usr/sbin/nologin
	[ -x "$shell" ] || shell=/sbin/nologin
	[ -x "$shell" ] || shell=/bin/false
	useradd --system --gid "$2" --home-dir "$3" --no-create-home --shell "$shell" -- "$1"
}
getent passwd "$1" >/dev/null
