# Keeps others off, for as long as whoever asked for it is there.
#
#   sh -c "$(cat lock.sh)" lock FILE SECONDS LEASE HOLDER
#   sh -c "$(cat lock.sh)" break FILE
#
# lock waits up to SECONDS for the lock on FILE, writes HOLDER and its own
# process id there, and prints "locked". It lasts as long as standard input
# brings a byte at least every LEASE seconds: the kernel frees the lock of a
# session that has ended, and a holder that froze loses it. Exit code 75:
# another one has it, whom standard error names.
#
# break ends the process that has the lock and prints who that was.
set -eu
umask 022
file=$1

case $0 in
lock)
	mkdir -p "${file%/*}"
	exec 9>>"$file"
	if ! flock -w "$2" 9; then
		head -n 1 "$file" >&2
		exit 75
	fi
	printf '%s\n%s\n' "$4" "$$" >"$file"
	echo locked
	while [ -n "$(timeout "$3" dd bs=1 count=1 2>/dev/null 9>&-)" ]; do :; done
	: >"$file"
	;;
break)
	[ -s "$file" ] || exit 0
	! flock -n "$file" true || exit 0 # left by one that was killed
	{
		read -r holder
		read -r pid
	} <"$file"
	# The number could be another process's by now.
	tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "$file" || exit 0
	kill "$pid"
	flock -w 5 "$file" true
	printf '%s\n' "$holder"
	;;
esac
