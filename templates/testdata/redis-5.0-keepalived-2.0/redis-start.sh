#!/bin/sh
# Starts Redis, fenced: as the replica of a placeholder, whatever it was before.
set -eu
# shellcheck source=pair.conf
. /usr/local/keepalived/etc/keepalived/scripts/pair.conf

log() {
	printf '%s level=%s host=%s by=redis-start msg="%s"\n' \
		"$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" "$1" "$self_name" "$2" >>"$state_log"
}

# A Redis that restarts may lack its last second: its data ranks below that of a
# replica that lived on. One that has no data at all has no rank.
rank=0
exec 9<"$data" # hooks write a rank only while the Redis that it is about lives
flock 9
if [ -s "$rank_file" ]; then
	for name in $data_files; do
		if [ -e "$data/$name" ]; then
			read -r rank <"$rank_file"
			break
		fi
	done
	rank=$((rank & ~2))
	printf '%s\n' "$rank" >"$rank_file.new"
	sync "$rank_file.new"
	mv "$rank_file.new" "$rank_file"
fi

if /usr/local/redis/bin/redis-server /usr/local/redis/conf/redis.conf --slave-priority "$rank" 9<&-; then
	log info "redis started, fenced, rank $rank"
else
	code=$?
	log error "redis did not start (exit code $code); its own log says why"
	exit "$code"
fi
