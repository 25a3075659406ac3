# Watches which VIPs are on this host and what keepalived's state is, for as
# long as somebody asks.
#
#   sh -c "$(cat watch.sh)" watch LOCK LEASE HOLDER RUN VIP...
#
# It has the lock of the pair, on the file LOCK, for as long as it lives, and
# writes HOLDER there, as remote/lock.sh does: nobody else changes the pair
# meanwhile, and there is one drill at a time. Exit code 75: another one has the
# lock, whom standard error names. It ends, and with it the lock, when it is asked
# nothing for LEASE seconds, or at most twice as long.
#
# Prints each change of an address as `ip -o -ts monitor address` does, in UTC.
# Standard input holds questions, one a line:
#   look      the addresses among the VIPs that are here now, as
#             `ip -o address show` does; then "looked"
#   ping N    answers "pong N SECONDS", by this host's clock; then, if the mark
#             that the hooks keep in RUN/vrrp is a new one, "vrrp MARK SECONDS":
#             when it was written, however long ago that is
# Its end is the end of the watch: nothing stays behind when the connection
# breaks.
set -eu
export LC_ALL=C TZ=UTC0

lock=$1
lease=$2
holder=$3
run=$4
shift 4
mkdir -p "$run" # gone with a reboot
exec 9>>"$lock"
if ! flock -n 9; then
	head -n 1 "$lock" >&2
	exit 75
fi
printf '%s\n%s\n' "$holder" "$$" >"$lock"

ip -o -ts monitor address </dev/null 9>&- &
monitor=$!
# The connection may be gone without a word.
asked=$run/drill-asked
: >"$asked"
{
	last=
	while sleep "$lease"; do
		this=$(stat -c %y "$asked")
		[ "$this" != "$last" ] || kill "$$"
		last=$this
	done
} </dev/null >/dev/null 2>&1 9>&- &
patience=$!
trap 'kill "$monitor" "$patience" 2>/dev/null || :; rm -f "$asked"; : >"$lock"' EXIT
trap 'exit 129' HUP INT TERM

# vrrp tells a new mark. One that is empty, or another one once its time is
# known, is just being written: the next look tells it. No process is started
# while the mark is the old one: this runs ten times a second.
told=
mark() {
	mark=
	[ ! -s "$run/vrrp" ] || read -r mark <"$run/vrrp" || :
}
vrrp() {
	mark
	[ -n "$mark" ] && [ "$mark" != "$told" ] || return 0
	new=$mark
	written=$(date -r "$run/vrrp" +%s.%N) || return 0
	mark
	[ "$mark" = "$new" ] || return 0
	echo "vrrp $new $written"
	told=$new
}

while read -r question n; do
	: >"$asked"
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
		vrrp
		;;
	esac
done
