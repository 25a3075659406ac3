package drill

import (
	"strings"
	"time"
)

// stateStopped is the VRRP state of a host whose keepalived has ended.
const stateStopped = "stopped"

// parseVRRP reads "vrrp MASTER 1795350142.407747000" of watch.sh: the state
// that keepalived's hooks have left a mark of, and when they did.
func parseVRRP(line string) (state string, at time.Time, ok bool) {
	fields := strings.Fields(line)
	if len(fields) != 3 || fields[0] != "vrrp" {
		return "", time.Time{}, false
	}
	if state = fields[1]; state == "STOP" {
		state = stateStopped
	}
	at, ok = parseSeconds(fields[2])
	return state, at, ok
}

// sawVRRP enters keepalived's state, which it has had since at. Whatever it was
// before the first look, that was before the drill.
func (t *track) sawVRRP(at, now time.Duration, state string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.vrrp) == 0 {
		t.vrrp.set(now, state)
		return
	}
	at = max(at, t.vrrp.since())
	before, changed := t.vrrp.set(at, state)
	if !changed {
		return
	}
	text := "VRRP: " + state
	if before != "" { // which is not so after a reset
		text = "VRRP: " + before + " → " + state
	}
	t.timeline.add(at, Event{Type: VRRPChange, Host: t.host, From: before, To: state, Text: text})
}
