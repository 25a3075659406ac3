# Watches which VIPs are on this host, for as long as somebody asks.
#
#   sh -c "$(cat watch.sh)" watch LOCK VIP...
#
# There is one watch at a time, and so one drill: it has the lock on the file
# LOCK for as long as it lives. Exit code 75: another one has it.
#
# Prints each change of an address as `ip -o -ts monitor address` does, in UTC.
# Standard input holds questions, one a line:
#   look      the addresses among the VIPs that are here now, as
#             `ip -o address show` does; then "looked"
#   ping N    answers "pong N SECONDS", by this host's clock
# Its end is the end of the watch: nothing stays behind when the connection
# breaks.
set -eu
export LC_ALL=C TZ=UTC0

exec 9>"$1"
shift
flock -n 9 || exit 75

ip -o -ts monitor address </dev/null 9>&- &
monitor=$!
trap 'kill "$monitor" 2>/dev/null || :' EXIT
trap 'exit 129' HUP INT TERM

while read -r question n; do
	if [ ! -e "/proc/$monitor/exe" ]; then
		echo "ip monitor has ended" >&2
		exit 1
	fi
	case $question in
	look)
		for vip in "$@"; do
			ip -o address show to "$vip"
		done
		echo looked
		;;
	ping)
		echo "pong $n $(date +%s.%N)"
		;;
	esac
done
