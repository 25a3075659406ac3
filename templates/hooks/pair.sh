# What the hooks of a pair have in common. Sourced, never run.
# shellcheck shell=sh
#
# Truth over arguments. keepalived runs hooks concurrently, out of order and
# late, so no hook believes its own name. Each takes one lock, looks at what is
# so (is the VIP on this host? what are both Redis doing? whose data is newer?)
# and does what that calls for, which is nothing when a hook comes late or
# twice.
#
# Fenced. Redis boots as the replica of a placeholder, 127.0.0.1 port 1: not
# writable, and it refuses to serve a sync. Only a hook gives it another role.
#
# Rank. Whose data is newer? Every Redis carries a number, 4 x epoch + class.
# The epoch rises with each promotion. The class says what this data is within
# its epoch:
#   3  it was the primary's, in this run of Redis
#   2  it is a live replica's, in sync; or a primary's that was drained
#   1  Redis restarted since; it was the primary's
#   0  Redis restarted since, or the link broke long ago; it was a replica's
# A higher rank is newer data; 0 is a host that never was part of a pair. The
# rank lies in a file beside the data and, for the peer to see, in Redis' own
# slave-priority, a number that only Sentinel would read. A host never follows
# a peer of lower rank and is never promoted below a peer of higher rank. When
# it cannot tell, it holds: the check fails, so the VIP stays away or leaves.

set -u
umask 027

# shellcheck source=pair.conf
. "${0%/*}/pair.conf"

cr=$(printf '\r')
by=${0##*/}
by=${by%.sh}
vip_here='?'
why=

# What observe saw of either Redis.
# shellcheck disable=SC2034  # both sides have the same names, not all are used
{
	my_state='' my_role='?' my_master='' my_link='' my_down=-1 my_syncing=0
	my_offset=0 my_online=0 my_rank=0 my_floor=0 my_empty=yes
	peer_state='' peer_role='' peer_master='' peer_link='' peer_down=-1 peer_syncing=0
	peer_offset=0 peer_online=0 peer_rank=0 peer_floor=0 peer_empty=yes
}

auth_line=
if [ -n "$auth" ]; then
	read -r auth_line <"$auth" || :
fi

# log LEVEL TEXT: one line, what was seen and what was decided.
log() {
	printf '%s level=%s host=%s by=%s vip=%s role=%s msg="%s"\n' \
		"$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" "$1" "$self_name" "$by" "$vip_here" "$my_role" "$2" \
		>>"$state_log"
}

# lock [FLOCK OPTION...]: one hook at a time; freed when the hook ends.
lock() {
	mkdir -p "$run"
	exec 9>"$run/lock"
	flock "$@" 9
}

# deadline SECONDS, then past: has that time gone by? In hundredths, by the
# clock that no one sets.
now() {
	read -r up _ </proc/uptime
	printf '%s' "${up%.*}${up#*.}"
}
hundredths() {
	whole=${1%%.*}
	part=${1#"$whole"}
	part=${part#.}00
	part=${part%"${part#??}"}
	printf '%s' "$((whole * 100 + ${part#0}))"
}
deadline() { until=$(($(now) + $(hundredths "$1"))); }
past() { [ "$(now)" -ge "$until" ]; }
nap() { sleep 0.02; }

# has_vip: is the VIP on this host? The first stands for all of the pair's.
has_vip() {
	if [ -n "$(ip -o addr show to "$vip" 2>/dev/null)" ]; then
		vip_here=yes
	else
		vip_here=no
		return 1
	fi
}

# ask ADDRESS SECONDS COMMAND...: the commands, one argument each, over one
# connection; their replies. The password goes in through standard input.
ask() {
	at=$1
	limit=$2
	shift 2
	{
		[ -z "$auth_line" ] || printf '%s\n' "$auth_line"
		printf '%s\n' "$@"
	} | timeout "$limit" "$cli" -h "$at" -p "$port" 2>&1
}
ask_my() { ask 127.0.0.1 "$check_timeout" "$@"; }
ask_peer() { ask "$peer" "$peer_timeout" "$@"; }

# observe my|peer: looks at one Redis and sets, with that prefix,
#   _state    up, loading, busy, sick (refuses writes), denied (our password),
#             dead (nothing listens), hung, unreachable
#   _role     master, slave
#   _master   the address it replicates
#   _link     up, down
#   _down     seconds since the link broke; -1: it never was up
#   _syncing  1 while a full sync is under way
#   _offset   how much of the replication stream it has
#   _online   replicas in sync with it, as of the last second or two
#   _rank     see above
#   _floor    min-slaves-to-write
#   _empty    yes: it holds no key
# shellcheck disable=SC2034  # assigned to their prefixed names by the last loop
observe() {
	state='' role='' master='' link='' down=-1 syncing=0
	own=0 got=0 online=0 rank=0 floor=0 empty=yes
	code=0
	reply=$("ask_$1" PING 'CONFIG GET slave-priority' 'CONFIG GET min-slaves-to-write' \
		'INFO replication' 'INFO keyspace') || code=$?
	before=
	while IFS= read -r line; do
		line=${line%"$cr"}
		case $line in
		PONG | MASTERDOWN*) state=up ;;
		LOADING*) state=loading ;;
		BUSY*) state=busy ;;
		MISCONF*) state=sick ;;
		NOAUTH* | WRONGPASS* | NOPERM* | *'invalid password'*) state=denied ;;
		*'Connection refused'*) state=dead ;;
		role:*) role=${line#*:} ;;
		master_host:*) master=${line#*:} ;;
		master_link_status:*) link=${line#*:} ;;
		master_link_down_since_seconds:*) down=${line#*:} ;;
		master_sync_in_progress:*) syncing=${line#*:} ;;
		slave_repl_offset:*) got=${line#*:} ;;
		master_repl_offset:*) own=${line#*:} ;;
		slave[0-9]*state=online*)
			lag=${line##*lag=}
			case ${lag%%,*} in 0 | 1 | 2) online=$((online + 1)) ;; esac
			;;
		db[0-9]*:keys=*) empty=no ;;
		*)
			case $before in
			slave-priority) rank=$line ;;
			min-slaves-to-write) floor=$line ;;
			esac
			;;
		esac
		before=$line
	done <<-END
		$reply
	END
	if [ -z "$state" ]; then
		if [ "$code" = 124 ]; then state=hung; else state=unreachable; fi
	fi
	if [ "$role" = slave ]; then offset=$got; else offset=$own; fi
	for name in state role master link down syncing offset online rank floor empty; do
		eval "$1_$name=\$$name"
	done
}

