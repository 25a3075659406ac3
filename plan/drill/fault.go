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

// Fault is something that a drill does to a host.
type Fault string

const (
	NoFault        Fault = ""
	KillRedis      Fault = "kill-redis"
	StopRedis      Fault = "stop-redis"
	StopKeepalived Fault = "stop-keepalived"
	KillKeepalived Fault = "kill-keepalived"
	KillBoth       Fault = "kill-both"
	TakeDown       Fault = "take-down"
	KillDuringSave Fault = "kill-during-save"
	FlapRedis      Fault = "flap-redis"
	FreezeRedis    Fault = "freeze-redis"
	BusyRedis      Fault = "busy-redis"
	Isolate        Fault = "isolate"
	BlockVRRP      Fault = "block-vrrp"
	CutPeerLink    Fault = "cut-peer-link"
	DiskFull       Fault = "disk-full"
	WrongPassword  Fault = "wrong-password"
	EmptyRestart   Fault = "empty-restart"
	FullSync       Fault = "full-sync"
	PowerOff       Fault = "power-off"
)

// cuts reports whether the fault keeps the controller from a host's own
// address. Only SSH gets through then.
func (f Fault) cuts() bool { return f == Isolate }

// resets reports whether the fault is the end of all that runs on the host, and
// of the connection to it. It lasts until the host has booted again.
func (f Fault) resets() bool { return f == PowerOff }

// faultTimeout bounds a fault and its proof. The longest is a stop of
// keepalived, which systemd lets take 90 s.
const faultTimeout = 2 * time.Minute

// exitUnproven is the script's code for a fault that was done, and is not so.
const exitUnproven = 4

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
	boot               string // the id of the boot that is about to end
	undone             []undone
}

// undone is the end of a fault that lasted.
type undone struct {
	at    time.Time // by the host's clock
	fault Fault
}

// line takes one line of the script's output.
func (r *report) line(text string) {
	verb, rest, _ := strings.Cut(text, " ")
	if verb == "boot" {
		r.boot = rest
		return
	}
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
	case "undone":
		r.undone = append(r.undone, undone{at, Fault(said)})
	}
}

// rig does a drill's faults to one host, and undoes them.
type rig struct {
	host   remote.Host
	layout templates.Layout
	drill  string // its ID
	lock   string // the file on the host that it has the lock on, for as long as it is heard of
}

// inject does a fault, and returns once it is proved that it landed. It calls
// hear whenever there is more to report. An error of it is an *unproven, or
// ctx's own.
func (g rig) inject(ctx context.Context, fault Fault, hear func(report)) error {
	told, err := g.run(ctx, "fault "+string(fault), hear, g.injecting(fault)...)
	if err == nil && (told.injected.IsZero() || told.verified.IsZero()) {
		err = errSaidNothing
	}
	if err != nil {
		return &unproven{fault, g.host.String(), err}
	}
	return nil
}

func (g rig) injecting(fault Fault) []string {
	return []string{"inject", g.drill, g.lock, string(fault)}
}

var errSaidNothing = errors.New("the script said nothing of it")

// undo ends the faults that last.
func (g rig) undo(ctx context.Context) ([]undone, error) {
	told, err := g.run(ctx, "undo faults", nil, "undo")
	return told.undone, err
}

// disarm ends the faults that last, whoever's they are, and takes from the host
// all that was there to undo them. It returns what lasted until then.
func (g rig) disarm(ctx context.Context) ([]undone, error) {
	told, err := g.run(ctx, "disarm faults", nil, "disarm")
	return told.undone, err
}

// start starts Redis and keepalived.
func (g rig) start(ctx context.Context) error {
	_, err := g.run(ctx, "start services", nil, "start")
	return err
}

func (g rig) run(ctx context.Context, name string, hear func(report), args ...string) (report, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, faultTimeout, fmt.Errorf("no end of it within %v", faultTimeout))
	defer cancel()
	var mu sync.Mutex // when ctx ends, Run may return while a last line is handed on
	var told report
	var over bool
	out := remote.NewLines(func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		told.line(text)
		if hear != nil {
			hear(told)
		}
	})
	_, err := g.host.Run(ctx, remote.Cmd{
		Name:   name,
		Argv:   append([]string{"sh", "-c", faultScript, "fault", g.layout.HooksConf()}, args...),
		Stdout: out,
	})
	mu.Lock()
	defer mu.Unlock()
	over = true
	return told, err
}
