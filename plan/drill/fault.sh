# Injects one fault on this host and proves that it landed; undoes what lasts.
#
#   sh -c "$(cat fault.sh)" fault CONF inject DRILL LOCK FAULT
#   sh -c "$(cat fault.sh)" fault CONF undo      end the faults that last
#   sh -c "$(cat fault.sh)" fault CONF disarm    and forget the drill
#   sh -c "$(cat fault.sh)" fault CONF start     start Redis and keepalived
#   sh -c "$(cat fault.sh)" fault CONF booted BOOT   prove that this is another boot
#
# CONF is pair.conf of the hooks. Prints, with the seconds of this host's clock:
#   injected SECONDS WHAT      just before it is done
#   verified SECONDS EVIDENCE  as soon as it is seen
#   undone SECONDS FAULT       when it has ended
#   boot BOOT                  the id of this boot, which is about to end
# An exit code other than 0 means: not done, or not proved; standard error says
# which. 5 is a fault that this host cannot have.
#
# Nobody has to come back to undo it. Before anything is done, what undoes it
# lies in RUN/drill, and a unit of systemd waits for the lock on the file LOCK,
# which watch.sh has for as long as it hears from the drill. hapair may be
# killed, and SSH may be gone: then the unit has the lock, and undoes it.
# shellcheck shell=sh
set -eu
export LC_ALL=C

# shellcheck source=/dev/null
. "$1"
verb=$2
shift 2

# shellcheck disable=SC2154  # set by CONF
{
	drill=$run/drill
	ending=hapair-$pair-drill
	worker=hapair-$pair-drill-fault
	table=hapair_drill_$pair
}

now() { date +%s.%N; }
injected() { echo "injected $(now) $*"; }
verified() { echo "verified $(now) $*"; }
unproven() {
	echo "$*" >&2
	exit 4
}
not_here() {
	echo "$*" >&2
	exit 5
}

# arm: from here on systemd undoes the faults of this drill and starts what they
# stopped, once the drill has lost its lock.
# shellcheck disable=SC2154
arm() {
	whose=
	[ ! -e "$drill/id" ] || read -r whose <"$drill/id"
	[ "$whose" != "$id" ] || return 0
	if [ -n "$whose" ]; then
		echo "a fault of the drill $whose is still here" >&2
		exit 3
	fi
	if flock -n "$lock" true; then
		echo 'the drill has lost the lock of the pair' >&2
		exit 3
	fi
	mkdir -p "$drill"
	echo "$id" >"$drill/id"
	cat >"$drill/end" <<-END
		echo 'nothing is heard of the drill $id any more: its faults are ended'
		printf '%s\n%s\n' 'this host, which ends the faults of the drill $id' "\$\$" >'$lock'
		for undo in '$drill'/undo.*; do
			[ ! -e "\$undo" ] || sh "\$undo"
		done
		systemctl start '$redis_unit' '$keepalived_unit'
		rm -rf '$drill'
		: >'$lock'
	END
	systemd-run --quiet --unit="$ending" flock "$lock" sh "$drill/end"
}

# lasting COMMAND: what ends this fault. It does no harm when it has ended.
lasting() { printf '%s\n' "$1" >"$drill/undo.$fault"; }

# shellcheck disable=SC2154
ask() {
	{
		[ -z "$auth" ] || cat "$auth"
		printf '%s\n' "$@"
	} | timeout "${limit:-2}" "$cli" -p "$port" 2>&1
}

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

# until_so WHAT COMMAND...: waits, 4 s at most, until the command succeeds.
until_so() {
	what=$1
	shift
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ "$tries" -le 400 ] || unproven "$what 4 s later"
		sleep 0.01
	done
}
# boot: the id of this boot, random(4).
boot() { cat /proc/sys/kernel/random/boot_id; }
# gone PID...: waits until none of the processes is there any more.
is_gone() { [ ! -d "/proc/$1" ]; }
gone() {
	for process in "$@"; do
		until_so "process $process is still there" is_gone "$process"
	done
}