# write_rank RANK: to the file beside the data, whole or not at all.
write_rank() {
	printf '%s\n' "$1" >"$rank_file.new"
	chown "$owner" "$rank_file.new"
	sync "$rank_file.new"
	mv "$rank_file.new" "$rank_file"
}

# hold WHY: not writable and no VIP until the peer or the operator tells more.
# If the VIP is here it leaves with the next check, and no client is to be in
# the middle of anything then.
hold() {
	was=
	[ ! -e "$run/hold" ] || read -r was <"$run/hold" || :
	[ "$was" != "$1" ] || return 0
	close_gate
	printf '%s\n' "$1" >"$run/hold"
	log warning "holding: $1"
}
unhold() {
	[ -e "$run/hold" ] && [ ! -e "$run/ousted" ] || return 0
	rm -f "$run/hold"
	log info "no longer holding: $1"
}

# block my|peer: writes wait or fail from here on; reads and replication go on.
# A pause ends by itself, should nobody be left to end it.
block() {
	if [ "$can_pause" = yes ]; then
		"ask_$1" "CLIENT PAUSE $(($(hundredths "$sync_timeout") * 10 + 2000)) WRITE" >/dev/null
	else
		"ask_$1" 'CONFIG SET min-slaves-to-write 99999' >/dev/null
	fi
}
unblock() {
	if [ "$can_pause" = yes ]; then
		"ask_$1" 'CLIENT UNPAUSE' >/dev/null
	else
		"ask_$1" "CONFIG SET min-slaves-to-write $(floor_alone)" >/dev/null
	fi
}

# floor_alone: min-slaves-to-write of a primary that has no replica yet.
floor_alone() { if [ "$durability" = strict ]; then echo 1; else echo 0; fi; }

# close_gate: packets to the VIP are reset here, as they are where it is not: no
# client comes back to a Redis that is no longer the primary. Where there is no
# nft, one may, and then waits in silence once the VIP has left.
close_gate() {
	: >"$run/gate"
	nft add element inet "$guard" gate "{ $port }" 2>/dev/null || :
}
# open_gate: behind the VIP there is a primary.
open_gate() {
	[ -e "$run/gate" ] || return 0
	if nft flush set inet "$guard" gate 2>/dev/null || ! nft list set inet "$guard" gate >/dev/null 2>&1; then
		rm -f "$run/gate"
	else
		log error "nft does not open the gate to the VIP"
	fi
}

