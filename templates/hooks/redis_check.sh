#!/bin/sh
# keepalived's check of the local Redis: 0 well, 1 not (VRRP FAULT).
#
# A Redis that is dead or hangs, after the retries, stops keepalived on this
# host: the VIP leaves and the peer takes over. What is only slow (loading, a
# long script) is alive. A refused password is our own mistake: an alarm, not a
# failover. Every question has a deadline, so the check never hangs.
#
# It also notices what no hook was called for, and starts the hook that mends
# it; it waits for none of them.
# shellcheck source=pair.sh
. "${0%/*}/pair.sh"

mkdir -p "$run"

# once MARK LEVEL TEXT: logs a state when it begins, not at every check.
once() {
	[ ! -e "$run/$1" ] || return 0
	: >"$run/$1"
	log "$2" "$3"
}

# again HOOK: runs it on its own, unless a hook is at work already.
again() {
	(
		lock -n || exit 0
		exec 9>&-
		setsid "$hooks/$1" again </dev/null >/dev/null 2>&1 9>&- &
	)
}

# locked COMMAND...: a small change of the check's own, unless a hook is at work.
locked() {
	(
		lock -n || exit 0
		"$@"
	)
}

well() {
	case $my_state in
	up | loading | busy | denied) ;;
	sick) [ "$my_role" = slave ] ;;
	*) false ;;
	esac
}

# lost_link: the link to the peer is down; after a while this data is no longer
# that of a live replica.
lost_link() {
	[ $((my_rank % 4)) = 2 ] && [ "$my_down" -gt "$stale_limit" ] || return 0
	write_rank "$((my_rank - 2))"
	ask_my "CONFIG SET slave-priority $((my_rank - 2))" >/dev/null
	log warning "the link to $peer_name has been down for $my_down s: this data is old"
}

# synced_lately: a hook saw in the last 10 s that this is the peer's data. The
# link can break and come back between two checks, to a peer that has led
# another epoch since.
synced_lately() {
	at=-1000
	[ ! -e "$run/synced" ] || read -r at <"$run/synced" || :
	[ $(($(now) - ${at:-0})) -lt 1000 ]
}

# gateway_answers: is the network there, when the peer is not?
gateway_answers() {
	! command -v ping >/dev/null || ping -c 1 -W 1 -q "$gateway" >/dev/null 2>&1
}

# keep_floor FLOOR: sets min-slaves-to-write if it is another.
keep_floor() {
	[ "$my_floor" = "$1" ] || ask_my "CONFIG SET min-slaves-to-write $1" >/dev/null
}

# lead: the VIP is here and Redis is primary.
lead() {
	open_gate
	if [ "$my_online" -gt 0 ]; then
		rm -f "$run/unfollowed"
		if [ "$durability" = strict ] || { [ "$durability" = balanced ] && [ -n "$gateway" ]; }; then
			locked keep_floor 1
		else
			locked keep_floor 0
		fi
		return 0
	fi
	once unfollowed warning "no replica is in sync with this primary"
	observe peer
	case $peer_state/$peer_role in
	up/master)
		if [ "$peer_rank" -gt "$my_rank" ]; then
			locked step_down "$peer_name is primary with newer data (rank $peer_rank, ours is $my_rank)"
			return
		elif [ "$peer_rank" = "$my_rank" ] && expr "$self" \> "$peer" >/dev/null; then
			locked step_down "$peer_name was promoted at the same time, to rank $peer_rank"
			return
		fi
		;;
	up/slave)
		if [ "$peer_rank" = "$my_rank" ]; then # it stepped down just now
			locked promote "$peer_name was promoted at the same time and stepped down"
			return
		fi
		;;
	esac
	case $peer_state in
	hung | unreachable)
		if [ -n "$gateway" ] && ! gateway_answers; then
			locked cut_off
			return
		fi
		;;
	esac
	locked keep_floor "$(floor_alone)"
}
step_down() {
	fence my
	hold "$1"
}
cut_off() {
	fence my
	hold "neither $peer_name nor the gateway $gateway answers: this host is cut off"
}

# reinstate: a host that was ousted while VRRP did not get through holds until
# its peer is no primary any more, or VRRP may have come back.
reinstate() {
	observe peer
	since=0
	read -r since <"$run/ousted" || :
	if [ "$peer_state/$peer_role" != up/master ] || [ $(($(now) - ${since:-0})) -gt 3000 ]; then
		rm -f "$run/ousted"
		unhold "$peer_name is $peer_state, role $peer_role"
	fi
}

tries=0
while :; do
	observe my
	! well || break
	if [ "$tries" -ge "$check_retries" ]; then
		has_vip || :
		log error "Redis is $my_state: stopping keepalived"
		# A failed check takes the VIP away at once. The clients of a Redis that is
		# frozen, or takes no writes, are told before, or they would wait in
		# silence.
		case $my_state in
		hung) kill_redis ;;
		sick)
			close_gate
			release_clients my
			;;
		esac
		systemctl --no-block stop "$keepalived_unit"
		exit 1
	fi
	tries=$((tries + 1))
	once unwell warning "Redis is $my_state: trying again in $retry_delay s"
	sleep "$retry_delay"
done
if [ -e "$run/unwell" ]; then
	rm -f "$run/unwell"
	log notice "Redis is well again"
fi
if [ "$my_state" = denied ]; then
	once denied error "Redis refuses the password in $auth: mend it; until then nothing here can tell how Redis is"
	exit 0
fi
rm -f "$run/denied"

if [ "$my_state" = up ]; then
	has_vip || :
	case $vip_here/$my_role/$my_master in
	yes/master/*) lead ;;
	yes/slave/*) again master.sh ;;
	no/slave/"$peer")
		if [ "$my_link" = down ]; then
			rm -f "$run/synced" # also while a hook is at work
			locked lost_link
		elif [ -e "$run/hold" ] || ! synced_lately; then
			again backup.sh
		fi
		;;
	*) again backup.sh ;;
	esac
fi
[ ! -e "$run/ousted" ] || locked reinstate
[ ! -e "$run/hold" ]