# drop CHAINS: rules that drop packets, and proof that they do.
dropped() {
	nft list table inet "$table" 2>/dev/null | awk '
		{ for (i = 1; i < NF; i++) if ($i == "packets") n += $(i + 1) }
		END { print n + 0 }'
}
drops_some() { [ "$(dropped)" -gt 0 ]; }
drop() {
	command -v nft >/dev/null || not_here 'there is no nft to drop packets with'
	lasting "nft delete table inet $table 2>/dev/null || :"
	# SSH stays: it is how the fault is undone.
	ports=$({
		echo 22
		ss -Hltnp 2>/dev/null | awk '/"sshd"/ { sub(/.*:/, "", $4); print $4 }'
	} | sort -un | paste -sd, -)
	injected "drop $1"
	nft -f - <<-END
		table inet $table {
			chain in {
				type filter hook input priority -310;
				iif lo accept
				tcp dport { $ports } accept
				tcp sport { $ports } accept
				$2
			}
			chain out {
				type filter hook output priority -310;
				oif lo accept
				tcp sport { $ports } accept
				tcp dport { $ports } accept
				$3
			}
		}
	END
	until_so 'no packet was dropped' drops_some
	verified "$(dropped) packets dropped"
}

# set_apart: the data of a stopped Redis goes to a folder of its own.
# shellcheck disable=SC2154,SC2086
set_apart() {
	apart=$data/set-aside/$(date -u +%Y%m%dT%H%M%SZ)-drill
	mkdir -p "$apart"
	for name in $data_files; do
		[ ! -e "$data/$name" ] || mv "$data/$name" "$apart/"
	done
	[ ! -e "$rank_file" ] || mv "$rank_file" "$apart/"
	chown -R "$owner" "$data/set-aside"
}