# fence my|peer [RANK]: not writable from here on. Its clients are let go while
# their connections can still be answered: once the VIP has left, they would
# wait in silence.
fence() {
	who=$1
	[ "$who" != my ] || close_gate
	set -- 'SLAVEOF 127.0.0.1 1' ${2:+"CONFIG SET slave-priority $2"}
	[ "$can_pause" = no ] || set -- "$@" 'CLIENT UNPAUSE'
	release_clients "$who" "$@"
	observe "$who"
	eval "[ \"\$${who}_role\" = slave ]"
}

# release_clients my|peer COMMAND...: the commands, then the end of all clients'
# connections.
release_clients() {
	who=$1
	shift
	if [ "$can_kill_type" = yes ]; then
		"ask_$who" "$@" 'CLIENT KILL TYPE normal' 'CLIENT KILL TYPE pubsub' >/dev/null
		return
	fi
	[ $# = 0 ] || "ask_$who" "$@" >/dev/null
	# One by one, where CLIENT KILL knows no TYPE. Replicas and the link to a
	# primary carry the flags S and M.
	list=$("ask_$who" 'CLIENT LIST')
	set --
	while IFS= read -r line; do
		case $line in
		*' flags=S '* | *' flags=M '* | *' cmd=client'*) ;;
		*' addr='* | 'addr='*)
			addr=${line#*addr=}
			set -- "$@" "CLIENT KILL ${addr%% *}"
			;;
		esac
	done <<-END
		$list
	END
	[ $# = 0 ] || "ask_$who" "$@" >/dev/null
}

# kill_redis: a Redis that hangs, and with it its clients' connections, while
# these can still be told. A large process takes a while to go.
kill_redis() {
	close_gate
	systemctl kill --signal=KILL "$redis_unit" || :
	deadline 1
	until case "$(ask 127.0.0.1 0.1 PING)" in *'Connection refused'*) : ;; *) false ;; esac do
		! past || return 0
		nap
	done
}

# hand_over FROM TO: no write of a living primary FROM is lost: its writes stop,
# TO gets the last of them, FROM is fenced. Demote before promote: a crash in
# between leaves no primary, never two.
#   0  done    1  TO is not FROM's replica, or FROM is gone    2  TO was too slow
# shellcheck disable=SC2154  # from_* and to_* are set by name
hand_over() {
	from=$1
	to=$2
	block "$from"
	deadline "$sync_timeout"
	while :; do
		observe "$from"
		observe "$to"
		eval "from_role=\$${from}_role from_offset=\$${from}_offset from_rank=\$${from}_rank"
		eval "to_state=\$${to}_state to_link=\$${to}_link to_master=\$${to}_master"
		eval "to_offset=\$${to}_offset to_rank=\$${to}_rank"
		if [ "$from" = my ]; then from_address=$self; else from_address=$peer; fi
		case $from_role in
		master) ;;
		slave) return 0 ;; # the other host was quicker
		*) return 1 ;;
		esac
		if [ "$to_state" != up ] || [ "$to_link" != up ] || [ "$to_master" != "$from_address" ]; then
			unblock "$from"
			return 1
		fi
		[ "$to_offset" -lt "$from_offset" ] || break
		if past; then
			unblock "$from"
			return 2
		fi
		nap
	done
	# The other host has all of it now: both are of class 2, until one restarts.
	drained_rank=$((from_rank / 4 * 4 + 2))
	[ "$to_rank" -ge "$drained_rank" ] || "ask_$to" "CONFIG SET slave-priority $drained_rank" >/dev/null
	fence "$from" "$drained_rank"
}

