#!/bin/sh
# Makes an uploaded file root's and puts it in its place.
#   install.sh SOURCE PATH MODE WORD
# SOURCE is gone afterwards, whatever happens. PATH is the old file or the
# whole new one at any time: WORD makes a name next to it that is used until
# the file is complete.
set -eu
umask 077
LC_ALL=C
export LC_ALL
source=$1
path=$2
mode=$3
temp="${path%/*}/.hapair.$4"

trap 'trap "" HUP INT TERM; rm -f -- "$source" "$temp"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -d "$path" ]; then
	printf '%s: is a directory, not a file\n' "$path" >&2
	exit 1
fi
cp -- "$source" "$temp" # not mv, which would bring the label of where it was
chown -- root:root "$temp"
chmod -- "$mode" "$temp"
sync -- "$temp"
mv -f -- "$temp" "$path"