# shellcheck disable=SC2154
inject() {
	case $fault in
	kill-redis)
		redis_pid=$(main_pid "$redis_unit")
		arm
		injected "SIGKILL to Redis, process $redis_pid"
		kill -9 "$redis_pid"
		gone "$redis_pid"
		verified "process $redis_pid is gone"
		;;
	stop-redis)
		redis_pid=$(main_pid "$redis_unit")
		arm
		injected "systemctl stop $redis_unit, process $redis_pid"
		systemctl stop "$redis_unit"
		gone "$redis_pid"
		verified "process $redis_pid is gone"
		;;
	stop-keepalived)
		keepalived_pid=$(main_pid "$keepalived_unit")
		arm
		injected "systemctl stop $keepalived_unit, process $keepalived_pid"
		systemctl stop "$keepalived_unit"
		gone "$keepalived_pid"
		verified "process $keepalived_pid is gone"
		;;
	kill-keepalived)
		keepalived_pid=$(main_pid "$keepalived_unit")
		arm
		injected "SIGKILL to every process of keepalived, $keepalived_pid and its children"
		systemctl kill --signal=KILL "$keepalived_unit"
		gone "$keepalived_pid"
		verified "process $keepalived_pid is gone"
		;;
	kill-both)
		redis_pid=$(main_pid "$redis_unit")
		keepalived_pid=$(main_pid "$keepalived_unit")
		arm
		injected "SIGKILL to Redis and keepalived, processes $redis_pid and $keepalived_pid"
		systemctl kill --signal=KILL "$redis_unit" "$keepalived_unit"
		gone "$redis_pid" "$keepalived_pid"
		verified "processes $redis_pid and $keepalived_pid are gone"
		;;
	take-down)
		redis_pid=$(main_pid "$redis_unit")
		keepalived_pid=$(main_pid "$keepalived_unit")
		arm
		injected "SIGKILL to Redis and keepalived, processes $redis_pid and $keepalived_pid, which then stay down"
		systemctl kill --signal=KILL "$redis_unit" "$keepalived_unit"
		systemctl stop "$redis_unit" "$keepalived_unit" # or systemd may start them again
		gone "$redis_pid" "$keepalived_pid"
		verified "processes $redis_pid and $keepalived_pid are gone"
		;;
	freeze-redis)
		redis_pid=$(main_pid "$redis_unit")
		born=$(cut -d ' ' -f 22 "/proc/$redis_pid/stat")
		arm
		lasting "[ \"\$(cut -d ' ' -f 22 /proc/$redis_pid/stat 2>/dev/null)\" != '$born' ] || kill -CONT $redis_pid"
		is_frozen() { [ "$(cut -d ' ' -f 3 "/proc/$redis_pid/stat" 2>/dev/null)" = T ]; }
		injected "SIGSTOP to Redis, process $redis_pid"
		kill -STOP "$redis_pid"
		until_so "process $redis_pid has not stopped" is_frozen
		verified "process $redis_pid is stopped"
		;;
	kill-during-save)
		redis_pid=$(main_pid "$redis_unit")
		arm
		ask 'CONFIG SET rdb-key-save-delay 100000' >/dev/null # slow: of Redis 6.0
		saves() { ask 'INFO persistence' | grep -q '^rdb_bgsave_in_progress:1'; }
		begins_to_save() {
			ask BGSAVE >/dev/null
			saves
		}
		until_so 'Redis does not save' begins_to_save
		injected "SIGKILL to Redis, process $redis_pid, which writes an RDB"
		kill -9 "$redis_pid"
		gone "$redis_pid"
		verified "process $redis_pid is gone; BGSAVE was under way"
		;;
	busy-redis)
		main_pid "$redis_unit" >/dev/null
		arm
		lasting "{ [ -z '$auth' ] || cat '$auth'; echo SCRIPT KILL; } | timeout 2 '$cli' -p '$port' >/dev/null 2>&1 || :"
		answers() { limit=0.2 ask PING | grep -q PONG; }
		is_busy() { ! answers; }
		injected 'a script that runs for 10 s'
		# Redis listens to SCRIPT KILL once the script is longer than its
		# lua-time-limit.
		# shellcheck disable=SC2016
		systemd-run --quiet --unit="$worker" sh -c '
			ask() { { [ -z "$3" ] || cat "$3"; echo "$4"; } | timeout 60 "$1" -p "$2"; }
			ask "$1" "$2" "$3" "EVAL \"while true do end\" 0" &
			sleep 10
			ask "$1" "$2" "$3" "SCRIPT KILL"
			wait' busy "$cli" "$port" "$auth"
		until_so 'Redis still answers' is_busy
		verified 'Redis does not answer PING, or that it is busy'
		;;
	flap-redis)
		redis_pid=$(main_pid "$redis_unit")
		arm
		lasting "systemctl stop $worker.service 2>/dev/null || :"
		injected "SIGKILL to Redis every 2 s, 20 times, first to process $redis_pid"
		# shellcheck disable=SC2016
		systemd-run --quiet --unit="$worker" sh -c '
			for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
				systemctl kill --signal=KILL "$1"
				sleep 1
				systemctl reset-failed "$1" || :
				systemctl start "$1"
				sleep 1
			done' flap "$redis_unit"
		gone "$redis_pid"
		verified "process $redis_pid is gone"
		;;
	isolate)
		arm
		drop 'all that comes and goes, but SSH' 'counter drop' 'counter drop'
		;;
	block-vrrp)
		arm
		drop 'VRRP, protocol 112' 'meta l4proto 112 counter drop' 'meta l4proto 112 counter drop'
		;;
	cut-peer-link)
		arm
		family=ip
		case $peer in *:*) family=ip6 ;; esac
		drop "what comes from and goes to $peer" "$family saddr $peer counter drop" "$family daddr $peer counter drop"
		;;
	disk-full)
		[ "$(stat -c %d "$data")" != "$(stat -c %d /)" ] || not_here "$data has no filesystem of its own"
		arm
		fill=$data/.hapair-drill-fill
		lasting "rm -f '$fill'"
		injected "fill the filesystem of $data"
		cat /dev/zero >"$fill" 2>/dev/null || :
		full() { [ "$(df -Pk "$data" | awk 'END { print $4 }')" -eq 0 ]; }
		until_so 'there is still room' full
		verified "no room left in $data"
		;;
	wrong-password)
		[ -n "$auth" ] || not_here 'the pair has no password'
		arm
		lasting "[ ! -e '$auth.drill' ] || mv -f '$auth.drill' '$auth'"
		refused() { ask PING | grep -Eq 'WRONGPASS|invalid password|NOAUTH'; }
		cp -p "$auth" "$auth.drill"
		injected "another password in $auth"
		echo 'AUTH not-the-password' >"$auth"
		until_so 'Redis takes the wrong password' refused
		verified 'Redis refuses the password of the hooks'
		;;
	power-off)
		# /run and transient units go with this boot, and with them whatever
		# would end a fault that lasts.
		for undo in "$drill"/undo.*; do
			[ ! -e "$undo" ] || {
				echo "${undo##*/undo.} is still here, and after a reset nobody would end it" >&2
				exit 3
			}
		done
		echo "boot $(boot)"
		sync # systemctl does so first: it must not take long
		injected 'reset of the host: systemctl --force --force reboot'
		systemctl --force --force reboot
		sleep 60
		unproven 'the host is still here 60 s later'
		;;
	empty-restart)
		redis_pid=$(main_pid "$redis_unit")
		arm
		injected "SIGKILL to Redis, process $redis_pid; start it without its data"
		kill -9 "$redis_pid"
		gone "$redis_pid"
		set_apart
		systemctl reset-failed "$redis_unit" || :
		systemctl start "$redis_unit"
		answers() { ask PING | grep -Eq 'PONG|MASTERDOWN'; }
		until_so 'Redis does not answer' answers
		verified "Redis runs without its data, which lies in $apart"
		;;
	full-sync)
		redis_pid=$(main_pid "$redis_unit")
		arm
		peer_says() { { [ -z "$auth" ] || cat "$auth"; printf '%s\n' "$@"; } | timeout 2 "$cli" -h "$peer" -p "$port" 2>&1; }
		lasting "{ [ -z '$auth' ] || cat '$auth'; echo CONFIG SET rdb-key-save-delay 0; } | timeout 2 '$cli' -h '$peer' -p '$port' >/dev/null 2>&1 || :"
		peer_says 'CONFIG SET rdb-key-save-delay 500000' >/dev/null # slow: of Redis 6.0
		injected "restart Redis, process $redis_pid, without its data: it needs all of its primary's"
		systemctl stop "$keepalived_unit" # or its check would, when it is to start
		kill -9 "$redis_pid"
		gone "$redis_pid"
		set_apart
		systemctl reset-failed "$redis_unit" || :
		systemctl start "$redis_unit" "$keepalived_unit"
		syncs() { ask 'INFO replication' | grep -q '^master_sync_in_progress:1'; }
		until_so 'no full sync is under way' syncs
		verified 'a full sync is under way'
		;;
	*)
		echo "fault $fault is not known" >&2
		exit 2
		;;
	esac
}

undo() {
	for file in "$drill"/undo.*; do
		[ -e "$file" ] || continue
		sh "$file"
		rm -f "$file"
		echo "undone $(now) ${file##*/undo.}"
	done
}

case $verb in
inject)
	id=$1 lock=$2 fault=$3
	inject
	;;
undo) undo ;;
disarm)
	[ -e "$drill" ] || exit 0
	undo
	systemctl stop "$ending" 2>/dev/null || :
	rm -rf "$drill"
	;;
start)
	# shellcheck disable=SC2154
	systemctl start "$redis_unit" "$keepalived_unit"
	;;
booted)
	ended=$1
	is_another() { [ "$(boot)" != "$ended" ]; }
	until_so "it is still the boot $ended" is_another
	verified "another boot, $(boot)"
	;;
esac