# promote WHY: this Redis becomes the primary, of a new epoch. The rank is on
# disk first: a crash in between leaves a rank too high for data that is the
# newest anyway, never newer data under an old rank.
promote() {
	newest=$my_rank
	[ "$peer_rank" -le "$newest" ] || newest=$peer_rank
	new_rank=$((newest / 4 * 4 + 7))
	! forced || new_rank=$((new_rank + 4)) # what the peer has is no subset
	write_rank "$new_rank"
	rm -f "$run/alone" "$run/force" "$run/synced" "$run/let-go" "$run/ousted"
	reason=$1
	# A peer that followed this Redis in an earlier run of it would do so again by
	# itself: over writes that this one's disk did not have when it died.
	case $peer_state/$peer_role/$peer_master in
	up/slave/"$self" | sick/slave/"$self") fence peer || : ;;
	esac
	set -- "CONFIG SET slave-priority $new_rank" "CONFIG SET min-slaves-to-write $(floor_alone)"
	[ "$can_pause" = no ] || set -- "$@" 'CLIENT UNPAUSE'
	ask_my "$@" 'SLAVEOF NO ONE' >/dev/null
	observe my
	if [ "$my_role" != master ]; then
		log error "SLAVEOF NO ONE did not make this Redis primary (state $my_state, role $my_role)"
		return 1
	fi
	open_gate
	log notice "promoted to primary, epoch $((new_rank / 4)): $reason"
	unhold "it is primary now"
}

# attach: follows the peer, whose data is newer. What this host has and the
# peer may lack is set aside first.
attach() {
	if [ "$peer_empty" = yes ] && [ "$my_empty" = no ]; then
		hold "$peer_name is primary with newer data by its rank ($peer_rank, ours is $my_rank), but holds no key"
		return 1
	fi
	set_aside || return 1
	rm -f "$run/synced" "$run/alone"
	close_gate
	ask_my "SLAVEOF $peer $port" >/dev/null
	log notice "following $peer_name (its rank $peer_rank, ours $my_rank)"
	unhold "$peer_name is primary with newer data"
}

# is_subset: the peer, a primary, has all of this host's data, and in the same
# run of its Redis: one that was restarted may have lost what its disk did not
# have yet. It takes a new epoch to lead again, and is only given one after this
# host, if that was in sync.
is_subset() {
	since=$((peer_rank / 4 - my_rank / 4))
	case $((my_rank % 4)) in
	2) [ "$since" -le 1 ] ;;
	0) [ "$since" = 0 ] && [ "$my_rank" != 0 ] ;;
	*) false ;;
	esac
}

# set_aside: keeps a copy of data that the peer may lack, for the last three
# times: a primary's that was not drained, or what was here before the pair. No
# room for it: hold.
set_aside() {
	[ "$my_empty" = no ] && ! is_subset || return 0
	into=$data/set-aside/$(date -u +%Y%m%dT%H%M%SZ)-rank$my_rank
	[ ! -e "$into" ] || return 0
	case "$(ask_my 'CONFIG GET appendonly')" in
	*yes*) ;;
	*) save_now || return 1 ;;
	esac
	set --
	for name in $data_files; do
		[ ! -e "$data/$name" ] || set -- "$@" "$data/$name"
	done
	[ $# -gt 0 ] || return 0
	need=$(du -ck "$@" | tail -n 1)
	room=$(df -Pk "$data" | tail -n 1 | awk '{ print $4 }')
	if [ "$room" -lt $((${need%%[!0-9]*} + 16384)) ]; then
		hold "no room in $data to set this host's data aside before it follows $peer_name"
		return 1
	fi
	rm -rf "$data/set-aside/.new"
	mkdir -p "$data/set-aside/.new"
	if ! cp -a "$@" "$data/set-aside/.new/"; then
		hold "this host's data could not be copied to $data/set-aside"
		return 1
	fi
	mv "$data/set-aside/.new" "$into"
	chown -R "$owner" "$data/set-aside"
	log notice "set this host's data aside in $into"
	find "$data/set-aside" -mindepth 1 -maxdepth 1 -type d | sort -r | tail -n +4 | while IFS= read -r old; do
		rm -rf "$old"
	done
}

# save_now: without an append-only file the data is in memory alone.
save_now() {
	ask_my BGSAVE >/dev/null
	deadline 60
	while case "$(ask_my 'INFO persistence')" in *rdb_bgsave_in_progress:1*) : ;; *) false ;; esac do
		if past; then
			hold "this host's data could not be saved within 60 s before it follows $peer_name"
			return 1
		fi
		nap
	done
}

# in_sync: is this the live replica of a peer that cannot answer any more? One
# that was drained, and has not got all of the new primary's data yet, is not.
in_sync() {
	[ $((my_rank % 4)) = 2 ] && ! drained && [ "$my_master" = "$peer" ] && [ "$my_syncing" = 0 ] || return 1
	[ "$my_link" = up ] || { [ "$my_down" -ge 0 ] && [ "$my_down" -le "$stale_limit" ]; }
}

