#!/bin/sh
# Puts files in place: all of them, or (short of a failing rename) none.
# Standard input:
#   a random word, then for each file
#     a line "SIZE MODE OWNER" (OWNER is "user:group", or "-" for the writer),
#     a line with the path, and SIZE bytes of content,
#   and a last line "end", without which the stream was cut.
# Each file is written under a temporary name next to its place, readable by
# its writer alone, synced, given its owner and mode, and renamed only when
# every other one has come this far as well.
set -eu
umask 077
LC_ALL=C
export LC_ALL
block=65536
newline='
'
temps=''
paths=''

fail() {
	printf '%s\n' "$1" >&2
	exit 1
}

# try WHAT COMMAND...: runs it; its complaint becomes the reason.
try() {
	what=$1
	shift
	why=$("$@" 2>&1) || fail "$path: $what: $why"
}

clean() {
	trap '' HUP INT TERM
	printf '%s' "$temps" | while IFS= read -r temp; do
		rm -f -- "$temp"
	done
}
trap clean EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Without O_EXCL another user of the directory could place a link here first.
create() (
	set -C
	: >"$1"
)

# dd takes from a pipe exactly what it is told to, so the next header is read
# from where the content ends; head -c of some systems reads further.
receive() {
	whole=$((size / block))
	rest=$((size % block))
	if [ "$whole" -gt 0 ]; then
		dd bs="$block" count="$whole" iflag=fullblock conv=fsync status=none >>"$1" || return 1
	fi
	if [ "$rest" -gt 0 ]; then
		dd bs="$rest" count=1 iflag=fullblock conv=fsync status=none >>"$1" || return 1
	fi
}

IFS= read -r word || fail 'the stream of files is empty'
number=0
while :; do
	IFS=' ' read -r size mode owner || fail 'the stream of files was cut'
	[ "$size" != end ] || break
	IFS= read -r path || fail 'the stream of files was cut'
	[ ! -d "$path" ] || fail "$path: is a directory, not a file"
	number=$((number + 1))
	temp="${path%/*}/.hapair.$word.$number"
	temps="$temps$temp$newline" # before it is there: a signal may come in between
	try 'create' create "$temp"
	paths="$paths$path$newline"
	try 'write' receive "$temp"
	got=$(wc -c <"$temp")
	[ "$got" -eq "$size" ] || fail "$path: the stream was cut after $((got)) of $size bytes"
	[ "$owner" = - ] || try 'give to owner' chown -- "$owner" "$temp"
	try 'set mode' chmod -- "$mode" "$temp"
done

number=0
printf '%s' "$paths" | while IFS= read -r path; do
	number=$((number + 1))
	try 'put in place' mv -f -- "${path%/*}/.hapair.$word.$number" "$path"
done
