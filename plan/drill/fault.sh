# Injects one fault on this host, and proves that it landed.
#
#   sh -c "$(cat fault.sh)" fault FAULT REDIS_UNIT KEEPALIVED_UNIT
#
# Prints, with the seconds of this host's clock:
#   injected SECONDS WHAT      just before it is done
#   verified SECONDS EVIDENCE  as soon as it is seen
# An exit code other than 0 means: not done, or not proved; standard error says
# which.
set -eu
export LC_ALL=C

fault=$1 redis=$2 keepalived=$3

now() { date +%s.%N; }

# main_pid UNIT: the main process of a unit, by systemd.
main_pid() {
	pid=$(systemctl show --property=MainPID "$1")
	pid=${pid#MainPID=}
	if [ "${pid:-0}" -le 0 ]; then
		echo "$1 does not run: there is nothing to stop" >&2
		exit 3
	fi
	echo "$pid"
}

# gone PID...: waits until none of the processes is there any more.
gone() {
	tries=0
	for process in "$@"; do
		while [ -d "/proc/$process" ]; do
			tries=$((tries + 1))
			if [ "$tries" -gt 400 ]; then
				echo "process $process is still there 4 s after it should be gone" >&2
				exit 4
			fi
			sleep 0.01
		done
	done
}

case $fault in
kill-redis)
	redis_pid=$(main_pid "$redis")
	echo "injected $(now) SIGKILL to Redis, process $redis_pid"
	kill -9 "$redis_pid"
	gone "$redis_pid"
	echo "verified $(now) process $redis_pid is gone"
	;;
stop-keepalived)
	keepalived_pid=$(main_pid "$keepalived")
	echo "injected $(now) systemctl stop $keepalived, process $keepalived_pid"
	systemctl stop "$keepalived"
	gone "$keepalived_pid"
	echo "verified $(now) process $keepalived_pid is gone"
	;;
kill-both)
	redis_pid=$(main_pid "$redis")
	keepalived_pid=$(main_pid "$keepalived")
	echo "injected $(now) SIGKILL to Redis and keepalived, processes $redis_pid and $keepalived_pid"
	systemctl kill --signal=KILL "$redis" "$keepalived"
	gone "$redis_pid" "$keepalived_pid"
	echo "verified $(now) processes $redis_pid and $keepalived_pid are gone"
	;;
*)
	echo "fault $fault is not known" >&2
	exit 2
	;;
esac