# drained: the data of this Redis, which was the primary until now, went to the
# peer to the last byte. Its file says what it was, its live rank what it is.
drained() {
	kept=0
	[ ! -e "$rank_file" ] || read -r kept <"$rank_file"
	[ $((kept % 4)) = 3 ] && [ "$my_rank" = $((kept - 1)) ]
}

# newest: neither is writable; is this host's data as new as the peer's? Sets
# why, either way.
newest() {
	if [ "$my_rank" -gt "$peer_rank" ] && [ "$my_empty" = yes ] && [ "$peer_empty" = no ]; then
		why="our data is newer by its rank ($my_rank, $peer_name has $peer_rank), but this host holds no key: cannot tell which to keep"
		return 1
	elif [ "$my_rank" -gt "$peer_rank" ]; then
		why="our data is newer (rank $my_rank, $peer_name has $peer_rank)"
	elif [ "$my_rank" -lt "$peer_rank" ]; then
		why="$peer_name has newer data (rank $peer_rank, ours is $my_rank)"
		return 1
	elif [ $((my_rank % 4)) = 2 ]; then
		why="$peer_name was drained to us"
	elif [ "$my_rank" != 0 ]; then
		why="both hosts have rank $my_rank: cannot tell whose data is newer"
		return 1
	elif [ "$peer_empty" = yes ]; then
		why="a new pair"
	elif [ "$my_empty" = yes ]; then
		why="$peer_name has data and this host has none"
		return 1
	else
		why="both hosts have data that never was in this pair: cannot tell which to keep"
		return 1
	fi
}

# take_over: the VIP is here; become primary if that loses nothing.
take_over() {
	deadline "$sync_timeout"
	turn=$(($(now) + 200))
	while has_vip; do
		observe my
		case $my_state in
		up) ;;
		loading) if past; then
			hold "Redis is still loading its data"
			return 1
		fi ;;
		*)
			log error "the VIP is here but Redis is $my_state"
			return 1
			;;
		esac
		[ "$my_role" != master ] || {
			open_gate
			unhold "it is primary"
			return 0
		}
		if [ "$my_state" = up ]; then
			observe peer
			if forced; then
				[ "$peer_role" != master ] || fence peer || :
				promote "the operator forced it"
				return
			fi
			if take_over_once; then return 0; fi
			[ ! -e "$run/hold" ] || return 1
		fi
		if past; then
			hold "$why"
			return 1
		fi
		nap
	done
	log info "the VIP left again: nothing to do"
}

# forced: did the operator decide, within the last minute?
forced() { [ -e "$run/force" ] && [ -n "$(find "$run/force" -mmin -1)" ]; }

