# Prints what has happened on one host of a pair, and, asked to follow, what
# happens until its standard input ends. Lines in any order:
#   state LINE      of the state log
#   journal LINE    of systemd's journal, as `journalctl -o short-unix` prints it
#
#   sh -c "$(cat timeline.sh)" timeline LINES yes|no STATE_LOG UNIT...
set -eu
export LC_ALL=C
lines=$1
follow=$2
state_log=$3
shift 3

# telling: what keepalived and systemd do to the pair.
telling() {
	grep --line-buffered -E 'systemd\[1\]: .*([Ss]tart|[Ss]top|exited|[Ff]ailed)|Keepalived_vrrp\[[0-9]+\]: .*[Ee]ntering (MASTER|BACKUP|FAULT)' |
		sed -u 's/^/journal /'
}
units() {
	for unit; do
		printf '%s %s ' --unit "$unit"
	done
}
# shellcheck disable=SC2046 # options, of unit names
if [ "$follow" = no ]; then
	[ ! -s "$state_log" ] || tail -n "$lines" "$state_log" | sed 's/^/state /'
	{ journalctl --quiet --no-pager --output=short-unix --lines="$((lines * 10))" $(units "$@") | telling | tail -n "$lines"; } || :
	exit 0
fi
tail -n "$lines" -F "$state_log" 2>/dev/null | sed -u 's/^/state /' &
# shellcheck disable=SC2046
journalctl --quiet --follow --output=short-unix --lines="$lines" $(units "$@") | telling &
trap 'kill 0' EXIT
trap 'exit 0' HUP INT TERM PIPE
read -r _ || :
