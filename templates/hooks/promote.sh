#!/bin/sh
# The operator's decision on a host that holds: its data is the one to keep,
# even if the peer's could be newer. Takes --force, so that nobody runs it by
# accident.
# shellcheck source=pair.sh
. "${0%/*}/pair.sh"

if [ "${1-}" != --force ]; then
	echo "usage: promote.sh --force" >&2
	exit 2
fi
lock -w 60 || exit 1
: >"$run/force"
has_vip || :
observe my
log notice "the operator forces a promotion"
rm -f "$run/ousted"
unhold "the operator decided"
if has_vip; then
	take_over
fi
