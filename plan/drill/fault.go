package drill

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"hapair/remote"
	"hapair/templates"
)

//go:embed fault.sh
var faultScript string

// Fault is what a drill does to the primary's host. Those that exist only end
// processes, so that recovery is all it takes to undo one.
type Fault string

const (
	NoFault        Fault = ""
	KillRedis      Fault = "kill-redis"
	StopKeepalived Fault = "stop-keepalived"
	KillBoth       Fault = "kill-both"
)

// faultTimeout bounds a fault and its proof. The longest is a stop of
// keepalived, which systemd lets take 90 s.
const faultTimeout = 2 * time.Minute

// unproven is a fault that may or may not have landed.
type unproven struct {
	fault Fault
	host  string
	err   error
}

func (e *unproven) Error() string {
	return fmt.Sprintf("it could not be proved that %s landed on %s: %v", e.fault, e.host, e.err)
}
func (e *unproven) Unwrap() error { return e.err }

// report is what the fault script says while it runs.
type report struct {
	injected, verified time.Time // by the host's clock
	what, evidence     string
}

// line takes one line of the script's output.
func (r *report) line(text string) {
	verb, rest, _ := strings.Cut(text, " ")
	stamp, said, _ := strings.Cut(rest, " ")
	at, ok := parseSeconds(stamp)
	if !ok {
		return
	}
	switch verb {
	case "injected":
		r.injected, r.what = at, said
	case "verified":
		r.verified, r.evidence = at, said
	}
}

// inject does fault on a host, and returns once it is proved that it landed.
// It calls hear whenever there is more to report. An error of it is an
// *unproven, or ctx's own.
func inject(ctx context.Context, h remote.Host, l templates.Layout, fault Fault, hear func(report)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, faultTimeout, fmt.Errorf("no end of it within %v", faultTimeout))
	defer cancel()
	var mu sync.Mutex // when ctx ends, Run may return while a last line is handed on
	var told report
	var over bool
	out := remote.NewLines(func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			told.line(text)
			hear(told)
		}
	})
	_, err := h.Run(ctx, remote.Cmd{
		Name:   "fault " + string(fault),
		Argv:   []string{"sh", "-c", faultScript, "fault", string(fault), l.RedisUnit(), l.KeepalivedUnit()},
		Stdout: out,
	})
	mu.Lock()
	defer mu.Unlock()
	over = true
	if err == nil && (told.injected.IsZero() || told.verified.IsZero()) {
		err = errors.New("the script said nothing of it")
	}
	if err != nil {
		return &unproven{fault, h.String(), err}
	}
	return nil
}
