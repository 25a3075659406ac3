#!/bin/sh
# redis.sh PREFIX CLI: starts Redis by its script, prints what it says, stops it
# by its script.
set -eu
prefix=$1
cli=$2

say() {
	{
		if [ -e "$prefix/conf/auth" ]; then cat "$prefix/conf/auth"; fi
		printf '%s\n' "$@"
	} | "$cli"
}

"$prefix/redis-start.sh"
tries=0
until say PING | grep -q PONG; do
	tries=$((tries + 1))
	if [ "$tries" -gt 100 ]; then
		cat "$prefix/logs/redis.log"
		exit 1
	fi
	sleep 0.05
done
say 'SET key value' 'INFO replication' 'CONFIG GET *'
"$prefix/redis-stop.sh"
pid=$(cat "$prefix/redis.pid" 2>/dev/null || :)
if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
	echo "redis still runs after redis-stop.sh"
	exit 1
fi
