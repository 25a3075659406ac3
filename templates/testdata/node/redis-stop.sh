#!/bin/sh
# Stops Redis in an orderly way: it saves what its configuration says.
set -eu
# shellcheck source=pair.conf
. /usr/local/keepalived/etc/keepalived/scripts/pair.conf

log() {
	printf '%s level=%s host=%s by=redis-stop msg="%s"\n' \
		"$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" "$1" "$self_name" "$2" >>"$state_log"
}

auth_line=
if [ -n "$auth" ]; then
	read -r auth_line <"$auth" || :
fi
if reply=$({
	[ -z "$auth_line" ] || printf '%s\n' "$auth_line"
	echo SHUTDOWN
} | timeout 300 "$cli" -h 127.0.0.1 -p "$port" 2>&1) && [ -z "${reply#OK}" ]; then
	log info "redis stopped"
else
	log error "redis refused to stop: $reply"
	exit 1
fi
