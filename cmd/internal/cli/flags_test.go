package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hapair/plan/drill"
	"hapair/plan/pair"
	"hapair/plan/spec"
)

// TestFlags parses command lines without running anything: got is the options
// struct that the run function would have been called with.
func TestFlags(t *testing.T) {
	var got any
	record := func(o any) error { got = o; return nil }
	a := &app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}
	waits := lockOptions{30 * time.Second}
	commands := map[string]func() *cobra.Command{
		"init":     func() *cobra.Command { return newCmdInit(a, func(o *initOptions) error { return record(*o) }) },
		"validate": func() *cobra.Command { return newCmdValidate(a, func(o *validateOptions) error { return record(*o) }) },
		"fmt":      func() *cobra.Command { return newCmdFmt(a, func(o *fmtOptions) error { return record(*o) }) },
		"render":   func() *cobra.Command { return newCmdRender(a, func(o *renderOptions) error { return record(*o) }) },
		"plan":     func() *cobra.Command { return newCmdPlan(a, func(o *planOptions) error { return record(*o) }) },
		"apply":    func() *cobra.Command { return newCmdApply(a, func(o *applyOptions) error { return record(*o) }) },
		"status":   func() *cobra.Command { return newCmdStatus(a, func(o *statusOptions) error { return record(*o) }) },
		"events":   func() *cobra.Command { return newCmdEvents(a, func(o *eventsOptions) error { return record(*o) }) },
		"start":    func() *cobra.Command { return newCmdStart(a, func(o *lifecycleOptions) error { return record(*o) }) },
		"stop":     func() *cobra.Command { return newCmdStop(a, func(o *lifecycleOptions) error { return record(*o) }) },
		"switchover": func() *cobra.Command {
			return newCmdSwitchover(a, func(o *lifecycleOptions) error { return record(*o) })
		},
		"recover": func() *cobra.Command { return newCmdRecover(a, func(o *lifecycleOptions) error { return record(*o) }) },
		"promote": func() *cobra.Command { return newCmdPromote(a, func(o *promoteOptions) error { return record(*o) }) },
		"unlock":  func() *cobra.Command { return newCmdUnlock(a, func(o *unlockOptions) error { return record(*o) }) },
		"drill":   func() *cobra.Command { return newCmdDrill(a, func(o *drillOptions) error { return record(*o) }) },
		"up":      func() *cobra.Command { return newCmdLabUp(a, func(o *labUpOptions) error { return record(*o) }) },
		"down":    func() *cobra.Command { return newCmdLabDown(a, func(o *pairOptions) error { return record(*o) }) },
		"ssh":     func() *cobra.Command { return newCmdLabSSH(a, func(o *labSSHOptions) error { return record(*o) }) },
		"exec":    func() *cobra.Command { return newCmdLabExec(a, func(o *labExecOptions) error { return record(*o) }) },
		"sources": func() *cobra.Command { return newCmdLabSources(a, func(o *pairOptions) error { return record(*o) }) },
	}
	for line, want := range map[string]any{
		"init":                  initOptions{file: "hapair.hcl"},
		"init -f x.hcl":         initOptions{file: "x.hcl"},
		"validate --json":       validateOptions{json: true},
		"validate -f a -f b":    validateOptions{specOptions: specOptions{paths: []string{"a", "b"}}},
		"fmt --check --diff":    fmtOptions{check: true, diff: true},
		"render --out d":        renderOptions{out: "d"},
		"plan":                  planOptions{},
		"plan --var a=b,c=d":    planOptions{pairOptions: pairOptions{specOptions: specOptions{vars: []string{"a=b,c=d"}}}},
		"plan --var-file v.hcl": planOptions{pairOptions: pairOptions{specOptions: specOptions{varFiles: []string{"v.hcl"}}}},
		"plan --pair p --json --detailed-exitcode": planOptions{pairOptions: pairOptions{pair: "p"}, json: true, detailedExitCode: true},
		"apply --auto-approve":                     applyOptions{lockOptions: waits, autoApprove: true},
		"apply --json":                             applyOptions{lockOptions: waits, json: true},
		"status -w --json":                         statusOptions{watch: true, json: true},
		"start --host b":                           lifecycleOptions{lockOptions: waits, host: "b"},
		"events":                                   eventsOptions{lines: 20},
		"events -F -n 5 --json":                    eventsOptions{follow: true, lines: 5, json: true},
		"stop":                                     lifecycleOptions{lockOptions: waits},
		"switchover --to b":                        lifecycleOptions{lockOptions: waits, host: "b"},
		"stop --lock-timeout 5m":                   lifecycleOptions{lockOptions: lockOptions{5 * time.Minute}},
		"unlock --json":                            unlockOptions{json: true},
		"recover --json":                           lifecycleOptions{lockOptions: waits, json: true},
		"promote --host a --force":                 promoteOptions{lifecycleOptions: lifecycleOptions{lockOptions: waits, host: "a"}, force: true},
		"drill kill-redis kill-both":               drillOptions{names: []string{"kill-redis", "kill-both"}, times: 1, writers: 4, rate: 250},
		"drill documented --writers 8 --rate 500":  drillOptions{names: []string{"documented"}, times: 1, writers: 8, rate: 500},
		"drill all --report-dir d":                 drillOptions{names: []string{"all"}, times: 1, writers: 4, rate: 250, reportDir: "d"},
		"up --recreate":                            labUpOptions{recreate: true},
		"down --pair p":                            pairOptions{pair: "p"},
		"ssh a":                                    labSSHOptions{host: "a", args: []string{}},
		"ssh a -- ls -l":                           labSSHOptions{host: "a", args: []string{"ls", "-l"}},
		"exec -f x -- redis-cli -h 10.0.0.1":       labExecOptions{pairOptions: pairOptions{specOptions: specOptions{paths: []string{"x"}}}, argv: []string{"redis-cli", "-h", "10.0.0.1"}},
		"sources -f x":                             pairOptions{specOptions: specOptions{paths: []string{"x"}}},
	} {
		t.Run(line, func(t *testing.T) {
			words := strings.Fields(line)
			cmd := commands[words[0]]()
			cmd.SetArgs(words[1:])
			got = nil
			if err := cmd.Execute(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	results := func(verdicts ...drill.Verdict) error {
		e := &drillError{}
		for _, v := range verdicts {
			e.results = append(e.results, &drill.Result{Verdict: v})
		}
		return e
	}
	for _, c := range []struct {
		err  error
		want int
		said bool // whether it is still to be said
	}{
		{nil, 0, false},
		{errors.New("boom"), 1, true},
		{fmt.Errorf("plan: %w", errChanges), 2, false},
		{errUnformatted, 3, false},
		{results(drill.Passed, drill.Deviated, drill.Inconclusive), 4, false},
		{results(drill.Inconclusive), 5, false},
		{results(drill.Deviated, drill.Failed), 1, false},
		{&interruptedError{errors.New("stopped")}, 130, true},
		{&interruptedError{results(drill.Failed)}, 130, false},
		{&healthError{level: pair.Warning}, 1, false},
		{&healthError{level: pair.Critical}, 2, false},
		{&healthError{pair.Unknown, errors.New("no spec")}, 3, true},
		{&interruptedError{&healthError{level: pair.Critical}}, 130, false},
		{&exec.Error{Name: "nsenter", Err: exec.ErrNotFound}, 1, true},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("exitCode(%v) = %d, want %d", c.err, got, c.want)
		}
		if got := worthSaying(c.err); got != c.said {
			t.Errorf("worthSaying(%v) = %v, want %v", c.err, got, c.said)
		}
	}
}

func TestLabNetwork(t *testing.T) {
	for _, c := range []struct {
		a, b, gateway, vip, want string
	}{
		{"192.168.1.218", "192.168.1.219", "", "192.168.1.220/32", "192.168.1.0/24"},
		{"10.0.1.5", "10.0.2.5", "10.0.0.1", "10.0.1.9/32", "10.0.0.0/22"},
		{"fd00::1", "fd00::2", "", "fd00::100/128", "fd00::/64"},
	} {
		p := &spec.Pair{
			Hosts: [2]spec.Host{{Address: netip.MustParseAddr(c.a)}, {Address: netip.MustParseAddr(c.b)}},
			VIPs:  []netip.Prefix{netip.MustParsePrefix(c.vip)},
		}
		if c.gateway != "" {
			p.Failover.Gateway = netip.MustParseAddr(c.gateway)
		}
		if got := labNetwork(p); got.String() != c.want {
			t.Errorf("labNetwork(%v) = %v, want %s", c, got, c.want)
		}
	}
}

// After the first Ctrl-C the step under way goes on, and the next one ends it.
func TestUntilAsked(t *testing.T) {
	asked, ask := context.WithCancel(context.Background())
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	u := &untilAsked{Events: pair.Quiet{}, asked: asked, stop: cancel}
	u.Step("a", "start Redis")
	ask()
	if ctx.Err() != nil {
		t.Error("the step under way was broken off")
	}
	u.Step("b", "start Redis")
	if cause := context.Cause(ctx); cause == nil || !strings.Contains(cause.Error(), `"start Redis" on b`) {
		t.Errorf("the next step was begun: %v", cause)
	}
}

// Every command says what it does, shows how, and ends with its exit codes.
func TestHelpIsComplete(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.IsAvailableCommand() && !strings.Contains(cmd.CommandPath(), "completion") {
			var b strings.Builder
			help(&b, cmd)
			if !strings.Contains(b.String(), "\nExit codes:\n    0  ") {
				t.Errorf("%s: no exit codes in its help", cmd.CommandPath())
			}
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("%s: the short text is %q", cmd.CommandPath(), cmd.Short)
			}
			if cmd.Example == "" && cmd.Name() != "version" {
				t.Errorf("%s: no example", cmd.CommandPath())
			}
			for line := range strings.Lines(cmd.Long) {
				if len(line) > 81 {
					t.Errorf("%s: a line of %d columns: %s", cmd.CommandPath(), len(line)-1, line)
				}
			}
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Usage == "" {
					t.Errorf("%s: --%s is not explained", cmd.CommandPath(), f.Name)
				}
			})
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newCmdRoot(&app{}))
}
