#!/bin/sh
# systemd, before it stops keepalived: the VIP is still here. Hand the data over
# to the peer and let the clients go while they can still be told.
# shellcheck source=pair.sh
. "${0%/*}/pair.sh"

lock -w 5 || log warning "another hook is at work for 5 s: going on without the lock"
has_vip || :
let_go
exit 0
