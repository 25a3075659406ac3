package facts

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"hapair/remote"
)

//go:embed args.sh
var argsScript string

//go:embed observe.sh
var observeScript string

// Query says what to look at. All of it may be empty.
type Query struct {
	Paths    []string // files and folders
	Manifest string   // names further Paths, a line "path": "…" for each
	Patterns []string // of further Paths: "/var/lib/hapair/*/manifest.json"
	Lists    []string // folders whose entries to name
	Spaces   []string // folders, existing or not, in whose filesystem to measure room
	Units    []string
	Parts    []Part
	User     string
	Group    string
	// Packages by manager, of which the host uses one.
	Packages map[Manager][]string
	Ports    []int
	// VIPs are asked for on the network, unless this host holds them or the
	// keepalived of unit VRRP runs. That takes 0.3 s where nobody answers.
	VIPs []netip.Addr
	VRRP string
	// Redis is asked for its INFO, on the port that its configuration names.
	Redis    *Redis
	Programs []Record
}

// Redis is how to ask the local Redis: names without blanks.
type Redis struct {
	Unit string   // of systemd, that runs it
	Conf string   // says on which port
	Auth string   // holds the AUTH command, where there is a password
	CLIs []string // where redis-cli may be; the first that is there is taken
}

// Record is a program that should be there.
type Record struct {
	Path string // of what installing left, without ".stat" or ".sums"
	ID   string // of the recipe, see plan/source
}

// Observe looks at a host: one command, which only reads.
func Observe(ctx context.Context, r remote.Runner, q Query) (*Host, error) {
	args, err := q.args()
	if err != nil {
		return nil, err
	}
	stdin := args + ".\n" + observeScript
	for try := 1; ; try++ {
		res, err := r.Run(ctx, remote.Cmd{
			Name:  "observe",
			Argv:  []string{"sh", "-c", argsScript, "sh"},
			Stdin: strings.NewReader(stdin),
		})
		if err != nil {
			return nil, err
		}
		h, err := parse(res.Stdout)
		if errors.Is(err, errTorn) && try < 3 {
			continue // a file changed between its size and its bytes
		}
		if err != nil {
			return nil, fmt.Errorf("observe: %w", err)
		}
		return h, nil
	}
}

// args is what observe.sh takes, a line each.
func (q Query) args() (string, error) {
	var b strings.Builder
	var bad error
	add := func(kind string, values ...string) {
		for _, v := range values {
			if strings.ContainsAny(v, "\n\x00") {
				bad = fmt.Errorf("observe: %q cannot be asked for: it holds a line break", v)
			}
			if v != "" {
				fmt.Fprintf(&b, "%s %s\n", kind, v)
			}
		}
	}
	add("path", q.Paths...)
	add("manifest", q.Manifest)
	add("paths", q.Patterns...)
	add("list", q.Lists...)
	add("space", q.Spaces...)
	add("unit", q.Units...)
	for _, p := range q.Parts {
		kind, name, _ := strings.Cut(string(p), " ")
		add(kind, name)
	}
	add("user", q.User)
	add("group", q.Group)
	for _, m := range []Manager{Apt, Dnf, Zypper} {
		add(string(m), q.Packages[m]...)
	}
	for _, p := range q.Ports {
		add("port", strconv.Itoa(p))
	}
	for _, a := range q.VIPs {
		add("vip", a.String())
	}
	add("vrrp", q.VRRP)
	if r := q.Redis; r != nil {
		add("redis", strings.Join(append([]string{r.Unit, r.Conf, r.Auth}, r.CLIs...), " "))
	}
	for _, p := range q.Programs {
		add("program", p.Path+" "+p.ID)
	}
	return b.String(), bad
}
