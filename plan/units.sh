# Has systemd do things, in their order.
#   units.sh "VERB UNIT"...
# VERB is disable (and stop), stop, reload (UNIT is "-": its files), enable,
# restart, renew (reload it if it runs, else start it). What was started is
# checked to run.
set -eu

fail() {
	{
		printf '%s of %s failed:\n' "$1" "$2"
		journalctl --no-pager --quiet --output=cat --lines=12 --unit="$2" || :
	} >&2
	exit 1
}

for order; do
	verb=${order% *}
	unit=${order##* }
	case $verb in
	disable) systemctl disable --quiet --now -- "$unit" || fail "$verb" "$unit" ;;
	stop) systemctl stop -- "$unit" || fail "$verb" "$unit" ;;
	reload) systemctl daemon-reload ;;
	enable) systemctl enable --quiet -- "$unit" || fail "$verb" "$unit" ;;
	restart) systemctl restart -- "$unit" || fail "$verb" "$unit" ;;
	renew) systemctl reload-or-restart -- "$unit" || fail "$verb" "$unit" ;;
	*)
		printf 'unknown: %s\n' "$verb" >&2
		exit 2
		;;
	esac
	case $verb in restart | renew)
		systemctl is-active --quiet -- "$unit" || fail "$verb" "$unit"
		;;
	esac
done
