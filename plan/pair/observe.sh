# Prints what one host of a pair is like and changes nothing. A line is a word
# that says what it is about, and a value; what is not there has no line.
#   observe.sh REDIS_UNIT KEEPALIVED_UNIT KEEPALIVED CLI PORT AUTH RUN STATE_LOG LINES
set -eu
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
redis_unit=$1
keepalived_unit=$2
keepalived=$3
cli=$4
port=$5
auth=$6 # the AUTH command; the file exists where there is a password
run=$7
state_log=$8
lines=$9
patience=2 # seconds, for Redis

label() { sed "s/^/$1 /"; }

printf 'clock %s\n' "$(date +%s.%N)"
systemctl show -p Id -p LoadState -p ActiveState -p MainPID \
	"$redis_unit" "$keepalived_unit" | label unit
ip -o addr show | label address
{ "$keepalived" --version 2>&1 || :; } | label keepalived
for mark in vrrp hold; do
	[ ! -s "$run/$mark" ] || label "$mark" <"$run/$mark"
done
[ ! -s "$state_log" ] || tail -n "$lines" "$state_log" | label log

code=0
answer=$({
	if [ -s "$auth" ]; then
		read -r login <"$auth" || :
		printf '%s\n' "$login"
	fi
	printf '%s\n' INFO 'CONFIG GET slave-priority'
} | timeout "$patience" "$cli" -h 127.0.0.1 -p "$port" 2>&1) || code=$?
printf '%s\n' "$answer" | label redis
printf 'redis-code %s\n' "$code"
