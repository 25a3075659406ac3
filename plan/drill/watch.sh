# Watches which VIPs are on this host and what keepalived's state is, for as
# long as somebody asks.
#
#   sh -c "$(cat watch.sh)" watch RUN VIP...
#
# There is one watch at a time, and so one drill: it has the lock on the file
# RUN/drill.lock for as long as it lives. Exit code 75: another one has it.
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

run=$1
shift
mkdir -p "$run" # gone with a reboot
exec 9>"$run/drill.lock"
flock -n 9 || exit 75

ip -o -ts monitor address </dev/null 9>&- &
monitor=$!
trap 'kill "$monitor" 2>/dev/null || :' EXIT
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