# take_over_once: 0 when this Redis is primary now. Otherwise it set why, to be
# tried again until the deadline, or it holds.
take_over_once() {
	case $peer_state/$peer_role in
	up/master | sick/master)
		if drained && [ ! -e "$run/let-go" ]; then
			# The peer took over, and the VIP is here all the same: it has one, too.
			# To take the role back would be to take turns.
			now >"$run/ousted"
			attach || :
			hold "$peer_name took over while the VIP was here: VRRP does not get through"
			return 1
		fi
		if [ "$my_rank" -gt "$peer_rank" ]; then
			# It never saw what we have; what it wrote alone is set aside when it
			# follows us.
			fence peer && promote "$peer_name is primary with older data (rank $peer_rank, ours is $my_rank)"
			return
		fi
		if [ "$my_master" != "$peer" ]; then
			if [ "$my_rank" = "$peer_rank" ]; then
				hold "both hosts were promoted to rank $my_rank: cannot tell whose data is newer"
				return 1
			fi
			why="$peer_name is primary with newer data and we are not its replica yet"
			attach || :
			return 1
		fi
		why="$peer_name is primary and we do not have all its data yet"
		[ "$my_link" = up ] || return 1
		hand_over peer my || return 1
		observe peer
		promote "$peer_name handed over"
		;;
	up/slave | sick/slave)
		if drained && [ "$my_rank" = "$peer_rank" ] && [ "$(now)" -lt "$turn" ]; then
			why="$peer_name was handed our data: it is its turn to become primary"
			return 1
		fi
		if newest; then
			promote "$why"
		else
			hold "$why"
			return 1
		fi
		;;
	loading/* | busy/*)
		why="$peer_name is $peer_state: cannot tell whose data is newer"
		past || return 1
		[ "$peer_state" = busy ] && in_sync && promote "$peer_name is busy and we were in sync"
		;;
	denied/*)
		hold "$peer_name refuses our password"
		return 1
		;;
	*)
		if in_sync; then
			promote "$peer_name is $peer_state and we were in sync"
		elif [ $((my_rank % 4)) = 3 ] && [ -e "$run/alone" ]; then
			promote "$peer_name has been dead since we were primary"
		else
			hold "$peer_name is $peer_state and this host was not in sync with it (rank $my_rank, link $my_link since $my_down s): its data may be newer"
			return 1
		fi
		;;
	esac
}

# let_go: this host is about to lose the VIP, or has: see that nothing that was
# acknowledged here is lost, and that nothing more is accepted.
let_go() {
	deadline "$sync_timeout"
	observe my
	while [ "$my_state" = busy ] && ! past; do
		nap
		observe my
	done
	case $my_state in
	hung)
		# A frozen process would keep its clients waiting, and could wake up as a
		# second primary.
		log error "Redis hangs: killing it"
		kill_redis
		return
		;;
	up | sick) ;;
	*) return ;;
	esac
	if [ "$my_role" != master ]; then
		close_gate
		return
	fi
	: >"$run/let-go"
	handed=0
	hand_over my peer || handed=$?
	case $handed in
	0) log notice "handed over to $peer_name at offset $my_offset" ;;
	1)
		if [ "$peer_state" = up ] && [ "$peer_role" = master ]; then
			log warning "$peer_name is primary as well (its rank $peer_rank, ours $my_rank)"
		fi
		[ "$peer_state" != dead ] || : >"$run/alone"
		fence my
		log warning "fenced; $peer_name is $peer_state and was not our replica"
		;;
	2)
		log error "$peer_name did not catch up within $sync_timeout s: it lacks data, so this Redis stays primary without the VIP"
		close_gate
		release_clients my
		;;
	esac
}

# follow SECONDS: the VIP is not here; be the peer's replica, as soon as it is
# primary and its data is newer.
follow() {
	deadline "$1"
	waits=no
	while ! has_vip; do
		observe my
		case $my_state in
		up | loading) ;;
		*) return 1 ;;
		esac
		if [ "$my_state" = up ]; then
			observe peer
			if follow_once; then return 0; fi
		fi
		! past || return 1
		sleep 0.05
	done
}

# follow_once: 0 when this Redis is the peer's replica, in sync.
follow_once() {
	peer_writes=no
	[ "$peer_state/$peer_role" != up/master ] || peer_writes=yes
	case $my_role/$my_master/$peer_writes in
	master//yes)
		if [ "$peer_rank" -gt "$my_rank" ]; then
			fence my && { attach || deadline 0; }
		elif [ "$peer_rank" = "$my_rank" ]; then
			# The VIP decides: it is there. What was written here is set aside once
			# the peer has an epoch of its own.
			fence my || :
			hold "$peer_name was promoted at the same time, to rank $peer_rank, and has the VIP"
		else
			[ "$waits" = yes ] || log warning "$peer_name is primary with older data (rank $peer_rank, ours is $my_rank): it has to step down"
			waits=yes
		fi
		return 1
		;;
	master//no)
		let_go
		return 1
		;;
	slave/"$peer"/yes)
		note_sync
		;;
	slave/*/yes)
		if [ "$peer_rank" -gt "$my_rank" ]; then
			attach || deadline 0
		else
			hold "$peer_name is primary with data that is not newer than ours (rank $peer_rank, ours is $my_rank)"
		fi
		return 1
		;;
	slave/*/no)
		if [ -e "$run/hold" ] && [ "$peer_state/$peer_role" = up/slave ] && newest; then
			unhold "$why"
		fi
		return 1
		;;
	esac
}

# note_sync: the link is up and the sync is done: this data is now of the
# peer's epoch. Needs both observed. After a full sync the stream begins up to a
# second later: when the primary has heard that the copy is in place.
note_sync() {
	[ "$my_link" = up ] && [ "$my_syncing" = 0 ] && [ "$peer_online" -gt 0 ] || return 1
	in_epoch=$((peer_rank / 4 * 4 + 2))
	if [ "$my_rank" != "$in_epoch" ]; then
		write_rank "$in_epoch"
		ask_my "CONFIG SET slave-priority $in_epoch" >/dev/null
		my_rank=$in_epoch
		log info "in sync with $peer_name, epoch $((in_epoch / 4))"
	fi
	now >"$run/synced"
	unhold "in sync with $peer_name"
}
